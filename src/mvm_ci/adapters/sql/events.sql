-- Events: a row a batch, found by the number of its first event.

-- name: append_events
INSERT INTO events (first, count, at_ms, data) VALUES (?1, ?2, ?3, ?4)

-- The batch that holds the number ?1 begins at or before it.
-- name: read_events
SELECT first, count, at_ms, data FROM events
WHERE first >= coalesce((SELECT max(first) FROM events WHERE first <= ?1), 0)
    AND first + count > ?1 + 1
ORDER BY first LIMIT ?2

-- name: last_event
SELECT first + count - 1 FROM events ORDER BY first DESC LIMIT 1

-- name: trim_events
DELETE FROM events
WHERE first IN (SELECT first FROM events ORDER BY first LIMIT ?3)
    AND first < (SELECT max(first) FROM events)
    AND (at_ms < ?1 OR first + count <= (SELECT first + count FROM events ORDER BY first DESC LIMIT 1) - ?2)
RETURNING count
