-- data: the schedule as JSON. due_ms: when something is to be done for it.
CREATE TABLE schedules (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    due_ms INTEGER,
    data TEXT NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_due ON schedules (due_ms, namespace, name) WHERE due_ms IS NOT NULL;
