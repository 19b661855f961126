"""Files of Python guests: the standard library works as it does anywhere, and again after a loss."""

import json
from typing import Any

import pytest

from mvm_ci.domain.outcome import Completed, FailureKind
from mvm_ci.files.system import FileLimits, FileSystem
from mvm_ci.lifecycle.execute import Result
from mvm_ci.ports.guest import GuestFailed, GuestLimits
from mvm_ci.testing.crash_points import Crashed, CrashPoints
from mvm_ci.testing.execution import World, place
from mvm_ci.testing.files import given
from tests.integration.wasm.conftest import GUESTS, Load, built
from tests.integration.wasm.fakes import FakeHost, OnlyGuest

LIMITS = GuestLimits(memory_bytes=128 << 20, result_bytes=1 << 20)


@pytest.fixture(scope="module")
def filer(load: Load, tmp_path_factory: pytest.TempPathFactory) -> OnlyGuest:
    """The guest of ``guest/tests/files``."""
    return load(built(GUESTS / "tests" / "files" / "job.py", tmp_path_factory.mktemp("files")))


def job(do: str, argument: object = None) -> bytes:
    return json.dumps({"do": do, "argument": argument}).encode()


def call(guest: OnlyGuest, do: str, argument: object = None, host: FakeHost | None = None) -> Any:
    return json.loads(guest.run(job(do, argument), host or FakeHost(), LIMITS))


def limited(limits: FileLimits) -> FakeHost:
    host = FakeHost()
    host.files = FileSystem(limits)
    return host


def test_opening_reading_writing(filer: OnlyGuest) -> None:
    assert call(filer, "basics") == {
        "cwd": "/",
        "lines": ["eins\n", "ZWEI"],
        "end": "e\n",
        "exclusive": "File exists",
        "pread": "ZWEI",
        "pwrite": 1,
        "size": 9,
        "closed": None,
        "listed": ["notes.txt", "tmp"],
        "gone": [False, True, False],
    }


def test_names_and_directories(filer: OnlyGuest) -> None:
    said = call(filer, "names")
    assert said["walk"] == [
        ["/a", ["b"], ["link", "moved", "same"]],
        ["/a/b", ["c"], []],
        ["/a/b/c", [], []],
    ]
    assert (said["cwd"], said["link"], said["links"], said["same"]) == (
        "/a",
        ["moved", True, "text"],
        2,
        True,
    )
    assert said["glob"] == ["b", "b/c", "link", "moved", "same"]
    assert said["entries"] == [
        ["b", True, False],
        ["link", False, True],
        ["moved", False, False],
        ["same", False, False],
    ]
    assert (said["kinds"], said["times"]) == ([True, True], [5, 7])
    assert said["errors"] == [
        "OSError",
        "IsADirectoryError",
        "FileExistsError",
        "IsADirectoryError",
        "PermissionError",
    ]
    assert said["left"] == ["tmp"]


def test_temporary_files(filer: OnlyGuest) -> None:
    said = call(filer, "temporary")
    assert said["directory"].startswith("/tmp/tmp")
    assert (said["held"], said["rest"], said["spool"], said["left"]) == (4, 50, 100, [])
    again = call(filer, "temporary")
    assert again["directory"] == said["directory"], "names follow from the recorded randomness"


def test_archives(filer: OnlyGuest) -> None:
    said = call(filer, "archives")
    assert (said["same"], said["bytes"], said["gzip"]) == (True, True, "alone")
    assert said["tree"] == {
        "again.txt": 300,
        "deep": 0,
        "deep/er": 0,
        "deep/er/two.bin": 25_600,
        "one.txt": 300,
    }
    assert said["date"] == [2000, 1, 1, 0, 0, 0]
    assert call(filer, "archives")["zip"] == said["zip"], "the same files make the same archive"


def test_a_database(filer: OnlyGuest) -> None:
    assert call(filer, "database") == [[499_500, 1000], ["data.db", "tmp"]]


def test_a_module_that_was_just_written(filer: OnlyGuest) -> None:
    assert call(filer, "imports") == "[42]"


