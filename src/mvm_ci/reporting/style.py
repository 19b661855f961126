"""How pages and plots look, in light and dark: one set of colours for both."""

from typing import Final

_LIGHT: Final = {
    "ink": "#1c2430",
    "dim": "#667085",
    "page": "#fff",
    "edge": "#d9dee7",
    "good": "#15803d",
    "bad": "#b91c1c",
    "card": "#f6f8fb",
    "s0": "#2563eb",
    "s1": "#d55e00",
    "s2": "#0b8f6f",
    "s3": "#b4459c",
    "s4": "#8a6a00",
    "s5": "#475569",
}
_DARK: Final = {
    "ink": "#e6e9ef",
    "dim": "#98a2b3",
    "page": "#14181f",
    "edge": "#303845",
    "good": "#4ade80",
    "bad": "#f87171",
    "card": "#1b212b",
    "s0": "#60a5fa",
    "s1": "#ff9248",
    "s2": "#2dd4a7",
    "s3": "#e69ad4",
    "s4": "#e5c04b",
    "s5": "#cbd5e1",
}
SERIES: Final = 6
"""Colours and shapes that tell lines apart; also for those who see few colours."""

_LINES: Final = "".join(
    f".s{number} {{ stroke: var(--s{number}) }}\n.f{number} {{ fill: var(--s{number}) }}\n"
    for number in range(SERIES)
)
_PLOT: Final = f"""
svg text {{ font: 11px system-ui, sans-serif; fill: var(--dim) }}
svg .head {{ font-size: 13px; font-weight: 600; fill: var(--ink) }}
svg .name {{ fill: var(--ink) }}
.over {{ paint-order: stroke; stroke: var(--page); stroke-width: 4px; stroke-linejoin: round }}
.grid {{ stroke: var(--edge) }}
.track {{ fill: none; stroke-width: 1.5 }}
.faint {{ stroke-width: 1; opacity: .6 }}
.fitted {{ fill: none; stroke-width: 1.5; stroke-dasharray: 6 4; opacity: .75 }}
.spread {{ stroke-width: 1; opacity: .7 }}
.point {{ stroke-width: 1.5 }}
.area {{ opacity: .12 }}
.knee {{ stroke-width: 1.5; stroke-dasharray: 2 3 }}
.moment {{ stroke: var(--bad); stroke-dasharray: 4 3; stroke-width: 2 }}
.level {{ stroke: var(--bad); stroke-width: 1.25; opacity: .8 }}
.cross {{ stroke: var(--bad); stroke-width: 2; fill: none }}
{_LINES}.hollow {{ fill: var(--page) }}
.up {{ text-anchor: end }}
.along {{ text-anchor: middle }}
"""
_PAGE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
h3 { font-size: .9rem; margin: 1rem 0 0 }
p { margin: .25rem 0 }
.dim { color: var(--dim) }
.verdict { font-size: 1.1rem; font-weight: 600; padding: .6rem .9rem; margin: 1rem 0;
  border-left: 4px solid; background: var(--card) }
.passed { color: var(--good) }
.failed { color: var(--bad) }
.open { color: var(--dim) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--edge);
  vertical-align: top }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums }
td.mark { white-space: nowrap; font-weight: 600 }
ul { margin: .2rem 0; padding-left: 1.1rem; color: var(--dim); font-size: .9rem }
svg { width: 100%; height: auto; display: block }
.wide { overflow-x: auto }
.wide td.figure { white-space: nowrap }
.wide td:first-child { min-width: 4.5em }
details { margin: .6rem 0 }
summary { cursor: pointer; color: var(--dim) }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem }
.plots.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)) }
"""


def of_page() -> str:
    """The style of a page and of the plots in it."""
    return (
        f"\n:root {{ color-scheme: light dark; {_variables(_LIGHT)} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(_DARK)} }} }}{_PAGE}{_PLOT}"
    )


def of_picture() -> str:
    """The style of a plot in a file of its own. Names every colour: not all that show SVG know variables."""
    rules = f"{_PLOT}.ground {{ fill: var(--page) }}\n"
    return f"{_named(rules, _LIGHT)}@media (prefers-color-scheme: dark) {{{_named(rules, _DARK)}}}\n"


def _variables(colours: dict[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())


def _named(rules: str, colours: dict[str, str]) -> str:
    for name, colour in colours.items():
        rules = rules.replace(f"var(--{name})", colour)
    return rules
