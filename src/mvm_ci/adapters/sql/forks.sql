-- A job with the beginning of another one's journal. Its journal is written first, under an id that no job has: nobody
-- sees it. The job itself follows only if all of it is there; else what was written goes. All in one transaction.

-- name: fork_journal
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT ?1, 1, first, count, 0, data FROM journal
WHERE job = ?2 AND attempt = ?3 AND first >= ?4 AND first + count <= ?5
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1)
ON CONFLICT DO NOTHING

-- name: fork_segment
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT ?1, 1, ?2, ?3, 0, ?4 WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1)
ON CONFLICT DO NOTHING

-- name: fork_job
INSERT INTO jobs (id, state, epoch, session, created_ms, namespace, queue, priority, lane, module, name, options, input,
    wake_ms, expires_ms, concurrency, idempotency, request, tags, metadata, input_size, journal_length)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22
WHERE (SELECT coalesce(sum(journal.count), 0) FROM journal WHERE journal.job = ?1 AND journal.attempt = 1) = ?22
ON CONFLICT (id) DO NOTHING

-- name: fork_term
INSERT INTO terms (namespace, term, job) SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?3)
ON CONFLICT DO NOTHING

-- name: drop_unforked
DELETE FROM journal WHERE job = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = ?1)
