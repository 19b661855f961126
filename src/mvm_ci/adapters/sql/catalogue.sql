-- Modules of namespaces, and their names.

-- name: put_module
INSERT INTO modules (namespace, digest, name, kind, size, created_ms, allow_hosts, secrets)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (namespace, digest) DO NOTHING

-- name: modules
SELECT digest, name, kind, size, created_ms, allow_hosts, secrets FROM modules
WHERE namespace = ?1 ORDER BY created_ms DESC, digest

-- name: modules_named
SELECT digest, name, kind, size, created_ms, allow_hosts, secrets FROM modules
WHERE namespace = ?1 AND digest IN (SELECT value FROM json_each(?2)) ORDER BY created_ms DESC, digest

-- name: modules_between
SELECT digest, name, kind, size, created_ms, allow_hosts, secrets FROM modules
WHERE namespace = ?1 AND digest >= ?2 AND digest < ?3 ORDER BY namespace, digest LIMIT ?4

-- name: module_bytes
SELECT coalesce(sum(size), 0) FROM modules WHERE namespace = ?1

-- name: held_digests
SELECT DISTINCT digest FROM modules

-- name: nameless
SELECT namespace, digest FROM modules WHERE created_ms < ?1 AND NOT EXISTS (
    SELECT 1 FROM module_versions AS named
    WHERE named.namespace = modules.namespace AND named.digest = modules.digest)

-- name: remove_modules
DELETE FROM modules
WHERE (namespace, digest) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?1))
    AND NOT EXISTS (
        SELECT 1 FROM module_versions AS named
        WHERE named.namespace = modules.namespace AND named.digest = modules.digest)

-- A namespace is emptied by these two, in one transaction.
-- name: remove_versions_of
DELETE FROM module_versions WHERE namespace = ?1

-- name: remove_modules_of
DELETE FROM modules WHERE namespace = ?1

-- name: publish_module
INSERT INTO module_versions (namespace, name, number, version, digest, created_ms)
SELECT ?1, ?2, 1 + coalesce((SELECT max(number) FROM module_versions WHERE namespace = ?1 AND name = ?2), 0), ?3, ?4, ?5
WHERE EXISTS (SELECT 1 FROM modules WHERE namespace = ?1 AND digest = ?4)
ON CONFLICT (namespace, name, version) DO NOTHING

-- name: module_version
SELECT name, version, digest, created_ms, number FROM module_versions
WHERE namespace = ?1 AND name = ?2 AND version = ?3

-- name: unpublish_module
DELETE FROM module_versions WHERE namespace = ?1 AND name = ?2 AND version = ?3
RETURNING name, version, digest, created_ms, number

-- ?2: pairs of a name and a version, or NULL for the newest.
-- name: published_modules
WITH asked (name, version) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?2))
SELECT asked.version IS NULL, found.name, found.version, found.digest, found.created_ms, found.number
FROM asked CROSS JOIN module_versions AS found
ON found.namespace = ?1 AND found.name = asked.name AND found.number = CASE
    WHEN asked.version IS NULL
        THEN (SELECT max(last.number) FROM module_versions AS last WHERE last.namespace = ?1 AND last.name = asked.name)
    ELSE (SELECT one.number FROM module_versions AS one
        WHERE one.namespace = ?1 AND one.name = asked.name AND one.version = asked.version) END

-- name: module_names
SELECT name, version, digest, created_ms, number FROM module_versions
WHERE namespace = ?1 AND name > ?2 AND number = (
    SELECT max(last.number) FROM module_versions AS last
    WHERE last.namespace = ?1 AND last.name = module_versions.name)
ORDER BY namespace, name, number LIMIT ?3

-- name: module_versions
SELECT name, version, digest, created_ms, number FROM module_versions
WHERE namespace = ?1 AND name = ?2 AND (?3 IS NULL OR number < ?3) ORDER BY namespace, name, number DESC LIMIT ?4
