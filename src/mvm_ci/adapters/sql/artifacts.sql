-- Artifacts of jobs; those of job 0 are uploads.

-- ?9: the most that one job may have.
-- name: put_artifact
INSERT INTO artifacts (job, name, namespace, digest, size, media, created_ms, input, epoch, number)
SELECT ?1, ?2, jobs.namespace, ?3, ?4, ?5, ?6, 0, ?7, ?8 FROM jobs
WHERE jobs.id = ?1 AND jobs.epoch = ?7 AND jobs.session IS NOT NULL
    AND (EXISTS (SELECT 1 FROM artifacts AS known WHERE known.job = ?1 AND known.name = ?2)
        OR (SELECT count(*) FROM artifacts AS known WHERE known.job = ?1) < ?9)
ON CONFLICT (job, name, namespace) DO UPDATE SET digest = excluded.digest, size = excluded.size, media = excluded.media,
    created_ms = excluded.created_ms, epoch = excluded.epoch, number = excluded.number
WHERE artifacts.input = 0 AND ((excluded.epoch, excluded.number) > (artifacts.epoch, artifacts.number)
    OR excluded.epoch = artifacts.epoch AND excluded.number = artifacts.number AND excluded.digest <> artifacts.digest)

-- name: artifact_put
SELECT input, epoch, number FROM artifacts WHERE job = ?1 AND name = ?2

-- name: is_placed
SELECT 1 FROM jobs WHERE id = ?1 AND epoch = ?2 AND session IS NOT NULL

-- name: insert_inputs
WITH given (job, name, namespace, digest, size, media, created_ms) AS (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7))
INSERT INTO artifacts (job, name, namespace, digest, size, media, created_ms, input, epoch, number)
SELECT job, name, namespace, digest, size, media, created_ms, 1, 0, 0 FROM given WHERE TRUE ON CONFLICT DO NOTHING

-- name: fork_artifact
INSERT INTO artifacts (job, name, namespace, digest, size, media, created_ms, input, epoch, number)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, 0 WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1) ON CONFLICT DO NOTHING

-- name: artifacts
SELECT name, digest, size, media, created_ms, input FROM artifacts WHERE job = ?1 ORDER BY job, name, namespace

-- name: artifact
SELECT name, digest, size, media, created_ms, input FROM artifacts WHERE job = ?1 AND name = ?2

-- name: upload
INSERT INTO artifacts (job, name, namespace, digest, size, media, created_ms, input, epoch, number)
VALUES (0, ?2, ?1, ?2, ?3, '', ?4, 0, 0, 0)
ON CONFLICT (job, name, namespace) DO UPDATE SET created_ms = excluded.created_ms

-- name: held_artifacts
SELECT DISTINCT digest, size FROM artifacts
WHERE namespace = ?1 AND digest IN (SELECT value FROM json_each(?2))

-- name: artifact_bytes
SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT digest, size FROM artifacts WHERE namespace = ?1)

-- name: referenced_artifacts
SELECT DISTINCT digest FROM artifacts WHERE digest IN (SELECT value FROM json_each(?1))

-- name: forget_uploads
DELETE FROM artifacts WHERE job = 0 AND (name, namespace) IN (
    SELECT name, namespace FROM artifacts WHERE job = 0 AND created_ms < ?1 ORDER BY job, name, namespace LIMIT ?2)

-- name: forget_uploads_of
DELETE FROM artifacts WHERE job = 0 AND namespace = ?1

-- name: delete_artifacts
DELETE FROM artifacts WHERE job IN (SELECT value FROM json_each(?1)) AND job > 0

-- name: delete_outputs
DELETE FROM artifacts WHERE job IN (SELECT value FROM json_each(?1)) AND job > 0 AND input = 0
