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
DAMAGE: Final = "tests/property/test_damage.py"
REHEARSE: Final = "tests/property/test_rehearse.py"
FORKS: Final = "tests/contract/test_job_queue_forks.py"
RECORDINGS: Final = "tests/integration/control_plane/test_recordings.py"
QUEUE: Final = "tests/contract/test_job_queue.py"
REPORTS: Final = "tests/contract/test_job_queue_reports.py"
CATALOGUE: Final = "tests/contract/test_catalogue.py"
_EFFECT: Final = (
    "        # What came while the entries became durable counts, too.\n"
    "        result: HttpResult = CANCELLED\n"
    "        if not self._interrupts:\n"
    "            result = await host.http(request, step.key, whole=bool(machine.disclosed))\n"
)
PLANE_MODULES: Final = "tests/integration/control_plane/test_modules.py"
PLANE_JOBS: Final = "tests/integration/control_plane/test_jobs.py"
QUOTAS: Final = "tests/integration/control_plane/test_quotas.py"
PLANE_ARTIFACTS: Final = "tests/integration/control_plane/test_artifacts.py"
ARTIFACT_CALLS: Final = "tests/unit/lifecycle/test_artifact_calls.py"
RATES: Final = "tests/integration/control_plane/test_rates.py"
SECRETS: Final = "tests/unit/journal/test_secrets.py"
MAIL: Final = "tests/contract/test_mail.py"
MESSAGES: Final = "tests/integration/control_plane/test_messages.py"
CHILDREN: Final = "tests/integration/control_plane/test_children.py"
FILES: Final = "tests/unit/files/test_system.py"
VALIDATION: Final = "tests/unit/deploy"
RESTING: Final = "tests/integration/control_plane/test_resting.py"
GRANTS: Final = "tests/integration/control_plane/test_engine_grants.py"
CLIENT: Final = "tests/unit/engine/service/test_client.py"
GUESTS: Final = "tests/unit/engine/service/test_guests.py"
REMOTE: Final = "tests/integration/remote_engine/test_remote_engine.py"

