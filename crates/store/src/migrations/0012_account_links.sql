-- Whom an identity provider means: its issuer and subject, and which person here that is. epoch: the person's when they last
-- signed in with it. sealed: what the provider gave to ask it again whether they still may, with table, id and person as
-- associated data; NULL where it gave nothing. version goes up whenever that changes; who holds the row until held_until asks.
CREATE TABLE account_link (
    id {BLOB} NOT NULL PRIMARY KEY,
    issuer {TEXT} NOT NULL,
    subject {TEXT} NOT NULL,
    person {BLOB} NOT NULL,
    linked_at {INT} NOT NULL,
    used_at {INT},
    epoch {INT} NOT NULL DEFAULT 0,
    sealed {BLOB},
    version {INT} NOT NULL DEFAULT 0,
    checked_at {INT} NOT NULL DEFAULT 0,
    ended_at {INT},
    holder {BLOB},
    held_until {INT} NOT NULL DEFAULT 0
) {TABLE_OPTIONS};

CREATE UNIQUE INDEX account_link_of_subject ON account_link (issuer, subject);
CREATE INDEX account_link_of_person ON account_link (person);
