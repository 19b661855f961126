-- Artifacts of jobs, and (job = 0, named by their digests) what users uploaded for jobs to come. The bytes are blobs.

-- input: the job was given it, and does not change it. epoch, number: of the placement that put it, and of the put in its
-- execution: by these a late repetition is told from a later put.
CREATE TABLE artifacts (
    job INTEGER NOT NULL,
    name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    input INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (job, name, namespace)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifacts_held ON artifacts (namespace, digest, size);
CREATE INDEX artifacts_digest ON artifacts (digest);
