-- Secrets: a row a version, the value sealed. modules: JSON, those of the newest version count. after_job: the newest job
-- when the version came; jobs up to it may have been told an earlier one.
CREATE TABLE secrets (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    modules TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    after_job INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (namespace, name, version)
) STRICT, WITHOUT ROWID;

-- The secrets that a job names, as they stand in its options, too: by this those are found that may go on (a dead job may,
-- with its journal).
ALTER TABLE jobs ADD COLUMN secrets TEXT;
CREATE INDEX jobs_secrets ON jobs (namespace) WHERE secrets IS NOT NULL AND state NOT IN (7, 8, 9);

-- What a module's manifest asks for: JSON.
ALTER TABLE modules ADD COLUMN secrets TEXT NOT NULL DEFAULT '[]';
