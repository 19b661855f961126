-- A job with the beginning of another one's journal. That may be large: it is copied in slices, each with a commit of its
-- own, under an id that no job has, so nobody sees it. The last commit makes the job itself, if all of it is there and the
-- other journal still is; else what was copied goes. Ids under which something is copied are noted in meta: what a crash
-- leaves of it goes when the store is opened again.

-- name: note_fork
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING

-- name: forget_fork
DELETE FROM meta WHERE key = ?1

-- name: fork_slice
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT ?1, 1, first, count, 0, data FROM journal
WHERE job = ?2 AND attempt = ?3 AND first >= ?4 AND first + count <= ?5
ORDER BY job, attempt, first LIMIT ?6
ON CONFLICT DO NOTHING
RETURNING first + count

-- name: fork_segment
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT ?1, 1, ?2, ?3, 0, ?4 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1)
ON CONFLICT DO NOTHING

-- name: fork_job
INSERT INTO jobs (id, state, epoch, session, created_ms, namespace, queue, priority, lane, module, name, options, input,
    wake_ms, expires_ms, concurrency, idempotency, request, tags, metadata, input_size, parent,
    parent_attempt, secrets, deadline_ms, journal_length)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26
WHERE (SELECT coalesce(sum(journal.count), 0) FROM journal WHERE journal.job = ?1 AND journal.attempt = 1) = ?26
    AND EXISTS (SELECT 1 FROM journal
        WHERE journal.job = ?27 AND journal.job <> ?1 AND journal.attempt = ?28 AND journal.first = 0)
ON CONFLICT (id) DO NOTHING

-- name: fork_term
INSERT INTO terms (namespace, term, job) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?3)
ON CONFLICT DO NOTHING

-- name: drop_unforked
DELETE FROM journal WHERE job = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1)

-- name: noted_forks
SELECT value FROM meta WHERE key >= 'fork:' AND key < 'fork;' ORDER BY key
