"""Mistakes that the suite must catch: each is a text of the code, what it becomes, and the tests that see it.

A text is short and stands in its file exactly once; whoever changes that line adapts the mutant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
CODE: Final = Path("src", "mvm_ci")


class Mutant(NamedTuple):
    """``file`` is below ``CODE``; ``tests`` is the smallest selection that must fail."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """The file's text with the mistake in it. Raises ``ValueError`` if ``before`` is not there once."""
        text = (root / CODE / self.file).read_text()
        found = text.count(self.before)
        if found != 1:
            raise ValueError(f"{self.name}: {self.file} holds its text {found} times, not once")
        return text.replace(self.before, self.after)


EXECUTE: Final = "tests/unit/journal/test_execute.py"
REQUESTS: Final = "tests/unit/journal/test_requests.py"
ENGINE: Final = "tests/contract/test_engine.py"
QUEUE: Final = "tests/contract/test_job_queue.py"
REPORTS: Final = "tests/contract/test_job_queue_reports.py"
CATALOGUE: Final = "tests/contract/test_catalogue.py"
PLANE_MODULES: Final = "tests/integration/control_plane/test_modules.py"
PLANE_JOBS: Final = "tests/integration/control_plane/test_jobs.py"
QUOTAS: Final = "tests/integration/control_plane/test_quotas.py"
RATES: Final = "tests/integration/control_plane/test_rates.py"
FILES: Final = "tests/unit/files/test_system.py"
RESTING: Final = "tests/integration/control_plane/test_resting.py"

