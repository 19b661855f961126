-- Lists of jobs, newest first. ?1 to ?3: first and last id, how many.

-- name: list
SELECT {COLUMNS} FROM jobs WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3

-- name: list_term
SELECT {COLUMNS} FROM (
    SELECT job FROM terms WHERE namespace = ?4 AND term = ?5 AND job >= ?1 AND job <= ?2
    ORDER BY namespace, term, job DESC LIMIT ?3) AS found
CROSS JOIN jobs ON jobs.id = found.job

-- ?4 to ?7: namespace, queue, module and name, the last three NULL for any; ?8: the state.
-- name: list_state
SELECT {COLUMNS} FROM jobs
WHERE namespace = ?4 AND state = ?8 AND state NOT IN ({CLAIMED}, {IN_PROGRESS}) AND id >= ?1 AND id <= ?2
    AND (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
ORDER BY id DESC LIMIT ?3

-- name: list_placed
SELECT {COLUMNS} FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND namespace = ?4 AND state = ?8 AND id >= ?1 AND id <= ?2
    AND (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
ORDER BY id DESC LIMIT ?3

-- name: counts
SELECT namespace, state, count(*) FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND state IN ({CLAIMED}, {IN_PROGRESS}) GROUP BY namespace, state
UNION ALL
SELECT namespace, state, count(*) FROM jobs WHERE state NOT IN ({CLAIMED}, {IN_PROGRESS}) GROUP BY namespace, state

-- name: waiting
SELECT count(*) FROM jobs WHERE namespace = ?1
    AND state IN ({PENDING}, {SUSPENDED}, {SCHEDULED}, {PAUSED}, {BLOCKED}) AND state NOT IN ({CLAIMED}, {IN_PROGRESS})

-- Of a blob its size counts, not the digest that stands for it; of mail, what others sent.
-- name: stored
SELECT coalesce(sum(size), 0) FROM (
    SELECT coalesce(input_size, length(input)) + coalesce(result_size, length(result), 0) AS size
    FROM jobs INDEXED BY jobs_listed WHERE namespace = ?1 AND state NOT IN ({CLAIMED}, {IN_PROGRESS})
    UNION ALL
    SELECT coalesce(input_size, length(input)) + coalesce(result_size, length(result), 0)
    FROM jobs INDEXED BY jobs_placed
    WHERE session IS NOT NULL AND namespace = ?1 AND state IN ({CLAIMED}, {IN_PROGRESS})
    UNION ALL
    SELECT coalesce(mail.body_size, length(mail.body), 0)
    FROM mail INDEXED BY mail_waiting CROSS JOIN jobs ON jobs.id = mail.job
    WHERE mail.taken = 0 AND mail.state IS NULL AND jobs.namespace = ?1)
