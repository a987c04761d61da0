-- For the account page: where a grant was used last (the address that a refresh came from, 4 or 16 bytes), and which
-- browsers are signed in.
ALTER TABLE grants ADD COLUMN used_from {BLOB};
ALTER TABLE session ADD COLUMN opened_from {BLOB};
ALTER TABLE session ADD COLUMN browser {TEXT} NOT NULL DEFAULT '';

CREATE INDEX sessions_of_person ON session (person, id);
