-- Children, and what comes to a job from others while it runs.

-- parent: of a child that nobody revived, with the attempt that started it.
-- awaits: the topics of mail that wake the job, a JSON array, while it is suspended for one. first_attempt: of the
-- present run: a job that goes on as new begins to count its attempts anew. progress: what its guest said last, as JSON.
ALTER TABLE jobs ADD COLUMN parent INTEGER;
ALTER TABLE jobs ADD COLUMN parent_attempt INTEGER;
ALTER TABLE jobs ADD COLUMN awaits TEXT;
ALTER TABLE jobs ADD COLUMN first_attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE jobs ADD COLUMN progress TEXT;

CREATE INDEX jobs_children ON jobs (parent) WHERE parent IS NOT NULL AND state NOT IN (7, 8, 9, 10);

-- What is taken stays, without its contents, as long as its job: so a letter that is sent again is known. state: how a
-- child ended; NULL for all else.
CREATE TABLE mail (
    number INTEGER NOT NULL PRIMARY KEY,
    job INTEGER NOT NULL,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    state INTEGER,
    body BLOB,
    body_size INTEGER,
    failure TEXT,
    taken INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX mail_of_job ON mail (job, topic, key);
CREATE INDEX mail_waiting ON mail (job, number) WHERE taken = 0;

-- digest: SHA-256 of the token that completes it, hex.
CREATE TABLE promises (
    id TEXT NOT NULL PRIMARY KEY,
    job INTEGER NOT NULL,
    label TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    completed_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX promises_of_job ON promises (job);

-- However a child ends, its parent hears of it in the same transaction: also one that is dead (10), which goes on in its
-- attempt if it is revived.
CREATE TRIGGER child_ended AFTER UPDATE OF state ON jobs
WHEN NEW.parent IS NOT NULL AND NEW.state IN (7, 8, 9, 10) AND OLD.state NOT IN (7, 8, 9, 10)
BEGIN
    INSERT INTO mail (job, topic, key, at_ms, state, body, body_size, failure)
    SELECT NEW.parent, 'child:' || NEW.id, '', NEW.finished_ms, NEW.state, NEW.result, NEW.result_size, NEW.failure
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = NEW.parent AND state NOT IN (7, 8, 9))
    ON CONFLICT DO NOTHING;
END;

-- Whatever comes for a job that is suspended for it wakes the job in the same transaction.
CREATE TRIGGER mail_arrived AFTER INSERT ON mail
BEGIN
    UPDATE jobs SET state = 0, wake_ms = NULL
    WHERE id = NEW.job AND state = 3 AND awaits IS NOT NULL
        AND NEW.topic IN (SELECT value FROM json_each(awaits));
END;
