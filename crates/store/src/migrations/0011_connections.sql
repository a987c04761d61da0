-- Services of third parties that people connected, one row for each time. sealed: their tokens, with table, person, name and
-- id as associated data: a row that is put in another's place does not open. version goes up with each renewal; who holds it
-- until held_until renews it, and nobody else does meanwhile.
CREATE TABLE connection (
    id {BLOB} NOT NULL PRIMARY KEY,
    person {BLOB} NOT NULL,
    name {TEXT} NOT NULL,
    sealed {BLOB} NOT NULL,
    version {INT} NOT NULL,
    connected_at {INT} NOT NULL,
    renewed_at {INT} NOT NULL,
    died_at {INT},
    holder {BLOB},
    held_until {INT} NOT NULL DEFAULT 0
) {TABLE_OPTIONS};

CREATE UNIQUE INDEX connection_of_person ON connection (person, name);
