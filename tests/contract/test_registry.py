"""One suite for every registry: what `ports.registry` promises."""

import asyncio

import pytest
from msgspec.structs import replace

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.ids import Incarnation, SessionId, WorkerId
from mvm_ci.ports.registry import Join, JoinToken, Registry, Worker, WorkerState

NOW = 1_700_000_000_000
TOKEN = JoinToken(id="b", digest="1" * 64, created_ms=NOW, expires_ms=NOW + 100, uses_left=2)
WORKER = Worker(id=WorkerId("a" * 64), name="one", state=WorkerState.ACTIVE, joined_ms=NOW)


def worker(number: int) -> Worker:
    return replace(WORKER, id=WorkerId(f"{number:064x}"))


async def uses_left(registry: Registry) -> int:
    (token,) = await registry.join_tokens()
    return token.uses_left


# -------------------------------------------------------------------- tokens


async def test_join_tokens_are_listed_by_id(registry: Registry) -> None:
    other = replace(TOKEN, id="a", digest="4" * 64)
    await registry.put_join_token(TOKEN)
    await registry.put_join_token(other)
    assert await registry.join_tokens() == [other, TOKEN]


async def test_a_repeated_put_gives_no_uses_back(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    await registry.put_join_token(TOKEN)
    assert await uses_left(registry) == 1


async def test_a_join_token_that_was_removed_is_unknown(registry: Registry) -> None:
    await registry.put_join_token(replace(TOKEN, name="fleet", uses=2))
    assert [(token.name, token.uses) for token in await registry.join_tokens()] == [("fleet", 2)]
    assert await registry.remove_join_token(TOKEN.id) is True
    assert await registry.remove_join_token(TOKEN.id) is False
    assert await registry.join_tokens() == []
    assert await registry.join(TOKEN.digest, WORKER, NOW) is Join.UNKNOWN


# -------------------------------------------------------------------- join


async def test_join_uses_the_token_once_and_enters_the_worker(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    assert await registry.join(TOKEN.digest, WORKER, NOW + 99) is Join.DONE
    assert await uses_left(registry) == 1
    assert await registry.worker(WORKER.id) == WORKER
    # Repeated, as after an answer that was lost; even when the token is of no more use.
    assert await registry.join(TOKEN.digest, replace(WORKER, name="two"), NOW + 100) is Join.DONE
    assert await uses_left(registry) == 1
    assert await registry.worker(WORKER.id) == WORKER


async def test_an_unknown_token_is_refused(registry: Registry) -> None:
    assert await registry.join(TOKEN.digest, WORKER, NOW) is Join.UNKNOWN
    assert await registry.worker(WORKER.id) is None


async def test_an_expired_token_is_refused(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    assert await registry.join(TOKEN.digest, WORKER, NOW + 100) is Join.EXPIRED
    assert await registry.workers() == []
    assert await uses_left(registry) == 2


async def test_a_token_admits_no_more_workers_than_it_has_uses(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    joins = await asyncio.gather(*(registry.join(TOKEN.digest, worker(n), NOW) for n in range(5)))
    assert sorted(joins) == [Join.DONE, Join.DONE, Join.USED_UP, Join.USED_UP, Join.USED_UP]
    assert len(await registry.workers()) == 2
    assert await uses_left(registry) == 0


async def test_a_revoked_key_stays_revoked(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    assert await registry.set_worker_state(WORKER.id, WorkerState.REVOKED) is True
    assert await registry.join(TOKEN.digest, WORKER, NOW) is Join.REVOKED
    assert await uses_left(registry) == 1
    assert await registry.set_worker_state(WORKER.id, WorkerState.ACTIVE) is False
    assert await registry.set_worker_state(WORKER.id, WorkerState.REVOKED) is True
    found = await registry.worker(WORKER.id)
    assert found is not None
    assert found.state is WorkerState.REVOKED


# -------------------------------------------------------------------- workers and sessions


async def test_workers_are_listed_by_id(registry: Registry) -> None:
    await registry.put_join_token(replace(TOKEN, uses_left=9))
    for number in (3, 1, 2):
        await registry.join(TOKEN.digest, worker(number), NOW)
    assert await registry.workers() == [worker(1), worker(2), worker(3)]
    assert await registry.worker(WorkerId("f" * 64)) is None


async def test_a_session_records_what_the_worker_says_of_itself(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    await registry.set_worker_state(WORKER.id, WorkerState.DRAINING, NOW + 500)
    opened = replace(
        WORKER,
        name="renamed",
        joined_ms=1,
        version="1.2",
        platform="linux-x86_64",
        slots=8,
        session=SessionId(5),
        incarnation=Incarnation("0" * 32),
        labels={"os": "linux", "gpu": ""},
        ephemeral=True,
        protocol=2,
    )
    await registry.open_session(opened, NOW + 7)
    assert await registry.worker(WORKER.id) == replace(
        opened,
        state=WorkerState.DRAINING,
        joined_ms=NOW,
        session_open=True,
        seen_ms=NOW + 7,
        drain_by_ms=NOW + 500,
    )
    await registry.set_worker_state(WORKER.id, WorkerState.ACTIVE)
    found = await registry.worker(WORKER.id)
    assert found is not None
    assert found.drain_by_ms is None


async def test_only_the_last_session_is_closed(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    await registry.open_session(replace(WORKER, session=SessionId(5)), NOW)
    await registry.open_session(replace(WORKER, session=SessionId(6)), NOW + 1)
    await registry.close_session(WORKER.id, SessionId(5), NOW + 2)
    found = await registry.worker(WORKER.id)
    assert found is not None
    assert (found.session, found.session_open, found.seen_ms) == (6, True, NOW + 1)
    await registry.close_session(WORKER.id, SessionId(6), NOW + 3)
    found = await registry.worker(WORKER.id)
    assert found is not None
    assert (found.session, found.session_open, found.seen_ms) == (6, False, NOW + 3)
    await registry.close_session(worker(9).id, SessionId(6), NOW + 3)


async def test_who_never_joined_opens_no_session(registry: Registry) -> None:
    with pytest.raises(NotFound, match="never joined"):
        await registry.open_session(WORKER, NOW)
    assert await registry.set_worker_state(WORKER.id, WorkerState.DRAINING) is False


async def test_a_worker_is_forgotten_once_its_session_is_over(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    await registry.open_session(replace(WORKER, session=SessionId(5)), NOW)
    assert await registry.forget_worker(WORKER.id) is False
    await registry.close_session(WORKER.id, SessionId(5), NOW)
    assert await registry.forget_worker(WORKER.id) is True
    assert await registry.forget_worker(WORKER.id) is False
    assert await registry.workers() == []
    # A stranger from now on: it joins as one.
    assert await registry.join(TOKEN.digest, WORKER, NOW) is Join.DONE
    assert await uses_left(registry) == 0


async def test_a_revoked_key_stays_refused_when_its_worker_is_forgotten(registry: Registry) -> None:
    await registry.put_join_token(TOKEN)
    await registry.join(TOKEN.digest, WORKER, NOW)
    await registry.set_worker_state(WORKER.id, WorkerState.REVOKED)
    assert await registry.forget_worker(WORKER.id) is True
    assert await registry.worker(WORKER.id) is None
    assert await registry.join(TOKEN.digest, WORKER, NOW) is Join.REVOKED
    assert await uses_left(registry) == 1
