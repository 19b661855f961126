-- What people do to jobs: each statement takes a JSON array of ids and returns what it changed.

-- A guest that has begun, is at no worker and has a grace is placed once more, to clean up.
-- name: cancel
UPDATE jobs SET
    state = CASE WHEN {CLEANS_UP} THEN {PENDING} ELSE {after cancel} END,
    finished_ms = CASE WHEN session IS NULL AND NOT {CLEANS_UP} THEN ?2 ELSE finished_ms END,
    awaits = CASE WHEN {CLEANS_UP} THEN '["cancel"]' ELSE awaits END,
    failure = coalesce(?3, failure),
    wake_ms = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND state IN {from cancel}
RETURNING id, state, epoch, session

-- name: pause
UPDATE jobs SET state = {after pause}
WHERE id IN (SELECT value FROM json_each(?1)) AND state IN {from pause}
RETURNING id, state, epoch, session

-- One that waits for mail is placed, and looks for itself.
-- name: resume
UPDATE jobs SET
    state = CASE
        WHEN lane & 1 = 0 AND EXISTS (
            SELECT 1 FROM dependencies JOIN jobs AS needed ON needed.id = dependencies.upstream
            WHERE dependencies.job = jobs.id
                AND (needed.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})
                    OR dependencies.success = 1 AND needed.state <> {COMPLETED})) THEN {BLOCKED}
        WHEN jobs.wake_ms > ?2 AND awaits IS NULL THEN {SCHEDULED}
        ELSE {after resume} END,
    wake_ms = CASE WHEN jobs.wake_ms > ?2 AND awaits IS NULL THEN jobs.wake_ms END,
    failure = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND state IN {from resume}
RETURNING id, state, epoch, session

-- A dead job goes on in its attempt; another one begins a new attempt, without a deadline, unless its first has not begun
-- yet. A child is nobody's from then on: its parent has heard of its end.
-- name: revive
UPDATE jobs SET
    state = {after revive},
    attempt = attempt + (state <> {DEAD} AND epoch > 0),
    journal_length = CASE WHEN state = {DEAD} OR epoch = 0 THEN journal_length ELSE 0 END,
    lane = lane & -2,
    started_ms = CASE state WHEN {DEAD} THEN started_ms END,
    losses = 0, finished_ms = NULL, failure = NULL, expires_ms = NULL, deadline_ms = NULL, parent = NULL,
    parent_attempt = NULL
WHERE id IN (SELECT value FROM json_each(?1)) AND state IN {from revive}
RETURNING id, state, epoch, session

-- name: deletable
SELECT jobs.id FROM json_each(?1) AS asked CROSS JOIN jobs ON jobs.id = asked.value
WHERE jobs.state IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})
    AND NOT EXISTS (
        SELECT 1 FROM dependencies JOIN jobs AS waiting ON waiting.id = dependencies.job
        WHERE dependencies.upstream = jobs.id
            AND waiting.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}))
    AND NOT EXISTS (SELECT 1 FROM jobs AS child WHERE child.parent = jobs.id AND child.parent IS NOT NULL
        AND child.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}))

-- name: delete_journals
DELETE FROM journal WHERE job IN (SELECT value FROM json_each(?1))

-- name: delete_terms
DELETE FROM terms WHERE job IN (SELECT value FROM json_each(?1))

-- name: delete_dependencies
DELETE FROM dependencies WHERE job IN (SELECT value FROM json_each(?1))

-- name: delete_mail
DELETE FROM mail WHERE job IN (SELECT value FROM json_each(?1))

-- name: delete_promises
DELETE FROM promises WHERE job IN (SELECT value FROM json_each(?1))

-- name: delete_jobs
DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?1))

-- name: pause_queue
INSERT INTO paused_queues (namespace, queue, paused_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING

-- name: resume_queue
DELETE FROM paused_queues WHERE namespace = ?1 AND queue = ?2

-- name: paused_queues
SELECT namespace, queue FROM paused_queues ORDER BY namespace, queue
