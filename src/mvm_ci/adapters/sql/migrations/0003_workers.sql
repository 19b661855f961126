-- What workers say of themselves, drains with a deadline, and join tokens by name.

ALTER TABLE workers ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE workers ADD COLUMN ephemeral INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workers ADD COLUMN drain_by_ms INTEGER;
ALTER TABLE workers ADD COLUMN protocol INTEGER NOT NULL DEFAULT 0;

-- Keys that were revoked and whose workers were forgotten since: they stay refused.
CREATE TABLE revoked_keys (
    id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

ALTER TABLE join_tokens ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- How often it could be used in all; 0 for tokens from before this was kept.
ALTER TABLE join_tokens ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
