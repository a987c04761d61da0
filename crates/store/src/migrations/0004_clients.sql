-- Clients that an operator made. The body is what the server checks and means; the version makes a change conditional.
CREATE TABLE client (
    id {TEXT} NOT NULL PRIMARY KEY,
    version {INT} NOT NULL,
    created_at {INT} NOT NULL,
    body {TEXT} NOT NULL
) {TABLE_OPTIONS};

-- What an operator does not want. kind: 1 client (key: its id or the URL of its document), 2 host of a receiver or a
-- document, 3 beginning of a redirect URI.
CREATE TABLE block (
    kind {INT} NOT NULL,
    key {TEXT} NOT NULL,
    created_at {INT} NOT NULL,
    note {TEXT} NOT NULL,
    PRIMARY KEY (kind, key)
) {TABLE_OPTIONS};

-- Client assertions that were used for a write, until they are refused by themselves.
CREATE TABLE assertion (
    digest {BLOB} NOT NULL PRIMARY KEY,
    attempt {BLOB} NOT NULL,
    until {INT} NOT NULL
) {TABLE_OPTIONS};

-- Until when HTTP lets a document be kept; since when its owner says that it is gone, and since when its client is
-- suspended for that.
ALTER TABLE document ADD COLUMN fresh_until {INT} NOT NULL DEFAULT 0;
ALTER TABLE document ADD COLUMN gone_since {INT};
ALTER TABLE document ADD COLUMN suspended_at {INT};

-- Whether the client proved a key when the grant was opened: it has to prove one ever after.
ALTER TABLE grants ADD COLUMN key_proven {INT} NOT NULL DEFAULT 0;
