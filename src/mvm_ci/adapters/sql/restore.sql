-- A state that was restored from a backup begins anew: see mvm_ci.adapters.sql.snapshot.

-- name: placing_sessions
SELECT DISTINCT session FROM jobs WHERE session IS NOT NULL ORDER BY session

-- name: fence
UPDATE jobs SET epoch = max(epoch + 1, ?1), reported = NULL WHERE state <> {COMPLETED}

-- name: count_going_on
SELECT count(*) FROM jobs WHERE state NOT IN ({COMPLETED}, {FAILED}, {CANCELLED}, {DEAD})

-- name: close_all_sessions
UPDATE workers SET session_open = 0 WHERE session_open <> 0
