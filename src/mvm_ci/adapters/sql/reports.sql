-- How placements end, and their journals. Every statement is guarded by the placement's epoch, the states in which the
-- event is legal, and for a tail by the journal's length: what does not fit changes nothing. -1 stands for no tail (first)
-- and for no blob (result_size): to bind a NULL costs as much as ten numbers.

-- name: complete
WITH ended (job, epoch, first, entries, reported, now_ms, result, result_size) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))
UPDATE jobs SET
    state = {COMPLETED}, session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = ended.now_ms, result = ended.result, result_size = nullif(ended.result_size, -1)
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from complete}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- name: fail
WITH ended (job, epoch, first, entries, reported, now_ms, failure) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7))
UPDATE jobs SET
    state = {after fail}, session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = ended.now_ms,
    failure = CASE jobs.state WHEN {CANCELLING} THEN jobs.failure ELSE ended.failure END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from fail}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- name: retry
WITH ended (job, epoch, first, entries, reported, now_ms, failure, retry_ms) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))
UPDATE jobs SET
    state = {after retry}, session = NULL, reported = ended.reported,
    lane = CASE jobs.state WHEN {CANCELLING} THEN jobs.lane ELSE jobs.lane & -2 END,
    journal_length = CASE jobs.state WHEN {CANCELLING} THEN jobs.journal_length + ended.entries ELSE 0 END,
    attempt = jobs.attempt + (jobs.state <> {CANCELLING}),
    started_ms = CASE jobs.state WHEN {CANCELLING} THEN jobs.started_ms END,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END,
    failure = CASE jobs.state WHEN {CANCELLING} THEN jobs.failure ELSE ended.failure END,
    wake_ms = CASE jobs.state WHEN {CANCELLING} THEN NULL ELSE ended.retry_ms END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from retry}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- name: suspend
WITH ended (job, epoch, first, entries, reported, now_ms, wake_ms) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7))
UPDATE jobs SET
    state = CASE
        WHEN jobs.state NOT IN ({CANCELLING}, {PAUSING}) AND ended.wake_ms <= ended.now_ms THEN {PENDING}
        ELSE {after suspend} END,
    session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END,
    wake_ms = CASE WHEN jobs.state <> {CANCELLING} AND ended.wake_ms > ended.now_ms THEN ended.wake_ms END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from suspend}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- Mail that came while the report was on its way is there: the job does not sleep over it.
-- name: suspend_for_mail
WITH ended (job, epoch, first, entries, reported, now_ms, wake_ms, topics) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)),
due (job, epoch, first, entries, reported, wake_ms, topics, now_ms, arrived) AS MATERIALIZED (
    SELECT job, epoch, first, entries, reported, wake_ms, topics, now_ms, wake_ms <= now_ms OR EXISTS (
        SELECT 1 FROM mail INDEXED BY mail_waiting WHERE mail.job = ended.job AND mail.taken = 0
            AND mail.topic IN (SELECT value FROM json_each(ended.topics)))
    FROM ended)
UPDATE jobs SET
    state = CASE WHEN jobs.state NOT IN ({CANCELLING}, {PAUSING}) AND due.arrived THEN {PENDING}
        ELSE {after suspend} END,
    session = NULL, reported = due.reported,
    journal_length = jobs.journal_length + due.entries,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN due.now_ms END,
    awaits = CASE WHEN jobs.state <> {CANCELLING} THEN due.topics END,
    wake_ms = CASE WHEN jobs.state <> {CANCELLING} AND NOT due.arrived THEN due.wake_ms END
FROM due
WHERE jobs.id = due.job AND jobs.epoch = due.epoch AND jobs.state IN {from suspend}
    AND (due.first = -1 AND due.entries = 0 OR due.first = jobs.journal_length AND due.entries > 0)

-- name: continue
WITH ended (job, epoch, first, entries, reported, now_ms, input, input_size) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))
UPDATE jobs SET
    state = {after continue}, session = NULL, reported = ended.reported,
    journal_length = CASE jobs.state WHEN {CANCELLING} THEN jobs.journal_length + ended.entries ELSE 0 END,
    attempt = jobs.attempt + (jobs.state <> {CANCELLING}),
    first_attempt = CASE jobs.state WHEN {CANCELLING} THEN jobs.first_attempt ELSE jobs.attempt + 1 END,
    started_ms = CASE jobs.state WHEN {CANCELLING} THEN jobs.started_ms END,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END,
    input = CASE jobs.state WHEN {CANCELLING} THEN jobs.input ELSE ended.input END,
    input_size = CASE jobs.state WHEN {CANCELLING} THEN jobs.input_size ELSE nullif(ended.input_size, -1) END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from continue}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- Of a job that goes on as new again and again the last two journals are kept.
