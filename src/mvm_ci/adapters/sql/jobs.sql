-- The life of a job, but for the ends of its placements: those are in reports.sql.

-- name: submit
INSERT INTO jobs (id, state, epoch, session, created_ms, module, name, options, input, input_size)
VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (id) DO NOTHING

-- name: claim
UPDATE jobs SET state = {CLAIMED}, session = ?1, epoch = epoch + 1, reported = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = {PENDING} ORDER BY id LIMIT ?2)
RETURNING id, epoch, attempt, journal_length, module, name, options, input, input_size

-- name: start
WITH started (job, epoch, now_ms) AS (VALUES /* rows */ (?1, ?2, ?3))
UPDATE jobs SET state = {IN_PROGRESS}, started_ms = coalesce(started_ms, now_ms)
FROM started
WHERE jobs.id = started.job AND jobs.epoch = started.epoch AND jobs.state IN {from start}

-- name: cancel
UPDATE jobs SET
    state = {after cancel},
    finished_ms = CASE WHEN session IS NULL THEN ?2 ELSE finished_ms END,
    wake_ms = NULL
WHERE id = ?1 AND state IN {from cancel}
RETURNING state, epoch, session

-- name: rescue
UPDATE jobs SET
    state = CASE WHEN state = {IN_PROGRESS} AND losses >= ?3 THEN {DEAD} ELSE {after lose} END,
    losses = losses + (state = {IN_PROGRESS}),
    finished_ms = CASE WHEN state = {CANCELLING} OR state = {IN_PROGRESS} AND losses >= ?3
        THEN ?2 ELSE finished_ms END,
    session = NULL
WHERE session = ?1 AND state IN {from lose}
    AND (id, epoch) NOT IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?4))
RETURNING id, state

-- name: wake
UPDATE jobs SET state = {PENDING}, wake_ms = NULL
WHERE state IN {from wake} AND id IN (SELECT id FROM jobs WHERE wake_ms <= ?1 ORDER BY wake_ms, id LIMIT ?2)

-- name: next_wake
SELECT wake_ms FROM jobs WHERE wake_ms IS NOT NULL ORDER BY wake_ms, id LIMIT 1

-- name: held
SELECT id, epoch FROM jobs WHERE session = ?1 ORDER BY id

-- name: standing
SELECT jobs.id, epoch, state, reported
FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = asked.value

-- name: get
SELECT jobs.id, state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, finished_ms, wake_ms,
    module, name, options, input, input_size, result, result_size, failure
FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = asked.value

-- name: list
SELECT id, state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, finished_ms, wake_ms,
    module, name, options, input, input_size, result, result_size, failure
FROM jobs WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3

-- name: list_ready
SELECT id, state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, finished_ms, wake_ms,
    module, name, options, input, input_size, result, result_size, failure
FROM jobs WHERE state = {PENDING} AND id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3

-- name: list_placed
SELECT id, state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, finished_ms, wake_ms,
    module, name, options, input, input_size, result, result_size, failure
FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND state = ?4 AND id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3

-- name: list_settled
SELECT id, state, created_ms, attempt, epoch, session, losses, journal_length, started_ms, finished_ms, wake_ms,
    module, name, options, input, input_size, result, result_size, failure
FROM jobs WHERE state = ?4 AND state > {IN_PROGRESS} AND id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3

-- name: counts
SELECT state, count(*) FROM jobs WHERE state = {PENDING} GROUP BY state
UNION ALL
SELECT state, count(*) FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND state IN ({CLAIMED}, {IN_PROGRESS}) GROUP BY state
UNION ALL
SELECT state, count(*) FROM jobs WHERE state > {IN_PROGRESS} GROUP BY state
