-- Which tools a grant is for, and with which arguments (RFC 9396, JSON without spaces). NULL is all that its scopes allow.
ALTER TABLE grants ADD COLUMN details {TEXT};
