-- The life of a job, but for the ends of its placements (reports.sql) and what people do to it (changes.sql).

-- name: submit
INSERT INTO jobs (id, state, epoch, session, created_ms, namespace, queue, priority, lane, module, name, options, input,
    wake_ms, expires_ms, concurrency, idempotency, request, tags, metadata, input_size, parent,
    parent_attempt, secrets, deadline_ms)
VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
    ?23, ?24, ?25)
ON CONFLICT (id) DO NOTHING

-- name: submit_plain
INSERT INTO jobs (id, state, epoch, session, created_ms, namespace, queue, priority, lane, module, name, options, input)
VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (id) DO NOTHING

-- name: insert_terms
INSERT INTO terms (namespace, term, job) VALUES /* rows */ (?1, ?2, ?3) ON CONFLICT DO NOTHING

-- name: insert_dependencies
INSERT INTO dependencies (job, upstream, success) VALUES /* rows */ (?1, ?2, ?3) ON CONFLICT DO NOTHING

-- One that is to clean up is cancelling from here on. A lane that ends in 1 holds the jobs whose attempt has begun.
-- name: claim
UPDATE jobs SET state = CASE awaits WHEN '["cancel"]' THEN {CANCELLING} ELSE {CLAIMED} END,
    session = ?1, epoch = epoch + 1, reported = NULL, lane = lane | 1, expires_ms = NULL, awaits = NULL
WHERE id IN (SELECT id FROM jobs WHERE state = {PENDING} AND lane = ?3 ORDER BY id LIMIT ?2)
RETURNING id, epoch, attempt, journal_length, state, deadline_ms, module, name, options, input, input_size

-- name: ready_lanes
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM jobs WHERE state = {PENDING}
    UNION ALL
    SELECT (SELECT min(lane) FROM jobs WHERE state = {PENDING} AND lane > lanes.lane) FROM lanes
    WHERE lanes.lane IS NOT NULL
)
SELECT lanes.lane, jobs.namespace, jobs.queue, jobs.priority, jobs.options
FROM lanes CROSS JOIN jobs
ON jobs.id = (SELECT min(ready.id) FROM jobs AS ready WHERE ready.state = {PENDING} AND ready.lane = lanes.lane)
WHERE lanes.lane IS NOT NULL

-- The same lanes, and the first job of each by its index: pending jobs are not counted through.
-- name: oldest_ready
WITH RECURSIVE lanes (lane) AS (
    SELECT min(lane) FROM jobs WHERE state = {PENDING}
    UNION ALL
    SELECT (SELECT min(lane) FROM jobs WHERE state = {PENDING} AND lane > lanes.lane) FROM lanes
    WHERE lanes.lane IS NOT NULL
)
SELECT min((SELECT min(ready.id) FROM jobs AS ready WHERE ready.state = {PENDING} AND ready.lane = lanes.lane))
FROM lanes WHERE lanes.lane IS NOT NULL

-- name: ahead
SELECT count(*) FROM (
    SELECT id FROM jobs WHERE state = {PENDING}
        AND lane = (SELECT lane FROM jobs AS asked WHERE asked.id = ?1) AND id < ?1
    ORDER BY id LIMIT ?2)

-- name: start
WITH started (job, epoch, now_ms) AS (VALUES /* rows */ (?1, ?2, ?3))
UPDATE jobs SET state = {IN_PROGRESS}, started_ms = coalesce(started_ms, now_ms)
FROM started
WHERE jobs.id = started.job AND jobs.epoch = started.epoch AND jobs.state IN {from start}

-- name: rescue
UPDATE jobs SET
    state = CASE WHEN state = {IN_PROGRESS} AND losses >= ?3 THEN {DEAD} ELSE {after lose} END,
    losses = losses + (state = {IN_PROGRESS}),
    finished_ms = CASE WHEN state = {CANCELLING} OR state = {IN_PROGRESS} AND losses >= ?3
        THEN ?2 ELSE finished_ms END,
    session = NULL
WHERE session = ?1 AND state IN {from lose}
    AND (id, epoch) NOT IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?4))
RETURNING id, epoch, state

-- name: wake
UPDATE jobs SET state = {PENDING}, wake_ms = NULL
WHERE state IN {from wake} AND id IN (
    SELECT id FROM jobs WHERE state IN {from wake} AND wake_ms <= ?1 ORDER BY wake_ms, id LIMIT ?2)
RETURNING lane, namespace, queue, priority, options

