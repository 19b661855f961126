-- What is left of the rates of concurrency keys: tokens at at_ms; full_ms: when all of them are back, and the row is as
-- good as none.
CREATE TABLE rates (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    tokens REAL NOT NULL,
    at_ms INTEGER NOT NULL,
    full_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX rates_full ON rates (full_ms);