MUTANTS: Final = (
    # ---------------------------------------------------------------- a dropped flush
    Mutant(
        "a request leaves before its entries are durable",
        "lifecycle/calls.py",
        "        await self._flush()\n        # What came while",
        "        # What came while",
        (f"{EXECUTE}::test_an_idempotent_request_leaves_after_all_entries_are_durable",),
    ),
    Mutant(
        "a guest sees an answer that could be lost",
        "lifecycle/calls.py",
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
    Mutant(
        "the last entries are reported though earlier ones may be lost",
        "lifecycle/calls.py",
        "        if self._posted:\n            await self._host.flush()\n        return segments[-1]",
        "        return segments[-1]",
        (EXECUTE,),
    ),
    Mutant(
        "an intent is written after its effect",
        "lifecycle/calls.py",
        "        await self._flush()\n" + _EFFECT,
        _EFFECT + "        await self._flush()\n",
        (f"{EXECUTE}::test_another_request_is_durable_before_and_after",),
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
        "due = self.job.wake_ms is not None and self.job.wake_ms <= now_ms",
        "due = False",
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
        "peer/outbox.py",
        "for batch in reversed(self._unanswered):",
        "for batch in self._unanswered:",
        ("tests/unit/peer/test_outbox_order.py",),
    ),
    Mutant(
        "segments need not begin where the journal ends",
        "adapters/sql/reports.sql",
        "jobs.state IN {from lose}\n    AND added.first = jobs.journal_length AND added.entries > 0\n\n"
        "-- Whether a segment",
        "jobs.state IN {from lose}\n\n-- Whether a segment",
        (f"{REPORTS}::test_what_does_not_begin_at_the_end_is_a_gap",),
    ),
    Mutant(
        "two entries of a journal change places",
        "journal/codec.py",
        "        self._parts.append(encoded)\n",
        "        self._parts.insert(max(0, len(self._parts) - 1), encoded)\n",
        ("tests/unit/journal/test_codec.py",),
    ),
    # ---------------------------------------------------------------- an effect repeated
    Mutant(
        "a recorded answer is ignored",
        "journal/effects.py",
        "return Answer(recorded.result, flush=False)",
        "return Perform(key, not request.idempotent, digest, summary)",
        (f"{ENGINE}::test_a_journal_is_replayed_and_its_effects_are_not_repeated",),
    ),
    Mutant(
        "an interrupted request is repeated",
        "journal/effects.py",
        "ledger.write(interrupted)\n                return Answer(INTERRUPTED, flush=True)",
        "return Perform(key, True, digest, summary)",
        (f"{REQUESTS}::test_an_intent_without_result_was_interrupted",),
    ),
    Mutant(
        "a request that must not be repeated has no intent",
        "journal/effects.py",
        "            if not request.idempotent:\n                ledger.write(HttpIntent(digest, summary))\n",
        "",
        (f"{REQUESTS}::test_another_request_has_an_intent",),
    ),
    Mutant(
        "an idempotency key changes from placement to placement",
        "journal/standing.py",
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
        "        await permitted()\n",
        "",
        (f"{ENGINE}::test_a_request_waits_for_the_lease",),
    ),
    Mutant(
        "a worker counts its lease from when the answer came",
        "peer/lease.py",
        "until = sent_ms + lease_ms",
        "until = self._clock.lease_ms() + lease_ms",
        ("tests/unit/peer/test_lease.py",),
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
        "peer/session.py",
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
        "            if not live.rests:\n                self.load_ns -= live.weight_ns\n",
        "",
        ("tests/unit/engine/test_seat.py",),
    ),
    Mutant(
        "a guest that rested holds its part of a slot twice when it waits",
        "engine/seat.py",
        "            live.rests = False\n\n    def go_on",
        "\n    def go_on",
        ("tests/unit/engine/test_seat.py",),
    ),
    Mutant(
        "a segment that does not fit the journal counts as durable",
        "engine/journaling.py",
        "        if result is not Append.DONE:",
        "        if result is Append.STALE:",
        ("tests/unit/engine/test_journaling.py",),
    ),
    Mutant(
        "a segment leaves before the one ahead of it is durable",
        "engine/journaling.py",
        "        if live.appending is None:",
        "        if live.posted:",
        ("tests/unit/engine/test_journaling.py",),
    ),
    Mutant(
        "jobs are fetched without end while guests wait",
        "worker/holdings.py",
        "most = min(most, engine.capacity)",
        "most = max(most, engine.capacity)",
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
    # ---------------------------------------------------------------- artifacts
    Mutant(
        "a request sends an artifact that the job has not got",
        "lifecycle/artifact_calls.py",
        "if source is not None and await self.known(source.digest) != source:",
        "if source is not None and await self.known(source.digest) is None:",
        (f"{ARTIFACT_CALLS}::test_a_request_from_or_to_what_is_not_allowed_is_not_made",),
    ),
    Mutant(
        "what the journal has is sent again at replay",
        "lifecycle/artifact_calls.py",
        "        if writing.recorded is None:\n            writing.gathered += data",
        "        if True:\n            writing.gathered += data",
        ("tests/integration/engine/test_artifacts.py::test_what_is_recorded_is_not_uploaded_again",),
    ),
    Mutant(
        "a spool outlives its placement",
        "engine/pool.py",
        "        self._lives.pop(live.placed, None)\n        self._desk.over(live)\n",
        "        self._lives.pop(live.placed, None)\n",
        ("tests/integration/engine/test_artifacts.py::test_a_stop_in_the_middle_lets_go_of_everything",),
    ),
    Mutant(
        "a worker stores bytes for a job of another",
        "control_plane/transfers.py",
        "if request.placed not in placements:",
        "if False:",
        (f"{PLANE_ARTIFACTS}::test_bytes_for_a_job_of_somebody_else",),
    ),
    Mutant(
        "a job names bytes of another size",
        "lifecycle/artifacts.py",
        "if size != artifact.size:",
        "if False:",
        (f"{PLANE_ARTIFACTS}::test_bytes_that_are_not_what_they_are_said_to_be",),
    ),
    Mutant(
        "a job reads artifacts of another namespace",
        "lifecycle/artifacts.py",
        "if found is None or found.options.lane.namespace != job.options.lane.namespace:",
        "if found is None:",
        (f"{PLANE_ARTIFACTS}::test_jobs_of_a_namespace_get_each_others",),
    ),
    Mutant(
        "a late repetition of a put undoes a later one",
        "adapters/sql/artifacts.sql",
        "(excluded.epoch, excluded.number) > (artifacts.epoch, artifacts.number)\n",
        "TRUE\n",
        ("tests/contract/test_artifacts.py::test_a_repetition_that_comes_late_changes_nothing",),
    ),
    Mutant(
        "damaged bytes of a download are taken for whole",
        "client/download.py",
        """if self._etag != f'"{self._hashing.hexdigest()}"':""",
        "if False:",
        ("tests/unit/client/test_artifacts.py::test_damaged_bytes_are_not_taken_for_whole",),
    ),
    # ---------------------------------------------------------------- secrets
    Mutant(
        "the digest of a request can be tried",
        "journal/disclosed.py",
        "        self._digest_key += secret.digest_key\n",
        "",
        (f"{SECRETS}::test_the_digest_of_a_request_is_of_no_use_to_who_guesses",),
    ),
    Mutant(
        "what replay passes by is not known to be read",
        "journal/replay.py",
        "self.disclosed.passed(self._ledger.pass_by(index))",
        "self._ledger.pass_by(index)",
        (
            f"{SECRETS}::test_a_secret_that_was_read_while_computing_is_known_after_a_replay_that_passes_it_by",
        ),
    ),
    Mutant(
        "text that is held back waits for what comes after a computed value",
        "lifecycle/host_calls.py",
        "    surroundings.tell_rest()\n    surroundings.machine.memo_put(name, await",
        "    surroundings.machine.memo_put(name, await",
        (
            f"{SECRETS}::test_a_secret_that_was_read_while_computing_is_known_after_a_replay_that_passes_it_by",
        ),
    ),
    Mutant(
        "a body is stored before it is masked",
        "lifecycle/calls.py",
        "whole=bool(machine.disclosed)",
        "whole=False",
        ("tests/contract/test_engine.py::test_a_secret_is_the_guest_s_alone",),
    ),
    Mutant(
        "a value is bound to nothing",
        "lifecycle/secrets.py",
        "return _encode((namespace, name, version))",
        'return b""',
        ("tests/unit/lifecycle/test_secrets.py::test_what_somebody_changed_in_the_store_is_not_there",),
    ),
    Mutant(
        "who goes on is told the newest version",
        "lifecycle/secrets.py",
        "wanted = {name: told.get(name) for name in names}",
        "wanted = dict.fromkeys(names)",
        (
            "tests/unit/lifecycle/test_secrets.py::test_an_execution_is_told_the_version_that_it_was_told_before",
        ),
    ),
    Mutant(
        "a version goes although a job may have been told it",
        "adapters/sql/secrets.sql",
        "SELECT min(later.after_job)",
        "SELECT min(later.after_job) - 1",
        ("tests/contract/test_secrets.py::test_a_version_is_kept_while_a_job_may_have_been_told_it",),
    ),
    # ---------------------------------------------------------------- mail
    Mutant(
        "a suspension does not look for mail that is there",
        "adapters/sql/reports.sql",
        "wake_ms <= now_ms OR EXISTS (",
        "wake_ms <= now_ms OR 0 AND EXISTS (",
        (f"{MAIL}::test_mail_that_was_there_before_leaves_no_job_asleep",),
    ),
    Mutant(
        "nobody is told of a job that was pending before it slept",
        "lifecycle/record.py",
        "if isinstance(report.outcome, Suspended) and report.outcome.topics:",
        "if False:",
        (f"{MESSAGES}::test_a_message_that_came_just_before_the_suspension_wakes_the_job_too",),
    ),
    Mutant(
        "entries of a placement that is over take mail",
        "adapters/sql/mail.sql",
        "AND journal.first = ?3 AND jobs.journal_length = ?3)",
        "AND journal.first = ?3)",
        (f"{MAIL}::test_entries_of_a_placement_that_is_over_take_nothing",),
    ),
    Mutant(
        "guests wait for mail of placements that are over",
        "lifecycle/mailroom.py",
        "if waiting is not None and waiting.placed == placed:",
        "if False:",
        (f"{MESSAGES}::test_nobody_is_left_waiting_for_a_placement_that_is_over",),
    ),
    Mutant(
        "blobs of mail that waits are swept",
        "adapters/sql/retention.py",
        "            found.add(blob.hex())\n",
        "            blob.hex()\n",
        ("tests/contract/test_mail_children.py::test_what_waiting_mail_says_is_kept_and_counted",),
    ),
    Mutant(
        "a worker asks in the name of jobs that it does not have",
        "lifecycle/guest_asks.py",
        "            _check_key(key, job)\n",
        "",
        (f"{MESSAGES}::test_a_worker_asks_in_the_name_of_its_own_jobs_alone",),
    ),
    Mutant(
        "a child started while its parent ends is nobody's",
        "lifecycle/family.py",
        "        self._look_at((parent.id,))\n",
        "",
        (f"{CHILDREN}::test_a_child_whose_parent_ends_while_it_is_being_started_is_cancelled",),
    ),
    Mutant(
        "children of a failed attempt go on",
        "lifecycle/family.py",
        "return parent.first_attempt <= attempt < parent.attempt",
        "return False",
        (f"{CHILDREN}::test_children_of_an_attempt_that_failed_are_cancelled_and_those_of_the_next_are_not",),
    ),
    Mutant(
        "a wait whose time is over does not look once more",
        "engine/runner_host.py",
        "answer = await self._ask(self._mail_call(MailWait(topics, at_once=True)))",
        "return ()",
        ("tests/unit/engine/test_runner_host.py",),
    ),
    Mutant(
        "a job that comes back after its deadline goes on",
        "lifecycle/wake.py",
        "                self.arm(now)\n\n    def concerns",
        "                pass\n\n    def concerns",
        ("tests/integration/control_plane/test_deadlines.py",),
    ),
    # ---------------------------------------------------------------- journals: damage, replays, forks
    Mutant(
        "a torn tail is left as it is",
        "journal/damage.py",
        "if segments and is_torn(segments[-1]):",
        "if False:",
        (f"{DAMAGE}::test_every_truncation_is_cut_at_the_last_whole_segment_or_refused",),
    ),
    Mutant(
        "a changed segment is taken for a torn one",
        "journal/damage.py",
        "        return _BREAKS_OFF in str(error)",
        "        return True",
        (f"{DAMAGE}::test_noise_is_never_taken_for_a_journal", "tests/unit/journal/test_damage.py"),
    ),
    Mutant(
        "a segment that is missing at the end is not missed",
        "journal/damage.py",
        "if length is not None and end != length:",
        "if False:",
        (f"{DAMAGE}::test_what_is_missing_or_stands_elsewhere_is_refused",),
    ),
    Mutant(
        "a replay does what is not recorded",
        "lifecycle/rehearse.py",
        "        raise Reached(words(entry))",
        "        super().write(entry)",
        (f"{REHEARSE}::test_a_guest_agrees_with_every_beginning_of_its_journal_and_does_nothing",),
    ),
    Mutant(
        "a fork is there without all of its beginning",
        "adapters/sql/forks.sql",
        "journal.attempt = 1) = ?26",
        "journal.attempt = 1) <= ?26",
        (f"{FORKS}::test_what_is_not_there_as_a_whole_is_not_forked",),
    ),
    Mutant(
        "what a crash left of a fork stays",
        "adapters/sql/store.py",
        "            if migrations is MIGRATIONS:\n                drop_left(connection)\n",
        "",
        ("tests/integration/test_forks_store.py::test_what_a_crash_left_of_a_fork_goes_at_the_next_start",),
    ),
    Mutant(
        "a fork begins between a request and its result",
        "journal/prefix.py",
        "_OPEN: Final[tuple[Any, ...]] = (HttpIntent,)",
        "_OPEN: Final[tuple[Any, ...]] = ()",
        ("tests/unit/journal/test_prefix.py::test_what_is_under_way_is_not_cut_off",),
    ),
    Mutant(
        "a payload of another job can be had by its digest",
        "lifecycle/recordings.py",
        "            if not any(wanted in blobs_in(segment.data) for segment in segments):",
        "            if not segments:",
        (f"{RECORDINGS}::test_payloads_that_the_job_refers_to_can_be_had",),
    ),
    Mutant(
        "a digest in a guest's text is enough to read a blob",
        "journal/refers.py",
        "        return blobs_of(decode_data(data))",
        "        from mvm_ci.domain.retention import digests_in\n\n        return digests_in(data)",
        (f"{RECORDINGS}::test_a_digest_in_a_guest_s_text_is_no_permission",),
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
    # ---------------------------------------------------------------- validation
    Mutant(
        "what fills up once is a leak",
        "deploy/validation/leaks.py",
        "second - first >= limit / 2 and third - second >= limit / 2",
        "second - first >= limit / 2 or third - second >= limit / 2",
        (f"{VALIDATION}/test_leaks.py::test_neither_is_what_fills_up_and_then_stays",),
    ),
    Mutant(
        "a job that never ends is not missed",
        "deploy/validation/ledger.py",
        "        for job in self.open:\n            self.problem(",
        "        for job in ():\n            self.problem(",
        (f"{VALIDATION}/test_ledger.py::test_a_job_that_never_ends_is_lost",),
    ),
    Mutant(
        "a validation takes any effects for each effect once",
        "deploy/validation/guest.py",
        "written != words(result),",
        "not written,",
        (f"{VALIDATION}/test_guest.py::test_effects_that_are_missing_repeated_or_changed_are_found",),
    ),
    # ---------------------------------------------------------------- an engine elsewhere
    Mutant(
        "an engine counts the lease from the answer",
        "engine/service/client.py",
        "self._until = asked_at + left_ms",
        "self._until = self._clock.lease_ms() + left_ms",
        ("tests/property/test_engine_lease.py::test_an_engine_lets_nothing_leave_that_its_worker_could_not",),
    ),
    Mutant(
        "an answer to a question of another stream counts",
        "engine/service/client.py",
        "        self._questions.clear()\n",
        "",
        (f"{CLIENT}::test_a_question_of_a_stream_before_is_not_answered",),
    ),
    Mutant(
        "an end is forgotten when it is told",
        "engine/service/client.py",
        "            self._unseen.append(event)\n",
        "",
        (f"{CLIENT}::test_ends_are_told_again_until_they_are_seen",),
    ),
    Mutant(
        "a start is told once",
        "engine/service/client.py",
        "        if self._running:\n",
        "        if not self._running:\n",
        (f"{CLIENT}::test_a_start_that_was_told_on_a_lost_stream_is_told_again",),
    ),
    Mutant(
        "clients are everybody s",
        "engine/service/guests.py",
        "if client is None or client.owner != owner:",
        "if client is None:",
        (f"{GUESTS}::test_a_client_is_one_owner_s",),
    ),
    Mutant(
        "orders reach the guests of others",
        "engine/service/guests.py",
        "is not None and guest.client is client\n",
        "is not None\n",
        (f"{GUESTS}::test_orders_about_what_is_another_client_s_change_nothing",),
    ),
    Mutant(
        "a worker that is gone leaves its guests",
        "engine/service/guests.py",
        "                    self.drop(client.placements.copy())\n",
        "",
        (f"{GUESTS}::test_a_client_that_is_gone_leaves_nothing_behind",),
    ),
    Mutant(
        "a grant is for any epoch",
        "domain/grant.py",
        'placed.epoch.to_bytes(_NUMBER, "big") + number',
        "number",
        ("tests/unit/test_engine_grant.py::test_a_grant_is_of_no_use_for_another_placement",),
    ),
    Mutant(
        "a placement that is over stays at its engine",
        "lifecycle/engine_grants.py",
        "            _take(engine, lost)\n\n    def where",
        "            pass\n\n    def where",
        (f"{GRANTS}::test_a_grant_is_worth_nothing_once_its_placement_is_over",),
    ),
    Mutant(
        "what ended while it was looked at is given",
        "lifecycle/engine_grants.py",
        "assigned = [item for item in assigned if item.placed not in over]",
        "assigned = list(assigned)",
        (
            f"{GRANTS}::test_what_is_lost_by_a_follower_that_comes_back_while_its_grant_is_looked_at_is_not_given",
        ),
    ),
    Mutant(
        "a follower takes over while its guests run",
        "lifecycle/sessions.py",
        "if not replaces or not await self._stand_still(open_one):",
        "if not replaces:",
        (f"{GRANTS}::test_a_follower_started_again_takes_over_once_the_engine_has_let_go",),
    ),
    Mutant(
        "an engine that is not reached loses all at once",
        "adapters/remote_engine/engine.py",
        "if self._clock.lease_ms() < self._permitted_until:",
        "if self._clock.lease_ms() < 0:",
        (f"{REMOTE}::test_what_an_engine_has_that_is_not_reached_is_its_own_until_the_lease_is_over",),
    ),
    Mutant(
        "a stop is lost while its job is brought",
        "adapters/remote_engine/engine.py",
        "            self._held.wish_stop(placed, cancel=cancel)\n",
        "            pass\n",
        (f"{REMOTE}::test_what_is_stopped_meanwhile_and_finds_no_room_is_stopped",),
    ),
    Mutant(
        "a guest that is cancelled before its engine has it never cleans up",
        "adapters/remote_engine/engine.py",
        "elif self._held.unbrought(placed) and not (cancel and self.reachable):",
        "elif self._held.unbrought(placed):",
        (f"{REMOTE}::test_what_is_cancelled_before_it_is_brought_is_cancelled_there",),
    ),
    Mutant(
        "a cancellation is forgotten while its journal comes",
        "peer/intake.py",
        "        self._cancelled.update(placements)\n",
        "        pass\n",
        ("tests/integration/worker/test_payloads.py::test_a_cancellation_waits_until_the_journal_is_here",),
    ),
)