-- name: next_wake
SELECT wake_ms FROM jobs WHERE state IN {from wake} ORDER BY wake_ms, id LIMIT 1

-- name: expire
UPDATE jobs SET state = {FAILED}, finished_ms = ?1, wake_ms = NULL, expires_ms = NULL, failure = ?3
WHERE state IN {from expire} AND id IN (
    SELECT id FROM jobs WHERE expires_ms IS NOT NULL AND state IN {from expire} AND expires_ms <= ?1
    ORDER BY expires_ms, id LIMIT ?2)
RETURNING id

-- name: next_expiry
SELECT expires_ms FROM jobs WHERE expires_ms IS NOT NULL AND state IN {from expire} ORDER BY expires_ms, id LIMIT 1

-- name: overdue
UPDATE jobs SET state = {FAILED}, finished_ms = ?1, wake_ms = NULL, expires_ms = NULL, failure = ?3
WHERE state IN {from overdue} AND id IN (
    SELECT id FROM jobs WHERE deadline_ms IS NOT NULL AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})
        AND state IN {from overdue} AND deadline_ms <= ?1
    ORDER BY deadline_ms, id LIMIT ?2)
RETURNING id

-- name: next_deadline
SELECT deadline_ms FROM jobs
WHERE deadline_ms IS NOT NULL AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}) AND state IN {from overdue}
ORDER BY deadline_ms, id LIMIT 1

-- name: deadlines
SELECT id, deadline_ms FROM jobs INDEXED BY jobs_deadline
WHERE deadline_ms IS NOT NULL AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})

-- failed: a job that it needs has ended without success, or is not there: it could not be stored, or was deleted.
-- name: settle
WITH asked (job, failed) AS MATERIALIZED (
    SELECT blocked.id, EXISTS (
        SELECT 1 FROM dependencies LEFT JOIN jobs AS needed ON needed.id = dependencies.upstream
        WHERE dependencies.job = blocked.id AND (needed.id IS NULL
            OR dependencies.success = 1 AND needed.state IN ({FAILED}, {CANCELLED}, {DEAD})))
    FROM jobs AS blocked WHERE blocked.state IN {from unblock} AND blocked.id IN (
        SELECT dependencies.job FROM json_each(?1) AS ended
        CROSS JOIN dependencies ON dependencies.upstream = ended.value))
UPDATE jobs SET
    state = CASE
        WHEN asked.failed THEN {CANCELLED}
        WHEN jobs.wake_ms > ?2 THEN {SCHEDULED}
        ELSE {after unblock} END,
    finished_ms = CASE WHEN asked.failed THEN ?2 END,
    failure = CASE WHEN asked.failed THEN ?3 ELSE jobs.failure END,
    wake_ms = CASE WHEN jobs.wake_ms > ?2 AND NOT asked.failed THEN jobs.wake_ms END
FROM asked
WHERE jobs.id = asked.job AND (asked.failed OR NOT EXISTS (
    SELECT 1 FROM dependencies JOIN jobs AS needed ON needed.id = dependencies.upstream
    WHERE dependencies.job = jobs.id AND needed.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})))
RETURNING lane, namespace, queue, priority, options, id, state

-- name: upstreams
SELECT DISTINCT dependencies.upstream FROM jobs CROSS JOIN dependencies ON dependencies.job = jobs.id
WHERE jobs.state = {BLOCKED}

-- name: held
SELECT id, epoch FROM jobs WHERE session = ?1 ORDER BY id

-- name: standing
SELECT jobs.id, epoch, state, reported
FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = asked.value

-- name: get
SELECT {COLUMNS} FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = asked.value

-- name: dependencies
SELECT job, upstream, success FROM json_each(?1) AS asked CROSS JOIN dependencies ON dependencies.job = asked.value
ORDER BY job, upstream

-- name: holders
SELECT id, lane, namespace, queue, priority, options, epoch FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL
UNION ALL
SELECT id, lane, namespace, queue, priority, options, NULL FROM jobs INDEXED BY jobs_keyed
WHERE concurrency IS NOT NULL AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}) AND session IS NULL

-- name: with_key
SELECT id FROM jobs WHERE namespace = ?1 AND concurrency = ?2 AND concurrency IS NOT NULL
    AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}) ORDER BY id DESC

-- name: keyed
SELECT jobs.idempotency, jobs.id, jobs.request FROM json_each(?2) AS asked
CROSS JOIN jobs ON jobs.namespace = ?1 AND jobs.idempotency = asked.value AND jobs.idempotency IS NOT NULL
