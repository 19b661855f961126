"""What a job and its packages ask for, read as a guest sees it."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from mvm_ci.adapters.componentize.guest_python import MARKERS, VERSION
from mvm_ci.domain.errors import BadInput


class Distribution(Protocol):
    """A version of a package, and what it asks for."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> Version: ...

    @property
    def requires(self) -> tuple[Requirement, ...]: ...

    @property
    def extras(self) -> frozenset[str]: ...


def parse_requirements(texts: Iterable[str], place: str) -> tuple[Requirement, ...]:
    """The requirements that hold in a guest. Raises ``BadInput``, which begins with ``place``."""
    found = []
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            reason = str(error).partition("\n")[0]
            raise BadInput(f"{place}: {text!r} is no requirement such as 'name>=1.0': {reason}") from None
        if requirement.url is not None:
            raise BadInput(
                f"{place}: {requirement.name}: a package is named by its version, not by an address; "
                "pip finds wheels in a directory, too: PIP_FIND_LINKS"
            )
        if holds(requirement):
            found.append(requirement)
    return tuple(found)


def check_python(wanted: str, place: str) -> None:
    """Raises ``BadInput`` if ``requires-python`` leaves out the guest's."""
    try:
        fits = SpecifierSet(wanted).contains(VERSION)
    except InvalidSpecifier:
        raise BadInput(f"{place}: requires-python {wanted!r} is no range of versions") from None
    if not fits:
        raise BadInput(f"{place}: requires-python is {wanted}, but a guest has Python {VERSION}")


def holds(requirement: Requirement, extra: str = "") -> bool:
    """Whether ``requirement``, asked for by a package with ``extra``, counts in a guest."""
    return requirement.marker is None or requirement.marker.evaluate({**MARKERS, "extra": extra})


def fits(requirement: Requirement, version: Version) -> bool:
    """Whether ``version`` will do."""
    return requirement.specifier.contains(version, prereleases=True)


def disagreements(
    asked: Iterable[Requirement], given: Mapping[str, Distribution], asker: str
) -> tuple[list[str], set[str]]:
    """Compares ``given``, by canonical name, with what ``asker`` and they themselves ask for.

    Returns what is missing or does not fit, each in words, and the names that are needed.
    """
    wrong: list[str] = []
    seen: set[tuple[str, str]] = set()
    waiting = deque((requirement, asker) for requirement in asked)
    while waiting:
        requirement, by = waiting.popleft()
        name = canonicalize_name(requirement.name)
        found = given.get(name)
        if requirement.url is not None:
            wrong.append(f"{by} asks for {name} by an address, which is not supported")
        elif found is None:
            wrong.append(f"{by} asks for {requirement.name}{requirement.specifier}, which is missing")
        elif not fits(requirement, found.version):
            wrong.append(f"{by} asks for {requirement.name}{requirement.specifier}, not {found.version}")
        else:
            # pip, too, passes by extras that a package does not have.
            for extra in ("", *sorted({canonicalize_name(one) for one in requirement.extras} & found.extras)):
                if (name, extra) not in seen:
                    seen.add((name, extra))
                    waiting.extend(
                        (inner, f"{found.name} {found.version}")
                        for inner in found.requires
                        if holds(inner, extra)
                    )
    return wrong, {name for name, _ in seen}
