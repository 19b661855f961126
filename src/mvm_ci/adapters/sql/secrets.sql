-- Secrets of namespaces, in versions.

-- name: add_secret_version
INSERT INTO secrets (namespace, name, version, modules, created_ms, after_job, sealed)
SELECT ?1, ?2, ?3,
    coalesce(?4, (SELECT newest.modules FROM secrets AS newest
        WHERE newest.namespace = ?1 AND newest.name = ?2 AND newest.version = ?3 - 1), '[]'),
    ?5, coalesce((SELECT max(id) FROM jobs), 0), ?6
WHERE ?3 = 1 + coalesce((SELECT max(version) FROM secrets AS known WHERE known.namespace = ?1 AND known.name = ?2), 0)
ON CONFLICT DO NOTHING

-- name: allow_secret
UPDATE secrets SET modules = ?3 WHERE namespace = ?1 AND name = ?2

-- ?2: the names, or NULL for all.
-- name: secrets
SELECT secrets.name, secrets.version, secrets.modules, secrets.created_ms, counted.versions
FROM (SELECT name, max(version) AS newest, count(*) AS versions FROM secrets AS every
    WHERE every.namespace = ?1 AND (?2 IS NULL OR every.name IN (SELECT value FROM json_each(?2)))
    GROUP BY every.name) AS counted
CROSS JOIN secrets ON secrets.namespace = ?1 AND secrets.name = counted.name AND secrets.version = counted.newest

-- ?2: pairs of a name and a version, or NULL for the newest.
-- name: sealed_secrets
SELECT secrets.namespace, secrets.name, secrets.version, secrets.sealed
FROM json_each(?2) AS asked CROSS JOIN secrets
ON secrets.namespace = ?1 AND secrets.name = json_extract(asked.value, '$[0]')
    AND secrets.version = coalesce(json_extract(asked.value, '$[1]'), (SELECT max(version) FROM secrets AS every
        WHERE every.namespace = ?1 AND every.name = json_extract(asked.value, '$[0]')))

-- name: remove_secret
DELETE FROM secrets WHERE namespace = ?1 AND name = ?2 AND NOT EXISTS (
    SELECT 1 FROM jobs CROSS JOIN json_each(jobs.secrets) AS named
    WHERE jobs.namespace = ?1 AND jobs.secrets IS NOT NULL AND jobs.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED})
        AND named.value = ?2)

-- name: remove_secrets_of
DELETE FROM secrets WHERE namespace = ?1

-- A job up to the version that came next may have been told this one.
-- name: prune_secrets
DELETE FROM secrets
WHERE version < (SELECT max(version) FROM secrets AS every
        WHERE every.namespace = secrets.namespace AND every.name = secrets.name)
    AND NOT EXISTS (
        SELECT 1 FROM jobs CROSS JOIN json_each(jobs.secrets) AS named
        WHERE jobs.namespace = secrets.namespace AND jobs.secrets IS NOT NULL
            AND jobs.state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}) AND named.value = secrets.name
            AND jobs.id <= (SELECT min(later.after_job) FROM secrets AS later
                WHERE later.namespace = secrets.namespace AND later.name = secrets.name
                    AND later.version > secrets.version))

-- name: secrets_after
SELECT namespace, name, version, sealed FROM secrets
WHERE (namespace, name, version) > (?1, ?2, ?3) ORDER BY namespace, name, version LIMIT ?4

-- name: reseal_secret
UPDATE secrets SET sealed = ?4 WHERE namespace = ?1 AND name = ?2 AND version = ?3

-- name: discard_secret
DELETE FROM secrets WHERE namespace = ?1 AND name = ?2 AND version = ?3
