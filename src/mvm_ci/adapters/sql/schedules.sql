-- Schedules. data: the schedule as JSON; the columns beside it are those that statements compare.

-- name: add_schedule
INSERT INTO schedules (namespace, name, revision, due_ms, data) VALUES (?1, ?2, 1, ?3, ?4)
ON CONFLICT (namespace, name) DO NOTHING

-- name: replace_schedule
UPDATE schedules SET revision = ?3 + 1, due_ms = ?4, data = ?5
WHERE namespace = ?1 AND name = ?2 AND revision = ?3

-- name: remove_schedule
DELETE FROM schedules WHERE namespace = ?1 AND name = ?2

-- name: schedule
SELECT revision, data FROM schedules WHERE namespace = ?1 AND name = ?2

-- name: schedules
SELECT revision, data FROM schedules WHERE namespace = ?1 AND name > ?2 ORDER BY namespace, name LIMIT ?3

-- name: schedules_due
SELECT revision, data FROM schedules WHERE due_ms <= ?1 ORDER BY due_ms, namespace, name LIMIT ?2

-- name: next_schedule
SELECT min(due_ms) FROM schedules WHERE due_ms IS NOT NULL

-- The job is JSON text within the JSON.
-- name: schedules_modules
SELECT DISTINCT namespace, json_extract(json_extract(data, '$.job'), '$.module') FROM schedules
