"""What the gathered figures say of each check. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from mvm_ci.deploy.validation import leaks
from mvm_ci.deploy.validation.delays import REPORT, Delays
from mvm_ci.deploy.validation.fleet import SILENCE_S, Fleet, Loss
from mvm_ci.deploy.validation.leaks import Growth, Point
from mvm_ci.deploy.validation.ledger import Ledger
from mvm_ci.deploy.validation.report import Check, Outcome

CONTROL_PLANE, WORKERS, EXECUTION, UPDATES = "control-plane", "workers", "execution", "updates"
LOSS, FLEET, JOBS, LEAKS = "worker-loss", "fleet", "jobs", "leaks"
TITLES: Final = {
    CONTROL_PLANE: "The control plane stays up",
    WORKERS: "Workers are connected by P2P",
    EXECUTION: "Jobs execute on the durable engine",
    UPDATES: "Status updates propagate",
    LOSS: "The loss of a worker is survived",
    FLEET: "No other worker is lost",
    JOBS: "No job is lost, wrong or done twice",
    LEAKS: "The control plane leaks nothing",
}
"""Every check, in the order in which a report has them."""
UPDATE_MS: Final = 2_000.0
"""How late 99 of 100 status updates may be."""
_SHOWN: Final = 20


def check(name: str, outcome: Outcome, text: str, details: Sequence[str] = ()) -> Check:
    """A check by its name."""
    return Check(name=name, title=TITLES[name], outcome=outcome, text=text, details=tuple(details))


def control_plane(fleet: Fleet, version: str, over_s: float, gone: str) -> Check:
    """``over_s``: when the validation ended; ``gone``: why it had to, if that was it."""
    told = [f"restarted before {at:.0f} s" for at in fleet.restarts]
    long = False
    for outage in fleet.outages:
        lasted = (over_s if outage.over_s is None else outage.over_s) - outage.at_s
        long = long or lasted >= SILENCE_S
        told.append(f"did not answer from {outage.at_s:.0f} s on, for {lasted:.0f} s: {outage.reason}")
    if gone:
        return check(CONTROL_PLANE, Outcome.FAILED, gone, told)
    if fleet.restarts:
        return check(CONTROL_PLANE, Outcome.FAILED, f"it was restarted {len(fleet.restarts)} times", told)
    if long:
        return check(CONTROL_PLANE, Outcome.FAILED, f"it did not answer for {SILENCE_S:.0f} s or more", told)
    return check(CONTROL_PLANE, Outcome.PASSED, f"version {version}, one process for the whole time", told)


def updates(ledger: Ledger, delays: Delays, watched_s: float, holes: Sequence[float]) -> Check:
    """``watched_s``: events of jobs that were submitted after it must have come; ``holes``: when some may be
    missing.
    """
    looked = [
        entry
        for entry in ledger.entries.values()
        if entry.submitted_s > watched_s and entry.settled_s is not None
    ]
    silent = [
        f"{entry.job}: no {kind!r} event"
        for entry in looked
        for kind in ("submitted", "ended")
        if not ledger.seen[entry.job, kind]
    ]
    late = delays.summaries()[REPORT]
    told = f"{late.count} updates: p50 {late.p50:.0f} ms, p99 {late.p99:.0f} ms, max {late.largest:.0f} ms"
    if holes:
        times = ", ".join(f"{at:.0f} s" for at in holes[:_SHOWN])
        return check(UPDATES, Outcome.FAILED, f"events may be missing at {times}; {told}", silent[:_SHOWN])
    if silent:
        return check(UPDATES, Outcome.FAILED, f"{len(silent)} updates never came; {told}", silent[:_SHOWN])
    if not looked:
        return check(UPDATES, Outcome.UNFINISHED, "no job had ended")
    outcome = Outcome.PASSED if late.p99 <= UPDATE_MS else Outcome.FAILED
    limit = "" if outcome is Outcome.PASSED else f"; 99 of 100 may take {UPDATE_MS:.0f} ms"
    return check(UPDATES, outcome, told + limit)


def jobs(ledger: Ledger, held_s: float, refused: int) -> Check:
    """``held_s``: for how long the load was held back; ``refused``: jobs that were not taken, because
    something is full.
    """
    over = sum(entry.settled_s is not None for entry in ledger.entries.values())
    told = []
    if held_s:
        told.append(f"the load was held back for {held_s:.0f} s: the cluster did not keep up with it")
    if refused:
        told.append(f"{refused} jobs were not taken: the queue, the disk or a quota is full")
    if ledger.wrong:
        shown = [f"at {one.at_s:.0f} s {one.job}: {one.text}" for one in ledger.problems[:_SHOWN]]
        return check(
            JOBS, Outcome.FAILED, f"{ledger.wrong} problems with {len(ledger.entries)} jobs", shown + told
        )
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ledger.kinds().items()))
    return check(JOBS, Outcome.PASSED, f"{over} jobs completed, each with the right result ({kinds})", told)


def fleet(losses: Sequence[Loss], workers: int) -> Check:
    """``workers``: how many there are."""
    unwanted = [loss for loss in losses if not loss.wanted]
    told = []
    for loss in losses:
        back = "it has not come back" if loss.back_s is None else f"back at {loss.back_s:.0f} s"
        told.append(
            f"{loss.name}{' (killed)' if loss.wanted else ''}: session over at {loss.at_s:.0f} s, {back}"
        )
    if unwanted:
        return check(
            FLEET, Outcome.FAILED, f"{len(unwanted)} sessions ended: workers left or were lost", told
        )
    return check(FLEET, Outcome.PASSED, f"{workers} workers, no session ended by itself", told)


def with_return(loss: Check, losses: Sequence[Loss]) -> Check:
    """The check of the loss, with what became of the killed worker until the end."""
    told = [
        f"{one.name} has not joined again"
        if one.back_s is None
        else f"{one.name} joined again {one.back_s - one.at_s:.0f} s after its session was over"
        for one in losses
        if one.wanted
    ]
    return msgspec.structs.replace(loss, details=(*loss.details, *told))


def growths(points: Mapping[str, Sequence[Point]]) -> list[Growth]:
    """Of each figure that there is enough of."""
    found = [leaks.growth(name, points[name]) for name in leaks.LIMITS if name in points]
    return [growth for growth in found if growth is not None]


def leaking(found: Sequence[Growth], duration_s: float, refused: str) -> Check:
    """``duration_s``: of the load; ``refused``: why there are no figures."""
    told = [growth.told() for growth in found]
    if refused:
        return check(LEAKS, Outcome.NOT_JUDGED, f"the metrics need a token for all namespaces: {refused}")
    if duration_s < leaks.SHORTEST_S:
        text = f"a run of less than {leaks.SHORTEST_S / 60:.0f} minutes cannot tell a leak from a warm-up"
        return check(LEAKS, Outcome.NOT_JUDGED, text, told)
    if not found:
        return check(LEAKS, Outcome.UNFINISHED, "there are too few samples")
    leaky = [leaks.LIMITS[growth.name].title for growth in found if growth.leak]
    if leaky:
        return check(LEAKS, Outcome.FAILED, f"it grows: {', '.join(leaky)}", told)
    return check(LEAKS, Outcome.PASSED, f"{len(found)} figures do not grow", told)
