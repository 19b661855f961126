-- What is left of the rates of concurrency keys.

-- name: note_levels
INSERT INTO rates (namespace, key, tokens, at_ms, full_ms) VALUES /* rows */ (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (namespace, key) DO UPDATE SET
    tokens = excluded.tokens, at_ms = excluded.at_ms, full_ms = excluded.full_ms

-- name: forget_full_levels
DELETE FROM rates WHERE (namespace, key) IN (
    SELECT namespace, key FROM rates WHERE full_ms <= ?1 ORDER BY full_ms, namespace, key LIMIT ?2)

-- name: set_levels_back
UPDATE rates SET at_ms = ?1, full_ms = full_ms - (at_ms - ?1) WHERE at_ms > ?1

-- name: levels
SELECT namespace, key, tokens, at_ms, full_ms FROM rates ORDER BY namespace, key
