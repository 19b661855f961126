-- Tokens, namespaces, the audit log.

-- name: put_token
INSERT INTO tokens
    (id, digest, name, role, namespace, created_ms, expires_ms, last_used_ms, created_by, revoked_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT DO NOTHING

-- name: token
SELECT id, digest, name, role, namespace, created_ms, expires_ms, last_used_ms, created_by, revoked_ms
FROM tokens WHERE digest = ?1

-- name: tokens
SELECT id, digest, name, role, namespace, created_ms, expires_ms, last_used_ms, created_by, revoked_ms
FROM tokens ORDER BY created_ms, id

-- name: revoke_token
UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?2) WHERE id = ?1
RETURNING id, digest, name, role, namespace, created_ms, expires_ms, last_used_ms, created_by, revoked_ms

-- name: revoke_tokens_of
UPDATE tokens SET revoked_ms = coalesce(revoked_ms, ?2) WHERE namespace = ?1

-- name: token_used
UPDATE tokens SET last_used_ms = max(coalesce(last_used_ms, 0), ?2) WHERE id = ?1

-- name: put_namespace
INSERT INTO namespaces (name, created_ms, max_waiting, max_running, max_bytes) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO NOTHING

-- name: set_quota
UPDATE namespaces SET max_waiting = ?2, max_running = ?3, max_bytes = ?4 WHERE name = ?1

-- name: delete_namespace
DELETE FROM namespaces WHERE name = ?1

-- name: namespaces
SELECT name, created_ms, max_waiting, max_running, max_bytes FROM namespaces ORDER BY name

-- name: record_audit
INSERT INTO audit (at_ms, token, name, address, namespace, action, target, outcome)
VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: ends_of_audit
SELECT (SELECT seq FROM audit ORDER BY seq LIMIT 1), (SELECT seq FROM audit ORDER BY seq DESC LIMIT 1)

-- name: list_audit
SELECT seq, at_ms, token, name, address, namespace, action, target, outcome FROM audit
WHERE seq >= ?1 AND seq < ?2
    AND (?3 IS NULL OR at_ms >= ?3) AND (?4 IS NULL OR token = ?4 OR name = ?4)
    AND (?5 IS NULL OR action = ?5) AND (?6 IS NULL OR namespace = ?6)
ORDER BY seq DESC LIMIT ?7

-- name: prune_audit
DELETE FROM audit
WHERE seq IN (SELECT seq FROM audit ORDER BY seq LIMIT ?2) AND at_ms < ?1 AND seq < (SELECT max(seq) FROM audit)
