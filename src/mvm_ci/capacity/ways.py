"""How each option is set up: files of the repository, and commands. Pure."""

from typing import Final

import msgspec

MOST_BY_SCRIPT: Final = 100
"""Workers that scripts/start-cluster.sh starts."""
_MOST_USES: Final = 10_000
_JOIN: Final = "--ticket-file ticket --join-token-file join-token"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """``files``: of the repository; ``commands``: where each is typed, and what."""

    files: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]


def way(option: int, workers: int, slots: int, *, elsewhere: bool) -> Way:
    """To set up an option. ``slots``: of each worker in option 1, else of the engine."""
    check = ("anywhere", f"mvm-ci validate --workers {workers} --duration 30m")
    if option == 4:
        return _containers(4, workers, f"ENGINE_SLOTS={slots}", check)
    if option == 1 and not elsewhere:
        return _containers(1, workers, f"WORKER_SLOTS={slots} WORKER_CPUS={slots}", check)
    if option == 1:
        return _workers_elsewhere(workers, slots, check)
    return _over_p2p(workers, slots, check) if option == 2 else _engines(workers, slots, check)


def _containers(option: int, workers: int, variables: str, check: tuple[str, str]) -> Way:
    file = "docker-compose.yml" if option == 4 else "docker-compose.option1.yml"
    page = "option-4.md" if option == 4 else "option-1-containers.md"
    start = f"{variables} scripts/start-cluster.sh --option {option} --workers {workers}"
    if workers > MOST_BY_SCRIPT:
        start = f"{variables} docker-compose -f {file} up --detach --build --scale worker={workers}"
    return Way(
        files=("scripts/start-cluster.sh", file, f"docs/deployment/{page}"),
        commands=(("the machine", start), check),
    )


def _workers_elsewhere(workers: int, slots: int, check: tuple[str, str]) -> Way:
    return Way(
        files=(
            "deploy/systemd/mvm-ci-control-plane.service",
            "deploy/systemd/mvm-ci-worker@.service",
            "docs/deployment/systemd.md",
            "docs/concepts/workers.md",
        ),
        commands=(
            (
                "the control plane",
                (
                    "mvm-ci control-plane --p2p-bind 0.0.0.0:27289 --ticket-file ticket "
                    "--credentials-file credentials.json"
                ),
            ),
            _token(workers),
            ("each worker", f"mvm-ci worker --slots {slots} {_JOIN}"),
            check,
        ),
    )


def _over_p2p(workers: int, slots: int, check: tuple[str, str]) -> Way:
    return Way(
        files=("docs/deployment/option-2.md",),
        commands=(
            (
                "the control plane",
                (
                    f"mvm-ci control-plane --engine embedded --slots {slots} --p2p-bind 0.0.0.0:4500 "
                    "--ticket-file ticket --credentials-file credentials.json"
                ),
            ),
            _token(workers),
            ("each worker", f"mvm-ci worker --engine p2p {_JOIN}"),
            check,
        ),
    )


def _engines(workers: int, slots: int, check: tuple[str, str]) -> Way:
    return Way(
        files=("deploy/systemd/mvm-ci-engine.service", "docs/deployment/engine.md"),
        commands=(
            (
                "the control plane",
                (
                    "mvm-ci control-plane --p2p-bind 0.0.0.0:27289 --ticket-file ticket "
                    "--credentials-file credentials.json"
                ),
            ),
            _token(workers + 10),
            (
                "each engine, with the same engine-token; ENGINE is its own name",
                (
                    "mvm-ci engine --bind 0.0.0.0:27288 --engine-token-file engine-token "
                    "--engine-tls-cert-file engine.pem --engine-url https://ENGINE:27288 "
                    f"--slots {slots} {_JOIN}"
                ),
            ),
            (
                "each worker; BALANCER is a balancer of yours that hands on TCP to the engines",
                f"mvm-ci worker --engine https://BALANCER:27288 --engine-token-file engine-token {_JOIN}",
            ),
            check,
        ),
    )


def _token(uses: int) -> tuple[str, str]:
    return ("the control plane", f"mvm-ci join-token create --uses {min(uses, _MOST_USES)} > join-token")
