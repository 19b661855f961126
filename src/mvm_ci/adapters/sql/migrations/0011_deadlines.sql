-- By when a job must have ended.

ALTER TABLE jobs ADD COLUMN deadline_ms INTEGER;

CREATE INDEX jobs_deadline ON jobs (deadline_ms) WHERE deadline_ms IS NOT NULL AND state NOT IN (7, 8, 9, 10);
