-- The first schema. Only bytes, 64-bit integers and text; times are milliseconds since 1970.
-- Rows are addressed by 16-byte ids that start with their time of birth, so that new rows are neighbours.

CREATE TABLE person (
    id {BLOB} NOT NULL PRIMARY KEY,
    epoch {INT} NOT NULL,
    disabled_at {INT},
    created_at {INT} NOT NULL,
    -- Tries to guess the password in the window that began at attempts_since.
    attempts {INT} NOT NULL DEFAULT 0,
    attempts_since {INT} NOT NULL DEFAULT 0,
    name {TEXT} NOT NULL UNIQUE,
    password {TEXT} NOT NULL
) {TABLE_OPTIONS};

CREATE TABLE session (
    id {BLOB} NOT NULL PRIMARY KEY,
    person {BLOB} NOT NULL,
    epoch {INT} NOT NULL,
    signed_in_at {INT} NOT NULL,
    expires_at {INT} NOT NULL
) {TABLE_OPTIONS};

-- One row per grant, whatever happens to it. What a refresh changes stands first: generation to turn.
CREATE TABLE grants (
    id {BLOB} NOT NULL PRIMARY KEY,
    generation {INT} NOT NULL,
    predecessor {INT},
    rotated_at {INT} NOT NULL,
    -- What the last rotation was (0 rotated, 1 repeated, 2 replaced, 3 the store went back). It is here only so
    -- that one statement can say which of its branches it took.
    turn {INT} NOT NULL,
    epoch {INT} NOT NULL,
    revoked_at {INT},
    reason {TEXT},
    consented_at {INT} NOT NULL,
    person {BLOB} NOT NULL,
    attempt {BLOB} NOT NULL,
    code_digest {BLOB} NOT NULL,
    client_id {TEXT} NOT NULL,
    client_name {TEXT} NOT NULL,
    redirect_host {TEXT} NOT NULL,
    resource {TEXT} NOT NULL,
    scope {TEXT} NOT NULL
) {TABLE_OPTIONS};

-- For the account page. No index on anything that a refresh changes: it would double the cost of a refresh.
CREATE INDEX grants_of_person ON grants (person, id);

-- The counter whose row lock makes ticket order commit order.
CREATE TABLE feed (
    id {INT} NOT NULL PRIMARY KEY,
    n {INT} NOT NULL
) {TABLE_OPTIONS};

INSERT INTO feed (id, n) VALUES (1, 0);

-- kind: 1 grant (key: its id), 2 person (key: the id; epoch: the first that is still good), 3 client (key: its id
-- as UTF-8).
CREATE TABLE revocation (
    ticket {INT} NOT NULL PRIMARY KEY,
    kind {INT} NOT NULL,
    key {BLOB} NOT NULL,
    epoch {INT},
    until {INT} NOT NULL
) {TABLE_OPTIONS};

CREATE TABLE signing_key (
    kid {TEXT} NOT NULL PRIMARY KEY,
    algorithm {TEXT} NOT NULL,
    sealed {BLOB} NOT NULL,
    created_at {INT} NOT NULL,
    retired_at {INT}
) {TABLE_OPTIONS};

CREATE TABLE document (
    url {TEXT} NOT NULL PRIMARY KEY,
    checked_at {INT} NOT NULL,
    body {BLOB} NOT NULL
) {TABLE_OPTIONS};

-- Half of every key; the other half is the master key, which is never in a database.
CREATE TABLE root (
    id {INT} NOT NULL PRIMARY KEY,
    secret {BLOB} NOT NULL
) {TABLE_OPTIONS};

-- The one setup code in force, as its digest.
CREATE TABLE setup (
    id {INT} NOT NULL PRIMARY KEY,
    digest {BLOB} NOT NULL,
    expires_at {INT} NOT NULL
) {TABLE_OPTIONS};
