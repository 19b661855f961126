"""The rules for SQL that is to run on a replicated store, too; and that each statement uses its index."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from mvm_ci.adapters.sql.migrations import MIGRATIONS
from mvm_ci.adapters.sql.queries import QUERIES, for_rows, parse, read
from mvm_ci.domain.job import FINAL, PLACED, TRANSITIONS, Event, JobState, sources
from mvm_ci.domain.lane import lane

SCHEMA = "\n".join(MIGRATIONS)
FORBIDDEN = re.compile(
    r"\b(random|randomblob|strftime|unixepoch|julianday|datetime|date|time|changes|total_changes|"
    r"last_insert_rowid)\s*\(|\bcurrent_(?:timestamp|date|time)\b|'now'",
    re.IGNORECASE,
)
STORE_LEVEL = re.compile(r"\b(begin|commit|rollback|savepoint|pragma|attach|detach|vacuum)\b", re.IGNORECASE)
TYPES = {"INTEGER", "TEXT", "REAL", "BLOB"}


def primary_keys(schema: str) -> dict[str, tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(schema)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = {table: connection.execute(f"PRAGMA table_info({table})").fetchall() for table in tables}
    return {
        table: tuple(name for _, name in sorted((c[5], c[1]) for c in rows if c[5]))
        for table, rows in columns.items()
    }


def faults_of_statement(sql: str, keys: dict[str, tuple[str, ...]]) -> list[str]:
    """What is wrong with a statement, in words; nothing if it keeps the rules."""
    faults = []
    if found := FORBIDDEN.search(sql):
        faults.append(f"not deterministic: {found[0]}")
    if found := STORE_LEVEL.search(sql):
        faults.append(f"not for a statement: {found[0]}")
    numbers = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    if re.search(r"\?(?!\d)|[:@$][a-z]", re.sub(r"'[^']*'", "", sql)):
        faults.append("a placeholder without a number")
    if set(numbers) != set(range(1, max(numbers, default=0) + 1)):
        faults.append("a number without a placeholder")
    for before in re.findall(r"(.*?)\bLIMIT\b", sql, re.IGNORECASE | re.DOTALL):
        order = re.findall(r"\bORDER BY ([\w., ]+?)\s*$", before)
        table = re.findall(r"\bFROM (\w+)", before)
        columns = tuple(term.split()[0] for term in order[-1].split(",")) if order else ()
        if not order or not table or columns[-len(keys[table[-1]]) :] != keys[table[-1]]:
            faults.append("a LIMIT without an order that ends in the primary key")
    return faults


def faults_of_schema(schema: str) -> list[str]:
    """What is wrong with a schema."""
    text = re.sub(r"--.*", "", schema)
    faults = [f"not deterministic: {found[0]}" for found in FORBIDDEN.finditer(text)]
    for name, body, options in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)([^;]*);", text, re.DOTALL):
        if "STRICT" not in options:
            faults.append(f"{name} is not STRICT")
        if "PRIMARY KEY" not in body:
            faults.append(f"{name} has no primary key")
        types = re.findall(r"^ {4}[a-z_]+ ([A-Z]+)", body, re.MULTILINE)
        faults += [f"{name} has a column of type {kind}" for kind in types if kind not in TYPES]
    return faults


# -------------------------------------------------------------------- the rules


@pytest.mark.parametrize("name", QUERIES)
def test_every_statement_keeps_the_rules(name: str) -> None:
    assert faults_of_statement(QUERIES[name], primary_keys(SCHEMA)) == []


def test_the_schema_keeps_the_rules() -> None:
    assert faults_of_schema(SCHEMA) == []
    made = SCHEMA.count("CREATE TABLE") - SCHEMA.count("DROP TABLE")
    assert made == len(primary_keys(SCHEMA))


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE jobs SET id = random()", "not deterministic"),
        ("UPDATE jobs SET id = datetime('now')", "not deterministic"),
        ("SELECT CURRENT_TIMESTAMP", "not deterministic"),
        ("SELECT strftime('%s', ?1)", "not deterministic"),
        ("SELECT unixepoch()", "not deterministic"),
        ("BEGIN IMMEDIATE", "not for a statement"),
        ("PRAGMA user_version", "not for a statement"),
        ("ATTACH 'x' AS y", "not for a statement"),
        ("VACUUM", "not for a statement"),
        ("SELECT id FROM jobs WHERE id = ?", "a placeholder without a number"),
        ("SELECT id FROM jobs WHERE id = :id", "a placeholder without a number"),
        ("SELECT id FROM jobs WHERE id = ?2", "a number without a placeholder"),
        ("SELECT id FROM jobs LIMIT ?1", "a LIMIT without an order"),
        ("SELECT id FROM jobs ORDER BY wake_ms LIMIT ?1", "a LIMIT without an order"),
        ("SELECT id FROM jobs ORDER BY id, wake_ms LIMIT ?1", "a LIMIT without an order"),
        ("SELECT first FROM journal ORDER BY first LIMIT ?1", "a LIMIT without an order"),
        ("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs LIMIT ?1)", "a LIMIT without an order"),
    ],
)
def test_a_statement_that_breaks_a_rule_is_caught(sql: str, fault: str) -> None:
    assert [found for found in faults_of_statement(sql, primary_keys(SCHEMA)) if found.startswith(fault)]


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ("CREATE TABLE a (\n    id INTEGER PRIMARY KEY\n);", "a is not STRICT"),
        ("CREATE TABLE a (\n    id INTEGER\n) STRICT;", "a has no primary key"),
        ("CREATE TABLE a (\n    id ANY PRIMARY KEY\n) STRICT;", "a has a column of type ANY"),
        (
            "CREATE TABLE a (\n    id INTEGER PRIMARY KEY DEFAULT CURRENT_TIMESTAMP\n) STRICT;",
            "not deterministic: CURRENT_TIMESTAMP",
        ),
    ],
)
def test_a_schema_that_breaks_a_rule_is_caught(schema: str, fault: str) -> None:
    assert faults_of_schema(schema) == [fault]


# -------------------------------------------------------------------- the transition table


def test_the_schema_and_the_transition_table_agree() -> None:
    def listed(column: str) -> set[int]:
        numbers = re.findall(rf"{column} INTEGER CHECK .*? IN \(([\d, ]+)\)", SCHEMA)[-1]
        return {int(number) for number in numbers.split(",")}

    assert listed("session") == {int(state) for state in PLACED}
    assert listed("wake_ms") == {int(state) for state in sources(Event.WAKE)}
    assert (JobState.PENDING, JobState.IN_PROGRESS, JobState.SUSPENDED) == (0, 2, 3)
    final = ", ".join(str(int(state)) for state in sorted(FINAL))
    (children,) = re.findall(r"CREATE INDEX jobs_children .*?;", SCHEMA)
    assert f"state NOT IN ({final})" in children
    (ended,) = re.findall(r"CREATE TRIGGER child_ended .*?END;", SCHEMA, re.DOTALL)
    assert f"NEW.state IN ({final}) AND OLD.state NOT IN ({final})" in ended
    kept = ", ".join(str(int(state)) for state in sorted(FINAL - {JobState.DEAD}))
    assert f"id = NEW.parent AND state NOT IN ({kept})" in ended


def test_states_in_statements_come_from_the_transition_table() -> None:
    text = "-- name: a\nUPDATE jobs SET state = {after start} WHERE state IN {from claim} OR state = {DEAD}"
    expected = "UPDATE jobs SET state = CASE jobs.state WHEN 1 THEN 2 END WHERE state IN (0) OR state = 10"
    assert parse(text) == {"a": expected}
    # Numbers of states are written nowhere else.
    for file in ("jobs.sql", "lists.sql", "changes.sql", "reports.sql", "forks.sql"):
        assert re.findall(r"state\s*(?:=|<>|>|<|IN)\s*\(?\d", read(file)) == []


def test_one_guard_serves_the_tails_of_all_ends_but_one() -> None:
    ends = (
        *(Event.COMPLETE, Event.FAIL, Event.RETRY, Event.SUSPEND),
        *(Event.RELEASE, Event.CONTINUE, Event.PARK, Event.LOSE),
    )
    assert {sources(event) for event in ends} == {tuple(sorted(PLACED))}
    assert set(sources(Event.STOPPED)) < PLACED
    assert {TRANSITIONS[JobState.CANCELLING][event] for event in ends[1:]} == {JobState.CANCELLED}


def test_the_lane_of_old_jobs_is_the_one_without_options() -> None:
    assert re.findall(r"(\d+) \+ \(epoch > 0", SCHEMA) == [str(lane().id)]


def test_a_statement_for_rows_numbers_their_placeholders() -> None:
    assert "VALUES (?1, ?2, ?3), (?4, ?5, ?6))" in for_rows("start", 2)
    with pytest.raises(ValueError, match="takes no rows"):
        for_rows("claim", 2)


def test_a_name_that_is_not_a_state_or_event_is_refused() -> None:
    with pytest.raises(KeyError):
        parse("-- name: a\nSELECT {NOWHERE}")
    with pytest.raises(ValueError, match="vanish"):
        parse("-- name: a\nSELECT {from vanish}")


# -------------------------------------------------------------------- plans


@pytest.fixture(scope="module")
def filled() -> Iterator[sqlite3.Connection]:
    """A database with jobs in every state, and statistics as the planner would have them without ANALYZE."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        for number in range(2_000):
            state = JobState(number % len(JobState))
            session = number % 7 if state in PLACED else None
            expires_ms = number if state in sources(Event.EXPIRE) else None
            wake_ms = number if state in sources(Event.WAKE) else None
            connection.execute(
                "INSERT INTO jobs"
                " (id, state, epoch, session, wake_ms, expires_ms, created_ms, namespace, queue, priority,"
                " lane, concurrency, module, name, options, input, deadline_ms)"
                " VALUES (?1, ?2, 1, ?3, ?4, ?5, 0, 'n', 'q', 5, ?6, 'k', '', '', '', x'', ?1)",
                (number, int(state), session, wake_ms, expires_ms, number % 5),
            )
            connection.execute(
                "INSERT INTO journal (job, attempt, first, count, epoch, data) VALUES (?1, 1, 0, 1, 1, x'')",
                (number,),
            )
            connection.execute(
                "INSERT INTO mail (job, topic, key, at_ms, body, taken) VALUES (?1, 't', ?2, 0, x'', ?3)",
                (number % 50, number, number % 3),
            )
        yield connection


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    values = [0] * max(map(int, re.findall(r"\?(\d+)", sql)), default=0)
    rows = connection.execute(
        f"EXPLAIN QUERY PLAN {sql}", ["[]" if "json_each" in sql else v for v in values]
    )
    return [row[3] for row in rows]


