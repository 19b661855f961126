-- Mail: what comes to jobs from others while they run. Triggers in the schema bring the ends of children, and wake jobs.

-- ?8: the most that may wait for one job; -1: however much does.
-- name: send
INSERT INTO mail (job, topic, key, at_ms, body, body_size, failure)
SELECT ?1, ?2, ?3, ?4, ?5, nullif(?6, -1), ?7
WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}))
    AND (?8 < 0 OR (SELECT count(*) FROM (
        SELECT number FROM mail WHERE job = ?1 AND taken = 0 ORDER BY number LIMIT ?8)) < ?8)
ON CONFLICT (job, topic, key) DO NOTHING

-- name: sent
SELECT 1 FROM mail WHERE job = ?1 AND topic = ?2 AND key = ?3

-- name: is_over
SELECT 1 FROM jobs WHERE id = ?1 AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})

-- name: mail
WITH asked (topic) AS (SELECT value FROM json_each(?2))
SELECT number, topic, state, body, body_size, failure FROM mail
WHERE job = ?1 AND taken = 0 AND topic IN asked ORDER BY number LIMIT ?3

-- ?4: what a segment takes, if it was inserted just now: it is not counted yet. Found by number, not among all that its job
-- ever got.
-- name: take
UPDATE mail SET taken = 1, body = NULL, body_size = NULL, failure = NULL
WHERE number IN (SELECT value FROM json_each(?4)) AND +job = ?1 AND EXISTS (
    SELECT 1 FROM journal JOIN jobs ON jobs.id = journal.job AND jobs.attempt = journal.attempt
    WHERE journal.job = ?1 AND journal.epoch = ?2 AND journal.first = ?3 AND jobs.journal_length = ?3)

-- name: children
SELECT parent, id FROM jobs
WHERE parent IN (SELECT value FROM json_each(?1)) AND parent IS NOT NULL
    AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})
ORDER BY parent, id

-- name: parents
SELECT id, parent, parent_attempt FROM jobs INDEXED BY jobs_children
WHERE parent IS NOT NULL AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})

-- name: open_promise
INSERT INTO promises (id, job, label, digest, created_ms) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING

-- name: promise
SELECT id, job, label, digest, created_ms, completed_ms FROM promises WHERE id = ?1

-- name: complete_promise
UPDATE promises SET completed_ms = ?2 WHERE id = ?1 AND completed_ms IS NULL
    AND EXISTS (SELECT 1 FROM jobs WHERE jobs.id = promises.job
        AND state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}))

-- name: progress
UPDATE jobs SET progress = ?3 WHERE id = ?1 AND epoch = ?2 AND session IS NOT NULL

-- name: annotate
UPDATE jobs SET metadata = json_patch(coalesce(metadata, '{}'), ?2) WHERE id = ?1

-- name: unsearchable
DELETE FROM terms WHERE job = ?1 AND substr(term, 1, instr(term, '=') - 1) IN (SELECT key FROM json_each(?2))
    AND instr(term, '=') > 0

-- name: searchable
INSERT INTO terms (namespace, term, job)
SELECT jobs.namespace, given.key || '=' || given.value, jobs.id
FROM jobs CROSS JOIN json_each(?2) AS given WHERE jobs.id = ?1 AND given.value IS NOT NULL
ON CONFLICT DO NOTHING
