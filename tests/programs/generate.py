"""Random programs, and what must come of them: the oracle knows it from the program alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

Step = list[Any]
Steps = list[Step]

INTERRUPTED = "interrupted"
DEPTH = 2


@dataclass
class Program:
    """One job. ``key``: by which others send it messages; ``expected``: its result, or None: it fails.

    ``gets`` and ``posts``: paths that it asks for, its children too.
    """

    key: str
    steps: Steps
    expected: list[Any] | None
    gets: set[str] = field(default_factory=set)
    posts: set[str] = field(default_factory=set)


class Author:
    """Writes the programs of one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._seed = seed
        self._serial = 0
        self._gets: set[str] = set()
        self._posts: set[str] = set()

    def programs(self, count: int) -> Iterator[Program]:
        """``count`` programs, the last two of each eight of which send and receive."""
        while count > 0:
            yield from (self._program() for _ in range(min(count, 6)))
            if count >= 8:
                yield from self._pair()
            count -= 8

    def _program(self) -> Program:
        self._gets, self._posts = set(), set()
        key = self._name()
        kind = self._random.random()
        if kind < 0.05:
            return Program(key, [["again", self._random.randint(1, 4)]], ["done"])
        steps, expected = self._steps(DEPTH)
        if kind < 0.15:
            steps.append(["fail", "no"])
            return Program(key, steps, None, self._gets, self._posts)
        return Program(key, steps, expected, self._gets, self._posts)

    def _pair(self) -> tuple[Program, Program]:
        count = self._random.randint(1, 5)
        receiver, sender = self._name(), self._name()
        got = list(range(count))
        return (
            Program(receiver, [["receive", count]], [got]),
            Program(sender, [["send", receiver, count]], [count]),
        )

    def _steps(self, depth: int) -> tuple[Steps, list[Any]]:
        made = [self._step(depth) for _ in range(self._random.randint(1, 4))]
        return [step for step, _ in made], [expected for _, expected in made]

    def _step(self, depth: int) -> tuple[Step, Any]:
        kinds = ["clock", "chance", "sleep", "get", "post", "say", "tell", "label", "patience"]
        if depth:
            kinds += ["memo", "all", "all", "first", "cancelled"]
        make = getattr(self, f"_{self._random.choice(kinds)}")
        made: tuple[Step, Any] = make(depth)
        return made

    def _clock(self, _depth: int) -> tuple[Step, Any]:
        return ["clock"], True

    def _chance(self, _depth: int) -> tuple[Step, Any]:
        return ["chance"], True

    def _sleep(self, _depth: int) -> tuple[Step, Any]:
        return ["sleep", self._random.choice([1, 50, 300, 6_000])], True

    def _get(self, _depth: int) -> tuple[Step, Any]:
        path = f"/get/{self._name()}"
        self._gets.add(path)
        return ["get", path], "ok"

    def _post(self, _depth: int) -> tuple[Step, Any]:
        path = f"/post/{self._name()}"
        self._posts.add(path)
        return ["post", path], Either("ok", INTERRUPTED)

    def _say(self, _depth: int) -> tuple[Step, Any]:
        text = self._name()
        return ["say", text], text

    def _tell(self, _depth: int) -> tuple[Step, Any]:
        text = self._name()
        return ["tell", text], text

    def _label(self, _depth: int) -> tuple[Step, Any]:
        text = self._name()
        return ["label", text], text

    def _patience(self, _depth: int) -> tuple[Step, Any]:
        return ["patience", self._random.choice([1, 100])], None

    def _memo(self, depth: int) -> tuple[Step, Any]:
        # One that is not recorded is begun again, with requests of its own: so it makes none.
        steps: Steps = [["clock"], ["chance"], ["say", self._name()]]
        self._random.shuffle(steps)
        del depth
        return ["memo", self._name(), steps], [True if step[0] != "say" else step[1] for step in steps]

    def _all(self, depth: int) -> tuple[Step, Any]:
        programs, expected = [], []
        for _ in range(self._random.randint(1, 3)):
            steps, result = self._steps(depth - 1)
            if self._random.random() < 0.2:
                steps, result = [*steps, ["fail", "no"]], {"failed": "error"}  # type: ignore[assignment]
            programs.append(steps)
            expected.append(result)
        return ["all", programs], expected

    def _first(self, depth: int) -> tuple[Step, Any]:
        made = [self._steps(depth - 1) for _ in range(2)]
        ends = [[number, result] for number, (_, result) in enumerate(made)]
        return ["first", [steps for steps, _ in made]], Either(*ends)

    def _cancelled(self, _depth: int) -> tuple[Step, Any]:
        return ["cancelled", [["say", self._name()]]], {"failed": "child"}

    def _name(self) -> str:
        self._serial += 1
        return f"{self._seed}-{self._serial}"


class Either:
    """Equal to each of some values."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def __eq__(self, other: object) -> bool:
        return any(value == other for value in self._values)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return " or ".join(map(repr, self._values))
