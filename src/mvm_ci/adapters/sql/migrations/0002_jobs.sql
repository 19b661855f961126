-- How the queue treats a job: namespace, queue, priority, lane (mvm_ci.domain.lane), dependencies, pauses, deadlines,
-- idempotency, tags and metadata. The table is made anew, because what may stand beside a state has changed.

CREATE TABLE jobs_new (
    id INTEGER NOT NULL PRIMARY KEY,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    session INTEGER CHECK ((session IS NOT NULL) = (state IN (1, 2, 5, 12))),
    -- Set while the job waits for a time (3 suspended, 4 scheduled), and kept while it is paused or blocked.
    wake_ms INTEGER CHECK (CASE WHEN state IN (3, 4) THEN wake_ms IS NOT NULL
        WHEN state IN (6, 11, 12) THEN 1 ELSE wake_ms IS NULL END),
    reported INTEGER,
    attempt INTEGER NOT NULL DEFAULT 1,
    losses INTEGER NOT NULL DEFAULT 0,
    journal_length INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    -- Set until a worker takes the job for the first time.
    expires_ms INTEGER,
    namespace TEXT NOT NULL,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    concurrency TEXT,
    idempotency TEXT,
    request BLOB CHECK ((request IS NOT NULL) = (idempotency IS NOT NULL)),
    tags TEXT,
    metadata TEXT,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    options TEXT NOT NULL,
    input BLOB NOT NULL,
    input_size INTEGER,
    result BLOB,
    result_size INTEGER,
    failure TEXT
) STRICT;

-- 929343182123095210 is the lane of jobs without options; its odd neighbour is for attempts that have begun.
INSERT INTO jobs_new (id, state, epoch, session, wake_ms, reported, attempt, losses, journal_length, created_ms,
    started_ms, finished_ms, namespace, queue, priority, lane, module, name, options, input, input_size, result,
    result_size, failure)
SELECT id, state, epoch, session, wake_ms, reported, attempt, losses, journal_length, created_ms,
    started_ms, finished_ms, 'default', 'default', 5, 929343182123095210 + (epoch > 0 AND state <> 4), module, name,
    options, input, input_size, result, result_size, failure
FROM jobs;

DROP TABLE jobs;
ALTER TABLE jobs_new RENAME TO jobs;

-- An index ends in the row's id by itself, and holds the state where a query compares it, to be enough for the query. States 1 and 2, through which every job passes, are left out of the list by
-- state: the placed jobs are few, and found by their session.
CREATE INDEX jobs_ready ON jobs (state, lane) WHERE state = 0;
CREATE INDEX jobs_placed ON jobs (session) WHERE session IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (wake_ms) WHERE state IN (3, 4);
CREATE INDEX jobs_expiring ON jobs (expires_ms) WHERE expires_ms IS NOT NULL AND state IN (0, 4, 11);
CREATE INDEX jobs_listed ON jobs (namespace, state) WHERE state NOT IN (1, 2);
CREATE INDEX jobs_blocked ON jobs (state) WHERE state = 11;
CREATE INDEX jobs_keyed ON jobs (namespace, concurrency, state) WHERE concurrency IS NOT NULL AND state NOT IN (7, 8, 9, 10);
CREATE UNIQUE INDEX jobs_idempotent ON jobs (namespace, idempotency) WHERE idempotency IS NOT NULL;

-- Tags, and key=value of the metadata: by what jobs are searched.
CREATE TABLE terms (
    namespace TEXT NOT NULL,
    term TEXT NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (namespace, term, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX terms_of_job ON terms (job);

-- job waits for upstream: for its success, or for its end only (success = 0).
CREATE TABLE dependencies (
    job INTEGER NOT NULL,
    upstream INTEGER NOT NULL,
    success INTEGER NOT NULL,
    PRIMARY KEY (job, upstream)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependencies_upstream ON dependencies (upstream);

CREATE TABLE paused_queues (
    namespace TEXT NOT NULL,
    queue TEXT NOT NULL,
    paused_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, queue)
) STRICT, WITHOUT ROWID;
