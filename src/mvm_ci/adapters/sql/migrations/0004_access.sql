-- Tokens with an id, a namespace ('*': all), an expiry and revocation; namespaces with quotas; the audit log.

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    namespace TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    last_used_ms INTEGER,
    created_by TEXT NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO tokens (id, digest, name, role, namespace, created_ms, created_by)
SELECT 'at' || substr(digest, 1, 16), digest, name, role, '*', created_ms, '' FROM api_tokens;

DROP TABLE api_tokens;

-- A limit that is NULL is none.
CREATE TABLE namespaces (
    name TEXT NOT NULL PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    max_waiting INTEGER,
    max_running INTEGER,
    max_bytes INTEGER
) STRICT, WITHOUT ROWID;

INSERT INTO namespaces (name, created_ms) VALUES ('default', 0);

-- No index: it would cost every submission more than it would save the few who read. Read backwards, in parts.
CREATE TABLE audit (
    seq INTEGER NOT NULL PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    token TEXT NOT NULL,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    namespace TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
