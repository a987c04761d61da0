-- The last line of each node's audit log that is on its disk: what is cut off a log's end shows against it.
CREATE TABLE audit_head (
    node {TEXT} NOT NULL PRIMARY KEY,
    sequence {INT} NOT NULL,
    mac {TEXT} NOT NULL
) {TABLE_OPTIONS};
