"""What a task asks of its engine, and what answers it."""

from collections.abc import Coroutine
from typing import Any, cast

import pytest

from mvm_ci.domain.errors import NotFound
from mvm_ci.domain.http import HttpFailure, HttpRequest
from mvm_ci.domain.ids import Digest, JobId
from mvm_ci.domain.job import Placed
from mvm_ci.domain.mail import WAIT_FOR_MAIL, Mail, MailWait, encode_mail, encode_wait
from mvm_ci.domain.payload import BlobRef
from mvm_ci.domain.segment import Segment
from mvm_ci.engine.messages import (
    AskAnswer,
    AskCall,
    Awake,
    BlobBytes,
    BlobStored,
    FromRunner,
    GetBlob,
    HttpAnswer,
    HttpCall,
    Post,
    PutBlob,
    Sleeps,
    Task,
)
from mvm_ci.engine.runner_host import RunnerHost
from mvm_ci.engine.strand import Answer, Strand
from mvm_ci.ports.guest import CompiledModule

NUMBER = 7
CALL = NUMBER << 32
REF = BlobRef(Digest("ab" * 32), 5)
TOPICS = ("message:go",)
LETTER = Mail(1, "message:go", b"1")
GET = HttpRequest("GET", "http://a/", (), b"", 1000, idempotent=True)


class Outside:
    def __init__(self) -> None:
        self.sent: list[FromRunner] = []
        self.sleeping: list[Answer[Any]] = []

    def send(self, message: FromRunner) -> None:
        self.sent.append(message)

    def sleep(self, wall_ns: int, answer: Answer[Any]) -> None:
        self.sleeping.append(answer)

    def awake(self, answer: Answer[Any]) -> None:
        self.sleeping.remove(answer)


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def host(outside: Outside) -> RunnerHost:
    task = Task(NUMBER, 0, b"", 0, Placed(JobId(1), 1), 1, ())
    return RunnerHost(Strand(task, cast("CompiledModule", None)), outside)


def waits(coroutine: Coroutine[Any, Any, Any]) -> Answer[Any]:
    answer = coroutine.send(None)
    assert isinstance(answer, Answer)
    return answer


def end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


def test_a_flush_waits_until_everything_that_was_posted_is_durable(
    host: RunnerHost, outside: Outside
) -> None:
    segments = [Segment(0, 1, b"a"), Segment(1, 1, b"b")]
    for segment in segments:
        host.post(segment)
    assert outside.sent == [Post(NUMBER, segment) for segment in segments]
    flush = host.flush()
    answer = waits(flush)
    assert host.durable(1) is None
    assert host.durable(2) is answer
    end(flush)
    end(host.flush())


def test_what_is_durable_already_is_not_waited_for(host: RunnerHost) -> None:
    host.post(Segment(0, 1, b"a"))
    assert host.durable(1) is None
    end(host.flush())


def test_a_request_waits_for_its_own_answer(host: RunnerHost, outside: Outside) -> None:
    failure = HttpFailure("dns", "no such host")
    first = host.http(GET, "key")
    answer = waits(first)
    assert outside.sent == [HttpCall(NUMBER, CALL + 1, GET, "key")]
    assert host.answered(HttpAnswer(CALL + 2, failure)) is None
    assert host.answered(HttpAnswer(CALL + 1, failure)) is answer
    assert host.answered(HttpAnswer(CALL + 1, failure)) is None
    assert end(first) == failure


def test_blobs(host: RunnerHost, outside: Outside) -> None:
    put = host.put_blob(b"12345")
    waits(put)
    assert host.answered(BlobStored(CALL + 1, REF)) is not None
    assert end(put) == REF
    get = host.get_blob(REF)
    waits(get)
    assert host.answered(BlobBytes(CALL + 2, b"12345")) is not None
    assert end(get) == b"12345"
    missing = host.get_blob(REF)
    waits(missing)
    assert host.answered(BlobBytes(CALL + 3, None)) is not None
    with pytest.raises(NotFound):
        missing.send(None)
    asked = [
        PutBlob(NUMBER, CALL + 1, b"12345"),
        GetBlob(NUMBER, CALL + 2, REF),
        GetBlob(NUMBER, CALL + 3, REF),
    ]
    assert outside.sent == asked


def test_a_sleep_says_when_it_begins_and_ends(host: RunnerHost, outside: Outside) -> None:
    sleep = host.wait_until(1 << 62)
    assert waits(sleep) is outside.sleeping[0]
    assert outside.sent == [Sleeps(NUMBER)]
    outside.sleeping[0].give(None)
    end(sleep)
    assert outside.sent == [Sleeps(NUMBER), Awake(NUMBER)]


def mail_call(number: int, *, at_once: bool) -> AskCall:
    question = encode_wait(MailWait(TOPICS, at_once))
    return AskCall(NUMBER, CALL + number, WAIT_FOR_MAIL, "", question)


def test_mail_that_comes_in_time_ends_the_wait(host: RunnerHost, outside: Outside) -> None:
    wait = host.mail(TOPICS, 1 << 62)
    assert waits(wait) is outside.sleeping[0]
    assert outside.sent == [mail_call(1, at_once=False)]
    assert host.answered(AskAnswer(CALL + 1, encode_mail((LETTER,)))) is not None
    assert end(wait) == (LETTER,)
    assert outside.sleeping == []


@pytest.mark.parametrize("there", [(), (LETTER,)])
def test_when_the_time_is_over_it_takes_what_is_there(
    host: RunnerHost, outside: Outside, there: tuple[Mail, ...]
) -> None:
    wait = host.mail(TOPICS, 1 << 62)
    outside_time = waits(wait)
    outside_time.give(None)
    waits(wait)
    assert outside.sent == [mail_call(1, at_once=False), mail_call(2, at_once=True)]
    # The answer to the first question is of no interest any more: its mail comes with the second.
    assert host.answered(AskAnswer(CALL + 1, encode_mail((LETTER,)))) is None
    assert host.answered(AskAnswer(CALL + 2, encode_mail(there))) is not None
    assert end(wait) == there


def test_without_any_time_it_only_looks(host: RunnerHost, outside: Outside) -> None:
    look = host.mail(TOPICS, 1)
    waits(look)
    assert (outside.sent, outside.sleeping) == ([mail_call(1, at_once=True)], [])
    assert host.answered(AskAnswer(CALL + 1, encode_mail(()))) is not None
    assert end(look) == ()


def test_a_time_that_is_past_is_not_waited_for(host: RunnerHost, outside: Outside) -> None:
    end(host.wait_until(1))
    assert outside.sent == []


def test_giving_way_is_one_turn(host: RunnerHost) -> None:
    turn = host.give_way()
    assert turn.send(None) is None
    end(turn)
