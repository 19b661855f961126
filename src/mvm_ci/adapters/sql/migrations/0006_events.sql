-- What happened to jobs. A row per batch; the numbers of its events are first to first + count - 1.
CREATE TABLE events (
    first INTEGER NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL CHECK (count > 0),
    at_ms INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
