-- What a peer is: a worker, one that follows an engine elsewhere, or an engine.

ALTER TABLE workers ADD COLUMN role TEXT NOT NULL DEFAULT 'worker';
