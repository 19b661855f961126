-- Whether the store takes writes. A row that stays the same would not be written.

-- name: probe
INSERT INTO meta (key, value) VALUES ('probes', '1')
ON CONFLICT (key) DO UPDATE SET value = CAST(meta.value + 1 AS TEXT)
