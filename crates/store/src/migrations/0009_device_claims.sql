-- User codes that signed-in people typed (RFC 8628), as numbers. state: 0 open, 1 allowed, 2 declined, 3 spoiled. The device
-- that polls brings its request: the columns from device on.
CREATE TABLE device_claim (
    user_code {INT} NOT NULL PRIMARY KEY,
    session {BLOB} NOT NULL,
    person {BLOB} NOT NULL,
    claimed_at {INT} NOT NULL,
    state {INT} NOT NULL,
    decided_at {INT},
    epoch {INT} NOT NULL DEFAULT 0,
    stays {INT} NOT NULL DEFAULT 0,
    device {BLOB},
    device_from {BLOB},
    client_id {TEXT},
    resource {TEXT},
    scope {TEXT}
) {TABLE_OPTIONS};

CREATE INDEX device_claims_of_session ON device_claim (session);

-- User codes that the person typed in the window that began at claims_since: they could be guesses.
ALTER TABLE person ADD COLUMN claims {INT} NOT NULL DEFAULT 0;
ALTER TABLE person ADD COLUMN claims_since {INT} NOT NULL DEFAULT 0;
