-- The key that the refresh token of a grant is bound to (RFC 9449 section 5; SHA-256 thumbprint, 32 bytes). Who presents the
-- token has to prove that key ever after.
ALTER TABLE grants ADD COLUMN key_thumbprint {BLOB};
