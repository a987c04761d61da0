-- Whether a token that stands behind no row was revoked is asked by its id, which is the key of the entry.
CREATE INDEX revocations_by_key ON revocation (key);
