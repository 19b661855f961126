-- Join tokens, workers.

-- name: put_join_token
INSERT INTO join_tokens (id, digest, created_ms, expires_ms, uses_left, name, uses)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT DO NOTHING

-- name: join_tokens
SELECT id, digest, created_ms, expires_ms, uses_left, name, uses FROM join_tokens ORDER BY id

-- name: join_token
SELECT id, digest, created_ms, expires_ms, uses_left, name, uses FROM join_tokens WHERE digest = ?1

-- name: use_join_token
UPDATE join_tokens SET uses_left = uses_left - 1 WHERE digest = ?1 AND uses_left > 0 AND expires_ms > ?2

-- name: remove_join_token
DELETE FROM join_tokens WHERE id = ?1

-- name: enter_worker
INSERT INTO workers
    (id, name, state, joined_ms, version, platform, slots, session, incarnation, session_open, seen_ms, labels,
    ephemeral, drain_by_ms, protocol, role)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (id) DO NOTHING

-- name: open_session
UPDATE workers SET
    name = ?2, version = ?3, platform = ?4, slots = ?5, session = ?6, incarnation = ?7,
    session_open = 1, seen_ms = ?8, labels = ?9, ephemeral = ?10, protocol = ?11, role = ?12
WHERE id = ?1

-- name: close_session
UPDATE workers SET session_open = 0, seen_ms = ?3 WHERE id = ?1 AND session = ?2

-- 2 is REVOKED, which is for good.
-- name: set_worker_state
UPDATE workers SET state = ?2, drain_by_ms = ?3 WHERE id = ?1 AND (state <> 2 OR ?2 = 2)

-- A worker is forgotten by these two, in this order and in one transaction.
-- name: bar_key
INSERT INTO revoked_keys (id) SELECT id FROM workers WHERE id = ?1 AND session_open = 0 AND state = 2
ON CONFLICT (id) DO NOTHING

-- name: remove_worker
DELETE FROM workers WHERE id = ?1 AND session_open = 0

-- name: barred_key
SELECT id FROM revoked_keys WHERE id = ?1

-- name: worker
SELECT id, name, state, joined_ms, version, platform, slots, session, incarnation, session_open, seen_ms, labels,
    ephemeral, drain_by_ms, protocol, role
FROM workers WHERE id = ?1

-- name: workers
SELECT id, name, state, joined_ms, version, platform, slots, session, incarnation, session_open, seen_ms, labels,
    ephemeral, drain_by_ms, protocol, role
FROM workers ORDER BY id
