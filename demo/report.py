"""What the demo shows at the end, and what must be so."""

from collections import Counter, defaultdict

import msgspec
from rich.console import Console
from rich.table import Table

from demo.website import BROKEN, SLOW, Site
from mvm_ci.wire.api import JournalEntry


class DemoFailed(Exception):
    """Something is not as it must be; the text says what."""


class BrokenLink(msgspec.Struct, frozen=True):
    """A broken link as the job reports it."""

    url: str
    linked_from: list[str]
    status: int | None = None
    error: str | None = None


class Findings(msgspec.Struct, frozen=True):
    """The part of the job's result that the demo looks at."""

    pages: int
    broken: list[BrokenLink]


def _parts(journal: list[JournalEntry]) -> dict[str, list[JournalEntry]]:
    """The finished requests by the worker that performed them."""
    parts: dict[str, list[JournalEntry]] = defaultdict(list)
    for entry in journal:
        if entry.kind == "HttpDone":
            parts[entry.place].append(entry)
    return parts


def show(console: Console, result: bytes, journal: list[JournalEntry], site: Site, victim: str) -> None:
    """Prints the broken links, who did what, and what the website saw."""
    findings = msgspec.json.decode(result, type=Findings)
    links = Table("broken link", "answer", "linked from", title="What the job found", title_justify="left")
    for link in findings.broken:
        sources = ", ".join(sorted(_path(url) for url in link.linked_from))
        links.add_row(_path(link.url), str(link.status or link.error), sources)
    console.print(links)

    parts = Table(
        "worker", "epoch", "requests", "entries", "", title="Who ran which part", title_justify="left"
    )
    done = _parts(journal)
    entries = Counter((entry.place, entry.epoch) for entry in journal if entry.place)
    for (place, epoch), count in sorted(entries.items(), key=lambda item: item[0][1]):
        requests = [entry for entry in done[place] if entry.epoch == epoch]
        killed = "killed with SIGKILL" if place == victim else "went on from the journal"
        parts.add_row(place, str(epoch), str(len(requests)), str(count), killed)
    console.print(parts)

    log = Table("times asked", "URLs", "which", title="The website's own access log", title_justify="left")
    times = Counter(hit.path for hit in site.hits)
    for n, urls in sorted(Counter(times.values()).items()):
        which = ", ".join(path for path in times if times[path] == n) if n > 1 else ""
        log.add_row(str(n), str(urls), which)
    console.print(log)
    for path, n in times.items():
        if n > 1:
            keys = [hit.idempotency_key for hit in site.hits if hit.path == path]
            console.print(
                f"{path} was asked for with the idempotency keys {', '.join(keys)}", highlight=False
            )


def check(result: bytes, journal: list[JournalEntry], site: Site, victim: str, when: str) -> None:
    """Raises ``DemoFailed`` unless both workers took part, found what is so, and did nothing twice."""
    findings = msgspec.json.decode(result, type=Findings)
    found = {_path(link.url): link.status for link in findings.broken}
    if found != BROKEN:
        raise DemoFailed(f"the broken links are {BROKEN}, but the job found {found}")
    workers = set(_parts(journal))
    if len(workers) != 2 or victim not in workers:
        raise DemoFailed(f"both workers should have made requests; those that did: {sorted(workers)}")
    times = Counter(hit.path for hit in site.hits)
    missing = (set(site.pages) | set(BROKEN)) - set(times)
    if missing:
        raise DemoFailed(f"never asked for: {sorted(missing)}")
    twice = {path: n for path, n in times.items() if n > 1}
    allowed = {SLOW: 2} if when == "request" else {}
    if twice != allowed:
        raise DemoFailed(f"asked for more than once: {twice}; expected: {allowed}")
    keys = {hit.idempotency_key for hit in site.hits if hit.path == SLOW}
    if len(keys) != 1 or "" in keys:
        raise DemoFailed(f"{SLOW} should have been asked for with one idempotency key, not {sorted(keys)}")


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[-1] if "://" in url else url