def test_inputs(filer: OnlyGuest) -> None:
    host = FakeHost()
    host.files.give(given({"given/a.txt": b"one", "given/d/b.txt": "zwei ü".encode()}))
    assert call(filer, "inputs", host=host) == {
        "walk": [
            ["/inputs", ["given"], []],
            ["/inputs/given", ["d"], ["a.txt"]],
            ["/inputs/given/d", [], ["b.txt"]],
        ],
        "text": "zwei ü",
        "errors": ["Read-only file system"] * 3,
    }


def test_ten_megabytes(filer: OnlyGuest) -> None:
    assert call(filer, "big", 10 << 20) == [10 << 20, True]


def test_much_at_once_is_done_in_part(filer: OnlyGuest) -> None:
    assert call(filer, "at_once", 2 << 20) == [1 << 20, 64 << 10, 64 << 10, 64 << 10]


def test_too_much_at_once_ends_the_guest(filer: OnlyGuest) -> None:
    with pytest.raises(GuestFailed, match="handed over more than 128 MiB of values at once") as caught:
        call(filer, "at_once", 8 << 20)
    assert caught.value.failure.kind is FailureKind.OUTPUT


def test_a_disk_that_is_full(filer: OnlyGuest) -> None:
    said = call(filer, "fills", host=limited(FileLimits(bytes=2_500_000)))
    assert said == [True, 2_500_000, "No space left on device", "No space left on device"]


def test_a_failure_tells_that_the_disk_is_full(filer: OnlyGuest) -> None:
    with pytest.raises(GuestFailed) as caught:
        call(filer, "fails_when_full", host=limited(FileLimits(bytes=2_500_000)))
    failure = caught.value.failure
    assert failure.kind is FailureKind.ERROR
    assert failure.message == "OSError: [Errno 29] I/O error: there is no more room for the job's files"


def test_a_million_directories(filer: OnlyGuest) -> None:
    said = call(filer, "many", host=limited(FileLimits(entries=2_000)))
    assert said == [1_999, "No space left on device"]


def test_open_files_without_end(filer: OnlyGuest) -> None:
    assert call(filer, "opens") == [FileLimits().opens - 1, "Quota exceeded"]


# ---------------------------------------------------------------- lost and replayed


def result(world: World, ended: Result | Crashed) -> bytes:
    assert isinstance(ended, Result), ended
    assert isinstance(ended.outcome, Completed), ended.outcome
    kept = ended.outcome.result
    return kept if isinstance(kept, bytes) else world.get_blob(kept)


@pytest.mark.parametrize("losses", [1, 2, 3])
def test_files_are_the_same_after_a_loss(filer: OnlyGuest, losses: int) -> None:
    given = job("lost", {"pause": 1})
    calm, rough = World(), World()
    undisturbed = result(calm, place(calm, filer.guest, given=given))
    for _ in range(losses):
        ended = place(rough, filer.guest, given=given, crash_points=CrashPoints("wait.after"))
        assert isinstance(ended, Crashed)
    assert result(rough, place(rough, filer.guest, given=given)) == undisturbed
    assert rough.shown == calm.shown == "step 0\nstep 1\nstep 2\n"


def test_what_a_memo_does_to_files_is_undone(filer: OnlyGuest) -> None:
    given = job("memos", {"pause": 1})
    calm, rough = World(), World()
    undisturbed = result(calm, place(calm, filer.guest, given=given))
    assert isinstance(place(rough, filer.guest, given=given, crash_points=CrashPoints("wait.after")), Crashed)
    assert result(rough, place(rough, filer.guest, given=given)) == undisturbed
    assert rough.shown == calm.shown == "computing\n" * 2
    said = json.loads(undisturbed)
    assert said["first"] == {"seen": ["kept", "made", "tmp"], "size": 1000}
    assert (said["kept"], said["second"]["seen"]) == ("before", ["after", "kept", "made", "tmp"])
    assert [path for path, *_ in said["known"]] == ["/", "/after", "/kept", "/other", "/tmp"]
