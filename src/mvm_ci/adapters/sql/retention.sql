-- Retention: pages of jobs by id, and what is removed of them.

-- name: finished_page
SELECT id, state IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}),
    length(input) + coalesce(input_size, 0) + coalesce(length(result), 0) + coalesce(result_size, 0)
        + coalesce((SELECT sum(length(data)) FROM journal WHERE journal.job = jobs.id), 0)
        + coalesce((SELECT sum(length(body) + coalesce(body_size, 0)) FROM mail WHERE mail.job = jobs.id AND taken = 0), 0)
        + coalesce((SELECT sum(artifacts.size) FROM artifacts WHERE artifacts.job = jobs.id), 0)
FROM jobs WHERE id < ?1 ORDER BY id DESC LIMIT ?2

-- name: removable
SELECT id, state IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}) AND finished_ms < ?3
FROM jobs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?4

-- name: journals_removable
SELECT id, state IN ({COMPLETED}, {FAILED}, {CANCELLED}) AND finished_ms < ?3
    AND EXISTS (SELECT 1 FROM journal WHERE journal.job = jobs.id)
FROM jobs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?4

-- name: artifacts_removable
SELECT id, state IN ({COMPLETED}, {FAILED}, {CANCELLED}) AND finished_ms < ?3
    AND EXISTS (SELECT 1 FROM artifacts WHERE artifacts.job = jobs.id AND artifacts.input = 0)
FROM jobs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?4

-- name: keys_removable
SELECT id, state IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD}) AND finished_ms < ?3 AND idempotency IS NOT NULL
FROM jobs WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?4

-- name: empty_journals
UPDATE jobs SET journal_length = 0 WHERE id IN (SELECT value FROM json_each(?1))

-- name: forget_keys
UPDATE jobs SET idempotency = NULL, request = NULL WHERE id IN (SELECT value FROM json_each(?1))

-- name: references
SELECT id, namespace, module, CASE WHEN input_size IS NOT NULL THEN input END,
    CASE WHEN result_size IS NOT NULL THEN result END
FROM jobs WHERE id > ?1 ORDER BY id LIMIT ?2

-- name: journals_between
SELECT data FROM journal WHERE job > ?1 AND job <= ?2

-- name: mail_between
SELECT body FROM mail WHERE job > ?1 AND job <= ?2 AND taken = 0 AND body_size IS NOT NULL
