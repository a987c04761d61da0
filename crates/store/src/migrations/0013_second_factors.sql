-- A second factor at sign-in: what a person's authenticator app has, sealed with table, person and id as associated data; id is
-- of the one time that it was turned on. last_step: the step of time whose code was used last, last_use: the try that used it.
-- tries and tries_since: wrong codes in the window that began then; known_: the same of browsers in which the person was
-- signed in before.
CREATE TABLE second_factor (
    person {BLOB} NOT NULL PRIMARY KEY,
    id {BLOB} NOT NULL,
    sealed {BLOB} NOT NULL,
    turned_on_at {INT} NOT NULL,
    last_step {INT} NOT NULL,
    last_use {BLOB} NOT NULL,
    tries {INT} NOT NULL DEFAULT 0,
    tries_since {INT} NOT NULL DEFAULT 0,
    known_tries {INT} NOT NULL DEFAULT 0,
    known_tries_since {INT} NOT NULL DEFAULT 0
) {TABLE_OPTIONS};

-- What gets a person in who has lost their phone, each once: SHA-256 of 80 random bits with the person's id.
CREATE TABLE recovery_code (
    person {BLOB} NOT NULL,
    digest {BLOB} NOT NULL,
    used_at {INT},
    used_by {BLOB},
    PRIMARY KEY (person, digest)
) {TABLE_OPTIONS};

-- When this session passed the second factor; NULL where it did not.
ALTER TABLE session ADD COLUMN second_factor_at {INT};
