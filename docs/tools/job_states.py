"""Makes ``docs/img/job-states.svg`` and ``docs/reference/job-states.md`` from the table of transitions.

Run ``python docs/tools/job_states.py`` after a change of the table; a test fails until both files are as
this program makes them. Only the places of the boxes and the bends are chosen by hand; every arrow comes
from ``TRANSITIONS``.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from mvm_ci.domain.job import FINAL, TRANSITIONS, Event, JobState

DOCS = Path(__file__).resolve().parent.parent
PICTURE = DOCS / "img" / "job-states.svg"
PAGE = DOCS / "reference" / "job-states.md"

_S = JobState
BOX_W, BOX_H = 112, 34
PLACES = {
    _S.BLOCKED: (48, 170),
    _S.SCHEDULED: (48, 265),
    _S.PENDING: (212, 190),
    _S.SUSPENDED: (120, 380),
    _S.CLAIMED: (460, 180),
    _S.IN_PROGRESS: (460, 240),
    _S.PAUSING: (500, 370),
    _S.PAUSED: (360, 480),
    _S.CANCELLING: (650, 400),
    _S.COMPLETED: (640, 100),
    _S.FAILED: (850, 190),
    _S.DEAD: (850, 250),
    _S.CANCELLED: (850, 400),
}
STYLE = (
    "<style>text{font:13px sans-serif;text-anchor:middle}"
    ".l{font-size:11px;fill:#345;stroke:#fff;stroke-width:4;paint-order:stroke}"
    ".a{fill:none;stroke:#567;stroke-width:1.3}.s{fill:#eef4ff;stroke:#357}.f{fill:#e8f5e9;stroke:#363}"
    ".g{fill:#fff;stroke:#99a;stroke-dasharray:5 4}</style>"
)
ARROW_HEAD = (
    '<marker id="m" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="#567"/></marker>'
)
Rect = tuple[float, float, float, float]


class Group(NamedTuple):
    """States in a common box, from which comes what all of them share."""

    title: str
    box: Rect
    states: tuple[JobState, ...]


# The larger one of two that overlap comes first.
GROUPS = {
    "waiting": Group("waiting", (20, 110, 330, 320), (_S.BLOCKED, _S.SCHEDULED, _S.PENDING, _S.SUSPENDED)),
    "unclaimed": Group("may expire", (32, 136, 306, 180), (_S.BLOCKED, _S.SCHEDULED, _S.PENDING)),
    "placed": Group("placed on a worker", (440, 150, 152, 144), (_S.CLAIMED, _S.IN_PROGRESS)),
    "ended": Group("may try again", (838, 138, 136, 312), (_S.FAILED, _S.DEAD, _S.CANCELLED)),
}
BENDS = {
    ("unclaimed", _S.FAILED): -320.0,
    ("waiting", _S.FAILED): -250.0,
    ("ended", _S.PENDING): 480.0,
    ("placed", _S.PENDING): -30.0,
    ("PENDING", _S.CLAIMED): -14.0,
    ("placed", _S.SCHEDULED): -16.0,
    ("waiting", _S.CANCELLED): 410.0,
    ("PAUSED", _S.CANCELLED): 30.0,
    ("PAUSED", _S.FAILED): -90.0,
}


def arrows() -> dict[tuple[str, JobState], list[Event]]:
    """Events by (source, target). What all states of a group share comes from their common box."""
    found: dict[tuple[str, JobState], list[Event]] = defaultdict(list)
    told: set[tuple[JobState, Event]] = set()
    for name, group in GROUPS.items():
        for event, target in TRANSITIONS[group.states[0]].items():
            if all(TRANSITIONS[state].get(event) == target for state in group.states) and not (
                told & {(state, event) for state in group.states}
            ):
                found[name, target].append(event)
                told |= {(state, event) for state in group.states}
    for state, events in TRANSITIONS.items():
        for event, target in events.items():
            if (state, event) not in told:
                found[state.name, target].append(event)
    return found


def _rect(name: str) -> Rect:
    if name in GROUPS:
        return GROUPS[name].box
    x, y = PLACES[JobState[name]]
    return (x, y, BOX_W, BOX_H)


def _edge(box: Rect, toward: tuple[float, float]) -> tuple[float, float]:
    x, y, w, h = box
    cx, cy = x + w / 2, y + h / 2
    dx, dy = toward[0] - cx, toward[1] - cy
    scale = min(w / 2 / abs(dx) if dx else 1e9, h / 2 / abs(dy) if dy else 1e9)
    return cx + dx * scale, cy + dy * scale


def _center(box: Rect) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def _arrow(source: str, target: JobState, events: list[Event], *, bend: float) -> str:
    a, b = _rect(source), _rect(target.name)
    (ax, ay), (bx, by) = _center(a), _center(b)
    length = max(((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5, 1)
    mx = (ax + bx) / 2 - (by - ay) / length * bend
    my = (ay + by) / 2 + (bx - ax) / length * bend
    (x1, y1), (x2, y2) = _edge(a, (mx, my)), _edge(b, (mx, my))
    label = ", ".join(events) if len(events) < 4 else f"{events[0]}, … ({len(events)})"
    tx, ty = (x1 + 2 * mx + x2) / 4, (y1 + 2 * my + y2) / 4 - 4
    return (
        f'<path d="M{x1:.0f},{y1:.0f} Q{mx:.0f},{my:.0f} {x2:.0f},{y2:.0f}" class="a" marker-end="url(#m)"/>'
        f'<text x="{tx:.0f}" y="{ty:.0f}" class="l">{label}</text>'
    )


def picture() -> str:
    """The diagram as SVG."""
    found = arrows()
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -50 1000 660" aria-label="States of a job">',
        STYLE,
        '<rect y="-50" width="1000" height="660" fill="#fff"/>',
        ARROW_HEAD,
    ]
    for title, (x, y, w, h), _ in GROUPS.values():
        parts.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="8" class="g"/>')
        parts.append(f'<text x="{x + w // 2}" y="{y + 19}" class="l">{title}</text>')
    for (source, target), events in found.items():
        parts.append(_arrow(source, target, events, bend=BENDS.get((source, target), 0.0)))
    for state, (x, y) in PLACES.items():
        kind = "f" if state in FINAL else "s"
        parts.append(f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="6" class="{kind}"/>')
        parts.append(f'<text x="{x + BOX_W / 2:.0f}" y="{y + 22}">{state.label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def page() -> str:
    """The reference page: the picture and the whole table."""
    events = list(Event)
    lines = [
        "# States of a job",
        "",
        "Made by `docs/tools/job_states.py` from the table of transitions in `src/mvm_ci/domain/job.py`.",
        "",
        "![States of a job and what leads from one to another](../img/job-states.svg)",
        "",
        "What is not in the table is refused and changes nothing. Green states are final.",
        "An arrow from a dashed box leads from each state in it.",
        "",
        "| event | from | to |",
        "|---|---|---|",
    ]
    for event in events:
        by_target: dict[JobState, list[str]] = defaultdict(list)
        for state, table in TRANSITIONS.items():
            if event in table:
                by_target[table[event]].append(state.label)
        lines += [
            f"| {event} | {', '.join(states)} | {target.label} |" for target, states in by_target.items()
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
