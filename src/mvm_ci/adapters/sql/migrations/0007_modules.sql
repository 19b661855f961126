-- Modules belong to namespaces: each of those that there are holds each module that there is. The bytes are in the blob
-- store, once.

CREATE TABLE modules_new (
    namespace TEXT NOT NULL,
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    allow_hosts TEXT NOT NULL,
    PRIMARY KEY (namespace, digest)
) STRICT, WITHOUT ROWID;

INSERT INTO modules_new (namespace, digest, name, kind, size, created_ms, allow_hosts)
SELECT namespaces.name, modules.digest, modules.name, kind, size, modules.created_ms, allow_hosts
FROM namespaces CROSS JOIN modules;

DROP TABLE modules;
ALTER TABLE modules_new RENAME TO modules;

-- number: counts the versions of a name; the highest is the newest, whatever the clock said.
CREATE TABLE module_versions (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, number)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX module_versions_version ON module_versions (namespace, name, version);
CREATE INDEX module_versions_digest ON module_versions (namespace, digest);
