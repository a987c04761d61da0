-- A signing key is published before it signs, so that everybody who verifies has it when its first token comes.
ALTER TABLE signing_key ADD COLUMN signs_from {INT} NOT NULL DEFAULT 0;