BY_ID = "jobs USING INTEGER PRIMARY KEY"
USES = {
    "submit": [],
    "submit_plain": [],
    "claim": ["jobs USING COVERING INDEX jobs_ready (state=? AND lane=?)", BY_ID],
    "ready_lanes": ["jobs USING COVERING INDEX jobs_ready (state=? AND lane>?)", BY_ID],
    "ahead": ["jobs USING COVERING INDEX jobs_ready (state=? AND lane=? AND rowid<?)"],
    "keyed": ["jobs USING INDEX jobs_idempotent (namespace=? AND idempotency=?)"],
    "with_key": ["jobs USING COVERING INDEX jobs_keyed (namespace=? AND concurrency=?)"],
    "holders": ["jobs USING INDEX jobs_placed", "jobs USING INDEX jobs_keyed"],
    "settle": [BY_ID, "dependencies USING COVERING INDEX dependencies_upstream (upstream=?)"],
    "upstreams": ["jobs USING COVERING INDEX jobs_blocked (state=?)"],
    "expire": ["jobs USING INDEX jobs_expiring (expires_ms>? AND expires_ms<?)", BY_ID],
    "next_expiry": ["jobs USING INDEX jobs_expiring"],
    "overdue": ["jobs USING INDEX jobs_deadline (deadline_ms>? AND deadline_ms<?)", BY_ID],
    "next_deadline": ["jobs USING INDEX jobs_deadline"],
    "deadlines": ["jobs USING INDEX jobs_deadline"],
    "pause": [BY_ID],
    "resume": [BY_ID],
    "revive": [BY_ID],
    "deletable": [
        BY_ID,
        "dependencies USING COVERING INDEX dependencies_upstream (upstream=?)",
        "child USING INDEX jobs_children (parent=?)",
    ],
    "delete_jobs": [BY_ID],
    "delete_journals": ["journal USING PRIMARY KEY (job=?)"],
    "delete_terms": ["terms USING COVERING INDEX terms_of_job (job=?)"],
    "delete_dependencies": ["dependencies USING PRIMARY KEY (job=?)"],
    "start": [BY_ID],
    "cancel": [BY_ID],
    "rescue": ["jobs USING INDEX jobs_placed (session=?)"],
    "wake": ["jobs USING INDEX jobs_waiting (wake_ms<?)", BY_ID],
    "next_wake": ["jobs USING INDEX jobs_waiting"],
    "held": ["jobs USING INDEX jobs_placed (session=?)"],
    "standing": [BY_ID],
    "get": [BY_ID],
    "list": [BY_ID],
    "list_placed": ["jobs USING INDEX jobs_placed"],
    "list_state": ["jobs_listed (namespace=? AND state=? AND rowid>? AND rowid<?)"],
    "list_term": ["terms USING PRIMARY KEY (namespace=? AND term=? AND job>? AND job<?)", BY_ID],
    "waiting": ["jobs USING COVERING INDEX jobs_listed (namespace=? AND state=?)"],
    "complete": [BY_ID],
    "fail": [BY_ID],
    "retry": [BY_ID],
    "suspend": [BY_ID],
    "release": [BY_ID],
    "park": [BY_ID],
    "stopped": [BY_ID],
    "insert_segments": [BY_ID],
    "insert_last_segments": [BY_ID],
    "count_segments": [BY_ID],
    "holds_segment": [BY_ID, "journal USING PRIMARY KEY (job=? AND attempt=? AND first=?)"],
    "cut_journal": [BY_ID, "journal USING PRIMARY KEY (job=? AND attempt=? AND first>?)"],
    "shorten_journal": [BY_ID],
    "fork_slice": ["journal USING PRIMARY KEY (job=? AND attempt=? AND first>?)"],
    "noted_forks": ["meta USING PRIMARY KEY (key>? AND key<?)"],
    "fork_segment": [BY_ID],
    "fork_job": ["journal USING PRIMARY KEY (job=? AND attempt=?)", "(job=? AND attempt=? AND first=?)"],
    "fork_term": [BY_ID],
    "drop_unforked": [BY_ID, "journal USING PRIMARY KEY (job=?)"],
    "token": ["tokens USING INDEX sqlite_autoindex_tokens_2 (digest=?)"],
    "list_audit": ["audit USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "prune_audit": ["audit USING INTEGER PRIMARY KEY (rowid=?)"],
    "journal": ["journal USING PRIMARY KEY (job=? AND attempt=? AND first>?)"],
    "placing_sessions": ["jobs USING COVERING INDEX jobs_placed"],
    "finished_page": [
        f"{BY_ID} (rowid<?)",
        "journal USING PRIMARY KEY (job=?)",
        "mail USING INDEX mail_waiting (job=?)",
    ],
    "removable": [f"{BY_ID} (rowid>? AND rowid<?)"],
    "journals_removable": [f"{BY_ID} (rowid>? AND rowid<?)", "journal USING PRIMARY KEY (job=?)"],
    "keys_removable": [f"{BY_ID} (rowid>? AND rowid<?)"],
    "empty_journals": [BY_ID],
    "forget_keys": [BY_ID],
    "stored": [
        "jobs USING INDEX jobs_listed (namespace=?)",
        "jobs USING INDEX jobs_placed",
        "mail USING INDEX mail_waiting",
    ],
    "references": [f"{BY_ID} (rowid>?)"],
    "journals_between": ["journal USING PRIMARY KEY (job>? AND job<?)"],
    "remove_modules": [
        "modules USING PRIMARY KEY (namespace=? AND digest=?)",
        "named USING COVERING INDEX module_versions_digest (namespace=? AND digest=?)",
    ],
    "publish_module": [
        "modules USING PRIMARY KEY (namespace=? AND digest=?)",
        "module_versions USING PRIMARY KEY (namespace=? AND name=?)",
    ],
    "published_modules": [
        "found USING PRIMARY KEY (namespace=? AND name=? AND number=?)",
        "last USING PRIMARY KEY (namespace=? AND name=?)",
        "one USING COVERING INDEX module_versions_version (namespace=? AND name=? AND version=?)",
    ],
    "module_names": ["module_versions USING PRIMARY KEY (namespace=? AND name>?)"],
    "module_versions": ["module_versions USING PRIMARY KEY (namespace=? AND name=?)"],
    "replace_schedule": ["schedules USING PRIMARY KEY (namespace=? AND name=?)"],
    "remove_schedule": ["schedules USING PRIMARY KEY (namespace=? AND name=?)"],
    "schedule": ["schedules USING PRIMARY KEY (namespace=? AND name=?)"],
    "schedules": ["schedules USING PRIMARY KEY (namespace=? AND name>?)"],
    "schedules_due": ["schedules USING INDEX schedules_due (due_ms<?)"],
    "next_schedule": ["schedules USING COVERING INDEX schedules_due"],
    "suspend_for_mail": [BY_ID, "mail USING INDEX mail_waiting (job=?)"],
    "continue": [BY_ID],
    "trim_journals": ["journal USING PRIMARY KEY (job=?)", BY_ID],
    "send": [BY_ID, "mail USING INDEX mail_waiting (job=?)"],
    "sent": ["mail USING COVERING INDEX mail_of_job (job=? AND topic=? AND key=?)"],
    "is_over": [BY_ID],
    "mail": ["mail USING INDEX mail_waiting (job=?)"],
    "take": ["mail USING INTEGER PRIMARY KEY (rowid=?)", BY_ID, "journal USING PRIMARY KEY (job=?"],
    "children": ["jobs USING INDEX jobs_children (parent=?)"],
    "parents": ["jobs USING INDEX jobs_children"],
    "promise": ["promises USING PRIMARY KEY (id=?)"],
    "complete_promise": ["promises USING PRIMARY KEY (id=?)", BY_ID],
    "progress": [BY_ID],
    "annotate": [BY_ID],
    "unsearchable": ["terms USING COVERING INDEX terms_of_job (job=?)"],
    "searchable": [BY_ID],
    "delete_mail": ["mail USING INDEX mail_of_job (job=?)"],
    "delete_promises": ["promises USING COVERING INDEX promises_of_job (job=?)"],
    "mail_between": ["mail USING INDEX mail_waiting (job>? AND job<?)"],
    "secrets": [
        "every USING PRIMARY KEY (namespace=?)",
        "secrets USING PRIMARY KEY (namespace=? AND name=? AND version=?)",
    ],
    "sealed_secrets": ["secrets USING PRIMARY KEY (namespace=? AND name=? AND version=?)"],
    "remove_secret": ["jobs USING INDEX jobs_secrets (namespace=?)"],
    "prune_secrets": ["jobs USING INDEX jobs_secrets (namespace=? AND rowid<?)"],
    "secrets_after": ["secrets USING PRIMARY KEY"],
    "forget_full_levels": [
        "rates USING PRIMARY KEY (namespace=? AND key=?)",
        "rates USING COVERING INDEX rates_full (full_ms<?)",
    ],
}


def triggered() -> Iterator[tuple[str, str]]:
    """What the schema's triggers do, as statements with parameters; and the trigger."""
    for name, body in re.findall(r"CREATE TRIGGER (\w+) .*?\nBEGIN\n(.*?)\nEND;", SCHEMA, re.DOTALL):
        columns = sorted(set(re.findall(r"NEW\.\w+", body)), key=len, reverse=True)
        statement = body
        for number, column in enumerate(columns, 1):
            statement = statement.replace(column, f"?{number}")
        yield name, statement


@pytest.mark.parametrize(("name", "statement"), list(triggered()))
def test_triggers_find_their_rows_by_key(filled: sqlite3.Connection, name: str, statement: str) -> None:
    steps = plan(filled, statement)
    assert any(BY_ID in step for step in steps)
    assert [step for step in steps if step.startswith("SCAN") and "json_each" not in step] == (
        ["SCAN CONSTANT ROW"] if name == "child_ended" else []
    )


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("rows", [1, 64])
def test_statements_use_their_index(filled: sqlite3.Connection, name: str, rows: int) -> None:
    takes_rows = "/* rows */" in QUERIES[name]
    steps = plan(filled, for_rows(name, rows) if takes_rows else QUERIES[name])
    assert [use for use in USES[name] if not any(use in step for step in steps)] == []
    # Walking an index in its order is no scan of the table; sorting is for few jobs.
    scans = [
        step
        for step in steps
        if re.match(r"SCAN (jobs|journal|schedules|rates|mail|promises)\b(?!.*USING)", step)
    ]
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert scans == []
    assert sorts == [] or name in {"list_placed", "with_key", "upstreams"}


@pytest.mark.parametrize("name", ["send", "sent", "mail", "take", "suspend_for_mail", "parents", "children"])
def test_what_is_over_costs_mail_nothing(name: str) -> None:
    """As many steps of SQLite's machine with thousands of taken letters and ended children as with none."""

    def steps(over: int) -> int:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(SCHEMA)
            new_job = (
                "INSERT INTO jobs (id, state, epoch, session, parent, parent_attempt, created_ms, namespace,"
                " queue, priority, lane, module, name, options, input)"
                " VALUES (?1, ?2, 1, ?3, ?4, 1, 0, 'n', 'q', 5, 1, '', '', '', x'')"
            )
            connection.execute(new_job, (1, int(JobState.IN_PROGRESS), 7, None))
            connection.execute(new_job, (2, int(JobState.PENDING), None, 1))
            letter = "INSERT INTO mail (job, topic, key, at_ms, taken) VALUES (1, 'message:', ?1, 0, ?2)"
            connection.execute(letter, (0, 0))
            ended = int(JobState.COMPLETED)
            connection.executemany(new_job, [(10 + number, ended, None, 1) for number in range(over)])
            connection.executemany(letter, [(1 + number, 1) for number in range(over)])
            counted = 0

            def count() -> None:
                nonlocal counted
                counted += 1

            values: dict[str, tuple[object, ...]] = {
                "send": (1, "message:", "new", 0, None, -1, None, 10_000),
                "sent": (1, "message:", "new"),
                "mail": (1, '["message:"]', 100),
                "take": (1, 1, 0, "[1]"),
                "suspend_for_mail": (1, 1, -1, 0, 5, 0, 1 << 40, '["message:other"]'),
                "parents": (),
                "children": ("[1]",),
            }
            connection.set_progress_handler(count, 1)
            connection.execute(QUERIES[name], values[name]).fetchall()
            return counted

    assert steps(3_000) == pytest.approx(steps(0), rel=0.1)
