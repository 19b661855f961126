"""What a control plane answers about the artifacts of one job, in a ``World``."""

import json
from typing import Any

from mvm_ci.domain.ids import Digest
from mvm_ci.testing.execution import World


class Answers:
    """``kept``: by name; ``others``: by job and name. Set as a world's ``answers``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kept: dict[str, dict[str, Any]] = {}
        self.others: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse: dict[str, str] | None = None
        world.answers = self

    def __call__(self, name: str, argument: bytes) -> bytes:
        return json.dumps(self.answer(name, json.loads(argument))).encode()

    def answer(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        if self.refuse is not None:
            return {"error": self.refuse}
        if name == "artifact.put":
            self.kept[asked["name"]] = asked
            return {"ok": asked}
        if name == "artifact.list":
            return {"ok": [{**self.kept[one], "input": False} for one in sorted(self.kept)]}
        assert name == "artifact.get"
        job = asked.get("job")
        found = self.kept.get(asked["name"]) if job is None else self.others.get((job, asked["name"]))
        if found is None:
            return {"error": {"kind": "not-found", "message": f"no artifact {asked['name']!r}"}}
        return {"ok": found}

    def given(self, name: str, data: bytes, job: str | None = None) -> Digest:
        """An artifact that is there already; its digest."""
        ref = self.world.put_blob(data)
        shown = {"name": name, "digest": ref.digest, "size": ref.size, "media": ""}
        if job is None:
            self.kept[name] = shown
        else:
            self.others[job, name] = shown
        return ref.digest
