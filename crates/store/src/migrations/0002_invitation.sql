-- A one-time link with which a person chooses a password. Only the digest of its code is kept; one per person.
CREATE TABLE invitation (
    person {BLOB} NOT NULL PRIMARY KEY,
    digest {BLOB} NOT NULL,
    expires_at {INT} NOT NULL
) {TABLE_OPTIONS};