-- name: trim_journals
WITH ended (job) AS (VALUES /* rows */ (?1))
DELETE FROM journal WHERE job IN (SELECT job FROM ended)
    AND attempt < (SELECT jobs.attempt - 1 FROM jobs WHERE jobs.id = journal.job AND jobs.first_attempt = jobs.attempt)

-- name: release
WITH ended (job, epoch, first, entries, reported, now_ms) AS (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6))
UPDATE jobs SET
    state = {after release}, session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from release}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- name: park
WITH ended (job, epoch, first, entries, reported, now_ms, failure) AS
    (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6, ?7))
UPDATE jobs SET
    state = {after park}, session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END,
    failure = CASE jobs.state WHEN {CANCELLING} THEN jobs.failure ELSE ended.failure END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from park}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- name: stopped
WITH ended (job, epoch, first, entries, reported, now_ms) AS (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5, ?6))
UPDATE jobs SET
    state = {after stopped}, session = NULL, reported = ended.reported,
    journal_length = jobs.journal_length + ended.entries,
    finished_ms = CASE jobs.state WHEN {CANCELLING} THEN ended.now_ms END
FROM ended
WHERE jobs.id = ended.job AND jobs.epoch = ended.epoch AND jobs.state IN {from stopped}
    AND (ended.first = -1 AND ended.entries = 0 OR ended.first = jobs.journal_length AND ended.entries > 0)

-- A segment is inserted first and counted after: both statements have the same guards.

-- name: insert_segments
WITH added (job, epoch, first, entries, data) AS (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5))
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT added.job, jobs.attempt, added.first, added.entries, added.epoch, added.data
FROM added CROSS JOIN jobs ON jobs.id = added.job
WHERE jobs.epoch = added.epoch AND jobs.state IN {from lose}
    AND added.first = jobs.journal_length AND added.entries > 0

-- Of a report that a guest was stopped: that is an end only where the job is being cancelled or paused.
-- name: insert_last_segments
WITH added (job, epoch, first, entries, data) AS (VALUES /* rows */ (?1, ?2, ?3, ?4, ?5))
INSERT INTO journal (job, attempt, first, count, epoch, data)
SELECT added.job, jobs.attempt, added.first, added.entries, added.epoch, added.data
FROM added CROSS JOIN jobs ON jobs.id = added.job
WHERE jobs.epoch = added.epoch AND jobs.state IN {from stopped}
    AND added.first = jobs.journal_length AND added.entries > 0

-- name: count_segments
WITH added (job, epoch, first, entries) AS (VALUES /* rows */ (?1, ?2, ?3, ?4))
UPDATE jobs SET journal_length = jobs.journal_length + added.entries
FROM added
WHERE jobs.id = added.job AND jobs.epoch = added.epoch AND jobs.state IN {from lose}
    AND added.first = jobs.journal_length AND added.entries > 0

-- Whether a segment is there exactly as its placement would append it.
-- name: holds_segment
SELECT 1 FROM journal JOIN jobs ON jobs.id = journal.job AND jobs.attempt = journal.attempt
WHERE journal.job = ?1 AND journal.epoch = ?2 AND journal.first = ?3 AND journal.count = ?4 AND journal.data = ?5

-- name: journal
SELECT first, count, data FROM journal
WHERE job = ?1 AND attempt = ?2 AND first + count > ?3
    AND first >= coalesce((SELECT max(first) FROM journal WHERE job = ?1 AND attempt = ?2 AND first <= ?3), 0)
ORDER BY job, attempt, first LIMIT ?4

-- Both have the same guards, too.
-- name: cut_journal
DELETE FROM journal
WHERE job = ?1 AND first >= ?3
    AND attempt = (SELECT jobs.attempt FROM jobs WHERE jobs.id = ?1 AND jobs.epoch = ?2 AND jobs.state IN {from lose}
        AND jobs.journal_length >= ?3)

-- name: shorten_journal
UPDATE jobs SET journal_length = ?3
WHERE id = ?1 AND epoch = ?2 AND state IN {from lose} AND journal_length >= ?3
