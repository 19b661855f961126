-- Lists of jobs, newest first. ?1 to ?3: first and last id, how many. ?4 to ?7: namespace, queue, module and name, or
-- NULL for any. ?8: a JSON array of terms, all of which a job must have. ?9: the state.

-- name: list
SELECT {COLUMNS} FROM jobs
WHERE id >= ?1 AND id <= ?2 AND (?4 IS NULL OR namespace = ?4) AND (?5 IS NULL OR queue = ?5)
    AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
    AND NOT EXISTS (SELECT 1 FROM json_each(?8) AS term
        WHERE NOT EXISTS (SELECT 1 FROM terms WHERE terms.namespace = jobs.namespace AND terms.term = term.value
            AND terms.job = jobs.id))
ORDER BY id DESC LIMIT ?3

-- name: list_state
SELECT {COLUMNS} FROM jobs
WHERE namespace = ?4 AND state = ?9 AND state NOT IN ({CLAIMED}, {IN_PROGRESS}) AND id >= ?1 AND id <= ?2
    AND (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
    AND NOT EXISTS (SELECT 1 FROM json_each(?8) AS term
        WHERE NOT EXISTS (SELECT 1 FROM terms WHERE terms.namespace = jobs.namespace AND terms.term = term.value
            AND terms.job = jobs.id))
ORDER BY id DESC LIMIT ?3

-- name: list_placed
SELECT {COLUMNS} FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND namespace = ?4 AND state = ?9 AND id >= ?1 AND id <= ?2
    AND (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
    AND NOT EXISTS (SELECT 1 FROM json_each(?8) AS term
        WHERE NOT EXISTS (SELECT 1 FROM terms WHERE terms.namespace = jobs.namespace AND terms.term = term.value
            AND terms.job = jobs.id))
ORDER BY id DESC LIMIT ?3

-- The first term leads to the jobs, the others must hold, too. ?9: a JSON array of states, empty for any; ?10: the term.
-- name: list_term
SELECT {COLUMNS} FROM terms AS found CROSS JOIN jobs ON jobs.id = found.job
WHERE found.namespace = ?4 AND found.term = ?10 AND found.job >= ?1 AND found.job <= ?2
    AND (?5 IS NULL OR queue = ?5) AND (?6 IS NULL OR module = ?6) AND (?7 IS NULL OR name = ?7)
    AND NOT EXISTS (SELECT 1 FROM json_each(?8) AS term
        WHERE NOT EXISTS (SELECT 1 FROM terms WHERE terms.namespace = found.namespace AND terms.term = term.value
            AND terms.job = found.job))
    AND (?9 = '[]' OR jobs.state IN (SELECT value FROM json_each(?9)))
ORDER BY found.job DESC LIMIT ?3

-- name: counts
SELECT namespace, state, count(*) FROM jobs INDEXED BY jobs_placed
WHERE session IS NOT NULL AND state IN ({CLAIMED}, {IN_PROGRESS}) GROUP BY namespace, state
UNION ALL
SELECT namespace, state, count(*) FROM jobs WHERE state NOT IN ({CLAIMED}, {IN_PROGRESS}) GROUP BY namespace, state

-- name: waiting
SELECT count(*) FROM (
    SELECT id FROM jobs WHERE namespace = ?1 AND state IN (
        {PENDING}, {SUSPENDED}, {SCHEDULED}, {PAUSED}, {BLOCKED}) AND state NOT IN ({CLAIMED}, {IN_PROGRESS})
    ORDER BY id LIMIT ?2)