MUTANTS: Final = (
    # ---------------------------------------------------------------- a dropped flush
    Mutant(
        "a request leaves before its entries are durable",
        "lifecycle/execute.py",
        "        await self._flush()\n        result = await host.http(",
        "        result = await host.http(",
        (f"{EXECUTE}::test_an_idempotent_request_leaves_after_all_entries_are_durable",),
    ),
    Mutant(
        "a guest sees an answer that could be lost",
        "lifecycle/execute.py",
        "        if step.once:\n            await self._flush()\n",
        "",
        (f"{EXECUTE}::test_another_request_is_durable_before_and_after",),
    ),
    Mutant(
        "a runner does not wait until its entries are durable",
        "engine/runner_host.py",
        "if self._durable < self._posts:",
        "if False:",
        ("tests/unit/engine/test_runner_host.py",),
    ),
    # ---------------------------------------------------------------- a stale epoch accepted
    Mutant(
        "an end of an older epoch is accepted",
        "adapters/sql/reports.sql",
        "AND jobs.epoch = ended.epoch AND jobs.state IN {from complete}",
        "AND jobs.state IN {from complete}",
        (f"{REPORTS}::test_another_epoch_is_refused",),
    ),
    Mutant(
        "entries of an older epoch are accepted",
        "adapters/sql/reports.sql",
        "SET journal_length = jobs.journal_length + added.entries\nFROM added\n"
        "WHERE jobs.id = added.job AND jobs.epoch = added.epoch",
        "SET journal_length = jobs.journal_length + added.entries\nFROM added\nWHERE jobs.id = added.job",
        (f"{REPORTS}::test_only_the_present_placement_appends",),
    ),
    Mutant(
        "a claim does not raise the epoch",
        "adapters/sql/jobs.sql",
        "epoch = epoch + 1",
        "epoch = epoch",
        (f"{QUEUE}::test_each_claim_raises_the_epoch",),
    ),
    # ---------------------------------------------------------------- a lost wake-up
    Mutant(
        "nobody is told when a suspended job must wake",
        "lifecycle/record.py",
        "self._waker.arm(wake)",
        "pass",
        (f"{PLANE_JOBS}::test_a_suspended_job_wakes_on_time_with_its_journal",),
    ),
    Mutant(
        "a suspension does not look whether its time is past",
        "adapters/memory/record.py",
        "self.job.wake_ms is not None and self.job.wake_ms <= now_ms:",
        "self.job.wake_ms is not None and self.job.wake_ms < 0:",
        (f"{REPORTS}::test_a_suspension_whose_time_is_past_is_pending_at_once",),
    ),
    Mutant(
        "a job that is pending at once is not handed out",
        "lifecycle/record.py",
        "if wake is None or wake <= now:",
        "if wake is None:",
        ("tests/integration/control_plane/test_wake_ups.py",),
    ),
    Mutant(
        "a clock set back makes a wait longer",
        "engine/sleepers.py",
        "min(at, wall - offset)",
        "wall - offset",
        ("tests/unit/engine/test_sleepers.py",),
    ),
    # ---------------------------------------------------------------- reordered entries
    Mutant(
        "segments change places when they are sent again",
        "worker/outbox.py",
        "for batch in reversed(self._unanswered):",
        "for batch in self._unanswered:",
        ("tests/unit/worker/test_outbox_order.py",),
    ),
    Mutant(
        "segments need not begin where the journal ends",
        "adapters/sql/reports.sql",
        "jobs.state IN {from lose}\n    AND added.first = jobs.journal_length AND added.entries > 0\n\n"
        "-- Whether a segment",
        "jobs.state IN {from lose}\n\n-- Whether a segment",
        (f"{REPORTS}::test_what_does_not_begin_at_the_end_is_a_gap",),
    ),
    # ---------------------------------------------------------------- an effect repeated
    Mutant(
        "a recorded answer is ignored",
        "journal/replay.py",
        "return Answer(recorded.result, flush=False)",
        "return Perform(self._key(number), not request.idempotent, digest, summary)",
        (f"{ENGINE}::test_a_journal_is_replayed_and_its_effects_are_not_repeated",),
    ),
    Mutant(
        "an interrupted request is repeated",
        "journal/replay.py",
        "ledger.write(interrupted)\n                return Answer(INTERRUPTED, flush=True)",
        "return Perform(self._key(number), True, digest, summary)",
        (f"{REQUESTS}::test_an_intent_without_result_was_interrupted",),
    ),
    Mutant(
        "a request that must not be repeated has no intent",
        "journal/replay.py",
        "            if not request.idempotent:\n                ledger.write(HttpIntent(digest, summary))\n",
        "",
        (f"{REQUESTS}::test_another_request_has_an_intent",),
    ),
    Mutant(
        "an idempotency key changes from placement to placement",
        "journal/replay.py",
        "{self._identity.attempt}-{number}",
        "{self._identity.attempt}-{id(self)}-{number}",
        (f"{REQUESTS}::test_keys_count_requests_not_entries",),
    ),
    # ---------------------------------------------------------------- leases
    Mutant(
        "a lease that ran out is renewed",
        "domain/lease.py",
        "if deadline is None or deadline <= now:",
        "if deadline is None:",
        ("tests/unit/test_lease.py::test_a_lease_that_ran_out_is_not_renewed",),
    ),
    Mutant(
        "an effect leaves without a lease",
        "engine/effects.py",
        "        await self._lease.wait_valid()\n",
        "",
        (f"{ENGINE}::test_a_request_waits_for_the_lease",),
    ),
    Mutant(
        "a worker counts its lease from when the answer came",
        "worker/lease.py",
        "until = sent_ms + lease_ms",
        "until = self._clock.lease_ms() + lease_ms",
        ("tests/unit/worker/test_lease.py",),
    ),
    Mutant(
        "a job rouses no session that rests",
        "lifecycle/placements.py",
        "        if had_nothing:\n            self._roused()\n",
        "",
        (f"{RESTING}::test_a_dead_worker_that_rested_is_noticed_one_lease_after_it_was_given_a_job",),
    ),
    Mutant(
        "a worker rests although it holds a job",
        "worker/session.py",
        "0 if self._holdings.all() else rest_ms",
        "rest_ms",
        ("tests/integration/worker/test_resting.py",),
    ),
    Mutant(
        "a job prolongs the lease of its session",
        "domain/lease.py",
        "if deadline is None or deadline <= now + self.lease_ms:",
        "if deadline is None:",
        ("tests/property/test_leases.py",),
    ),
    # ---------------------------------------------------------------- acknowledgements
    Mutant(
        "a report is accepted twice",
        "adapters/sql/reports.sql",
        "jobs.epoch = ended.epoch AND jobs.state IN {from complete}",
        "jobs.epoch = ended.epoch",
        (f"{REPORTS}::test_every_end_in_every_state_is_as_the_table_says",),
    ),
    Mutant(
        "what is answered is not committed yet",
        "adapters/sql/writer.py",
        '            self._connection.execute("COMMIT")\n',
        "            batch[0].answer.get_loop().call_soon_threadsafe(self._deliver, batch, outcomes)\n"
        '            self._connection.execute("COMMIT")\n',
        ("tests/faults/test_commit.py::test_an_answer_waits_for_the_commit",),
    ),
    Mutant(
        "a refused end is answered as recorded",
        "lifecycle/record.py",
        "recording.reports, await recording.reported)",
        "recording.reports, [True] * len(recording.reports))",
        (f"{PLANE_JOBS}::test_an_end_that_does_not_fit_the_journal_fails_the_job",),
    ),
    Mutant(
        "a job is acknowledged though it could not be stored",
        "lifecycle/submit.py",
        "            await insert\n",
        "            pass\n",
        (f"{PLANE_JOBS}::test_a_failed_insert_reaches_the_caller_and_takes_the_jobs_back",),
    ),
    # ---------------------------------------------------------------- another module than was meant
    Mutant(
        "a module that a version stands for is removed",
        "adapters/sql/catalogue.sql",
        "        WHERE named.namespace = modules.namespace",
        "        WHERE 0 AND named.namespace = modules.namespace",
        (f"{CATALOGUE}::test_old_modules_without_a_version_are_told",),
    ),
    Mutant(
        "a module of another namespace is found by its digest",
        "adapters/sql/catalogue.sql",
        "WHERE namespace = ?1 AND digest IN",
        "WHERE ?1 <> '' AND digest IN",
        (f"{CATALOGUE}::test_namespaces_hold_modules_each_for_itself",),
    ),
    Mutant(
        "a name is remembered as it was before it was published anew",
        "lifecycle/modules.py",
        "if changes == self._changes:",
        "if True:",
        (f"{PLANE_MODULES}::test_what_was_looked_up_while_a_version_was_published_is_not_remembered",),
    ),
    # ---------------------------------------------------------------- quotas
    Mutant(
        "a quota of waiting jobs refuses nothing",
        "lifecycle/backpressure.py",
        "check(namespace, quota, Usage(waiting=waiting), Usage(waiting=count))",
        "pass",
        (f"{QUOTAS}::test_a_submission_that_would_let_more_wait_than_the_quota_is_refused_whole",),
    ),
    Mutant(
        "what is stored already does not count",
        "lifecycle/backpressure.py",
        "Usage(stored=await self._stored.used(namespace))",
        "Usage()",
        (f"{QUOTAS}::test_inputs_and_results_may_take_no_more_than_the_quota",),
    ),
    # ---------------------------------------------------------------- many guests in a runner
    Mutant(
        "a neighbour is blamed for the death of a runner",
        "engine/live.py",
        "if alone:",
        "if True:",
        ("tests/unit/engine/test_seat.py",),
    ),
    Mutant(
        "who kills runners is never alone",
        "engine/live.py",
        "max(1, MAX_GUESTS >> _DOUBT_BITS * doubts)",
        "MAX_GUESTS",
        ("tests/property/test_poison.py",),
    ),
    Mutant(
        "a guest that waits keeps its slot",
        "engine/seat.py",
        "            self.waiting += 1\n            self.load_ns -= live.weight_ns\n",
        "            self.waiting += 1\n",
        ("tests/unit/engine/test_seat.py",),
    ),
    Mutant(
        "jobs are fetched without end while guests wait",
        "worker/holdings.py",
        "most = min(most, self.capacity)",
        "most = max(most, self.capacity)",
        ("tests/unit/worker/test_holdings.py",),
    ),
    # ---------------------------------------------------------------- rates
    Mutant(
        "a job that is placed at once takes nothing from a stored rate",
        "lifecycle/submit.py",
        "self._queue.submit(jobs, self._dispatcher.scheduler.levels())",
        "self._queue.submit(jobs)",
        (f"{RATES}::test_a_restart_gives_a_rate_no_second_helping",),
    ),
    Mutant(
        "a claim takes nothing from a stored rate",
        "lifecycle/dispatch.py",
        "turn.limit, turn.level)",
        "turn.limit)",
        (f"{RATES}::test_a_restart_gives_a_rate_no_second_helping",),
    ),
    Mutant(
        "a claim takes more from a stored rate than the jobs that it finds",
        "adapters/sql/job_writes.py",
        "[level.unused(limit - len(rows))]",
        "[level]",
        (f"{RATES}::test_jobs_of_a_backlog_take_no_more_from_a_rate_than_they_are",),
    ),
    # ---------------------------------------------------------------- files
    Mutant(
        "a path leads to the directory above",
        "files/paths.py",
        "            if len(way) == 1:\n                raise FileError(Errno.PERM)\n            way.pop()\n",
        "            way.append(way.pop().parent or start)\n",
        (f"{FILES}::test_no_path_leads_out",),
    ),
    Mutant(
        "files grow past their limit",
        "files/system.py",
        "fits = file.size + self.limits.bytes - self.used - offset",
        "fits = file.size + self.limits.bytes - offset",
        (f"{FILES}::test_bytes_have_a_limit",),
    ),
    Mutant(
        "what a memo does to files stays",
        "lifecycle/host_calls.py",
        "await surroundings.store(bytes(asked.value)))\n    surroundings.files.undo(name)\n",
        "await surroundings.store(bytes(asked.value)))\n",
        ("tests/unit/test_host_calls.py::test_what_is_done_to_files_for_a_value_is_undone",),
    ),
)
