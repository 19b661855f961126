-- Version 1 of the state: what it is stays as it is, changes are migrations. States are the numbers of JobState.
-- Times are Unix milliseconds. A payload is two columns: its bytes and NULL, or the 32 bytes of its digest and its
-- size in the blob store.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- session is set exactly while the job is placed (1 claimed, 2 in_progress, 5 cancelling), wake_ms exactly while it
-- waits for a time (3 suspended, 4 scheduled): so two of the indexes below hold those jobs and no others. reported is
-- set while the present epoch's placement is over by a report, and recognises a repetition of that report.
CREATE TABLE jobs (
    id INTEGER NOT NULL PRIMARY KEY,
    state INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    session INTEGER CHECK ((session IS NOT NULL) = (state IN (1, 2, 5))),
    wake_ms INTEGER CHECK ((wake_ms IS NOT NULL) = (state IN (3, 4))),
    reported INTEGER,
    attempt INTEGER NOT NULL DEFAULT 1,
    losses INTEGER NOT NULL DEFAULT 0,
    journal_length INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    options TEXT NOT NULL,
    input BLOB NOT NULL,
    input_size INTEGER,
    result BLOB,
    result_size INTEGER,
    failure TEXT
) STRICT;

-- An index ends in the row's id by itself. States 1 and 2, through which every job passes, are left out of the
-- indexes by state: the placed jobs are few, and found by their session.
CREATE INDEX jobs_ready ON jobs (state) WHERE state = 0;
CREATE INDEX jobs_placed ON jobs (session) WHERE session IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (wake_ms) WHERE wake_ms IS NOT NULL;
CREATE INDEX jobs_settled ON jobs (state) WHERE state > 2;

-- One row per segment. epoch: the placement that wrote it.
CREATE TABLE journal (
    job INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (job, attempt, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_tokens (
    digest TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE join_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    state INTEGER NOT NULL,
    joined_ms INTEGER NOT NULL,
    version TEXT NOT NULL,
    platform TEXT NOT NULL,
    slots INTEGER NOT NULL,
    session INTEGER,
    incarnation TEXT,
    session_open INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE modules (
    digest TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    allow_hosts TEXT NOT NULL
) STRICT, WITHOUT ROWID;
