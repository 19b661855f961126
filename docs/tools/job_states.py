"""Makes ``docs/img/job-states.svg`` and ``docs/reference/job-states.md`` from the table of transitions.

Run ``python docs/tools/job_states.py`` after a change of the table; a test fails until both files are as
this program makes them. Only the places of the boxes and the bends are chosen by hand; every arrow comes
from ``TRANSITIONS``.
"""

from collections import defaultdict
from pathlib import Path

from mvm_ci.domain.job import FINAL, TRANSITIONS, Event, JobState

DOCS = Path(__file__).resolve().parent.parent
PICTURE = DOCS / "img" / "job-states.svg"
PAGE = DOCS / "reference" / "job-states.md"

_S = JobState
BOX_W, BOX_H = 112, 34
PLACES = {
    _S.PENDING: (30, 110),
    _S.CLAIMED: (330, 80),
    _S.IN_PROGRESS: (330, 140),
    _S.SUSPENDED: (100, 320),
    _S.SCHEDULED: (270, 320),
    _S.PAUSED: (440, 320),
    _S.CANCELLING: (600, 235),
    _S.COMPLETED: (800, 160),
    _S.FAILED: (800, 105),
    _S.DEAD: (800, 50),
    _S.CANCELLED: (800, 300),
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
GROUP = (_S.CLAIMED, _S.IN_PROGRESS)
GROUP_BOX = (310, 50, 152, 144)
BENDS = {
    ("placed", _S.PENDING): 34.0,
    ("PENDING", _S.CLAIMED): 26.0,
    ("SUSPENDED", _S.CANCELLED): 95.0,
    ("SCHEDULED", _S.CANCELLED): 60.0,
    ("PAUSED", _S.CANCELLED): 25.0,
    ("PENDING", _S.CANCELLED): 450.0,
    ("PAUSED", _S.PENDING): 12.0,
}
Rect = tuple[float, float, float, float]


def arrows() -> dict[tuple[str, JobState], list[Event]]:
    """Events by (source, target). What both placed states share comes from their common box, ``placed``."""
    shared = {
        (event, target)
        for event, target in TRANSITIONS[GROUP[0]].items()
        if TRANSITIONS[GROUP[1]].get(event) == target
    }
    found: dict[tuple[str, JobState], list[Event]] = defaultdict(list)
    for event, target in sorted(shared):
        found["placed", target].append(event)
    for state, events in TRANSITIONS.items():
        for event, target in events.items():
            if state not in GROUP or (event, target) not in shared:
                found[state.name, target].append(event)
    return found


def _rect(name: str) -> Rect:
    if name == "placed":
        return GROUP_BOX
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
    x, y, w, h = GROUP_BOX
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 470" aria-label="States of a job">',
        STYLE,
        '<rect width="940" height="470" fill="#fff"/>',
        ARROW_HEAD,
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="8" class="g"/>',
        f'<text x="{x + w // 2}" y="{y + 19}" class="l">placed on a worker</text>',
    ]
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
