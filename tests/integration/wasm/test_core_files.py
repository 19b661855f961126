"""Files of core modules: descriptors and contents, and C programs that know nothing of WASI."""

import pytest

from mvm_ci.domain.outcome import FailureKind
from mvm_ci.files.system import FileLimits, FileSystem
from mvm_ci.ports.guest import GuestFailed
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.scripts import (
    APPEND,
    BADF,
    CHARACTER_TYPE,
    CREAT,
    CUR,
    DIR_TYPE,
    DIRECTORY,
    END,
    FBIG,
    FD_SEEK,
    FD_WRITE,
    FILE_TYPE,
    INVAL,
    LIMITS,
    NAMETOOLONG,
    NEW,
    NOTSOCK,
    NOTSUP,
    OK,
    RW,
    SET,
    SPIPE,
    R,
    W,
    all_refused,
    errors,
    script,
)

# ---------------------------------------------------------------- descriptors


def test_the_root_is_there_from_the_beginning(filer: OnlyGuest) -> None:
    assert script(filer, "prestat 3", "prestat-name 3 1", "prestat-name 3 9") == [
        ["0", "0", "1"],
        ["0", "/"],
        ["0", "/"],
    ]
    assert errors(filer, "prestat-name 3 0", "prestat 4", "prestat 1", "prestat-name 4 9") == [
        NAMETOOLONG,
        BADF,
        BADF,
        BADF,
    ]


def test_a_number_is_given_again_lowest_first(filer: OnlyGuest) -> None:
    opened = script(
        filer, *[f"open 3 0 f{i} {CREAT} 0 0" for i in range(3)], "close 5", "close 4", NEW, NEW, NEW
    )
    assert [words[-1] for words in opened] == ["4", "5", "6", "0", "0", "4", "5", "7"]


def test_what_is_closed_is_unknown(filer: OnlyGuest) -> None:
    assert errors(filer, "close 3", "fdstat 3", "close 3", f"open 3 0 x {CREAT} 0 0") == [
        OK,
        BADF,
        BADF,
        BADF,
    ]
    assert errors(filer, "close 1", "write 1 text", "stat 1") == [OK, BADF, BADF]


def test_renumbering(filer: OnlyGuest) -> None:
    said = script(
        filer,
        f"open 3 0 one {CREAT} {RW} 0",
        f"open 3 0 two {CREAT} {RW} {APPEND}",
        "stat 4",
        "renumber 4 5",
        "close 4",
        "stat 5",
        "fdstat 5",
        "renumber 5 4",
        "renumber 5 5",
        "renumber 99 5",
    )
    assert said[2] == said[5], "5 is now what 4 was"
    assert [words[0] for words in said[3:5]] == ["0", "8"]
    assert said[6][2] == "0", "with its flags"
    assert [words[0] for words in said[7:]] == ["8", "0", "8"], "only what is open changes places"


def test_streams_are_renumbered_too(filer: OnlyGuest) -> None:
    host = FakeHost()
    assert errors(filer, NEW, "renumber 1 4", "write 4 moved", "fdstat 1", host=host) == [OK, OK, OK, BADF]
    assert host.text("stdout") == "moved"


def test_over_the_root(filer: OnlyGuest) -> None:
    said = script(filer, f"open 3 0 . {DIRECTORY} 0 0", "renumber 4 3", "stat 3", "fdstat 4", "prestat 3")
    assert [words[0] for words in said] == ["0", "0", "0", "8", "8"]


def test_what_a_descriptor_can_do(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        f"open 3 0 x 0 {R} 0",
        f"open 3 0 x 0 {W} {APPEND}",
        "fdstat 3",
        "fdstat 4",
        "fdstat 5",
        "fdstat 6",
    )
    root, both, reader, writer = (list(map(int, words)) for words in said[3:])
    assert (root[1], root[2]) == (DIR_TYPE, 0)
    assert root[3] & (FD_SEEK | FD_WRITE | 1 << 22 | 1 << 19) == 0
    every_directory = sum(1 << bit for bit in (9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24, 25, 26))
    assert root[3] & every_directory == every_directory
    every_file = sum(1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 8, 21, 22, 23, 27))
    assert root[4] & (every_directory | every_file) == every_directory | every_file
    assert [words[1] for words in (both, reader, writer)] == [FILE_TYPE] * 3
    assert [words[3] & RW for words in (both, reader, writer)] == [RW, R, W]
    assert writer[2] == APPEND
    assert script(filer, "fdstat 1")[0][1] == str(CHARACTER_TYPE)


def test_rights_are_not_taken_away(filer: OnlyGuest) -> None:
    assert errors(filer, NEW, "set-rights 4 0 0", "set-rights 9 0 0") == [OK, NOTSUP, BADF]


def test_nothing_is_a_socket(filer: OnlyGuest) -> None:
    assert errors(filer, "shutdown 1 1", "shutdown 3 1", "shutdown 9 1") == [NOTSOCK, NOTSOCK, BADF]


def test_a_poll_of_descriptors(filer: OnlyGuest) -> None:
    said = script(filer, NEW, "poll 1 4", "poll 2 1", "poll 1 9")
    assert said[1:] == [["0", "1", "0"], ["0", "1", "0"], ["0", "1", "8"]]


def test_more_pieces_than_a_call_may_have(filer: OnlyGuest) -> None:
    assert errors(filer, NEW, "parts 4 1024", "parts 4 1025", "parts 1 1025") == [OK, OK, INVAL, INVAL]


# ---------------------------------------------------------------- contents


def test_reading_and_writing_move_the_position(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "tell 4",
        "write 4 0123456789",
        "tell 4",
        f"seek 4 -4 {CUR}",
        "read 4 2",
        "tell 4",
        f"seek 4 -1 {END}",
        "read 4 9",
        "read 4 9",
        f"seek 4 20 {SET}",
        "read 4 9",
        "write 4 x",
        "stat 4",
        f"seek 4 0 {SET}",
        "read 4 4",
    )
    assert [words[1] for words in said[1:8]] == ["0", "10", "10", "6", "2", "8", "9"]
    assert said[5][2] == "67"
    assert (said[8], said[9], said[11]) == (["0", "1", "9"], ["0", "0", ""], ["0", "0", ""])
    assert said[13][3] == "21"
    assert said[15] == ["0", "4", "0123"]


def test_positions_that_there_are_not(filer: OnlyGuest) -> None:
    lines = [
        f"seek 4 -1 {SET}",
        f"seek 4 -1 {CUR}",
        f"seek 4 -1 {END}",
        "seek 4 0 3",
        "seek 4 9223372036854775807 1",
    ]
    said = errors(
        filer, NEW, "write 4 x", "seek 4 0 0", lines[0], lines[1], "set-size 4 0", lines[2], lines[3]
    )
    assert said == [OK, OK, OK, INVAL, INVAL, OK, INVAL, INVAL]
    assert errors(filer, NEW, "write 4 x", lines[4], "tell 4") == [OK, OK, INVAL, OK]


def test_reading_and_writing_elsewhere_do_not(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "pwrite 4 0123 0",
        "pwrite 4 xy 2",
        "pread 4 9 1",
        "pread 4 9 9",
        "pwrite 4 z 6",
        "pread 4 9 0",
        "tell 4",
    )
    assert [words[1] for words in said[1:]] == ["4", "2", "3", "0", "1", "7", "0"]
    assert said[3][2] == "1xy"


def test_streams_have_no_position(filer: OnlyGuest) -> None:
    lines = [
        f"seek 1 0 {CUR}",
        "tell 1",
        "pread 0 4 0",
        "pwrite 1 text 0",
        "allocate 1 0 1",
        "advise 1 0 0 0",
    ]
    all_refused(filer, SPIPE, lines)
    all_refused(filer, BADF, ["write 0 text", "read 1 4", "set-size 1 0", "readdir 1 64 0"])
    assert script(filer, "read 0 4") == [["0", "0", ""]]


def test_without_the_right(filer: OnlyGuest) -> None:
    before = (NEW, f"open 3 0 x 0 {R} 0", f"open 3 0 x 0 {W} 0")
    all_refused(
        filer, BADF, ["write 5 text", "pwrite 5 text 0", "allocate 5 0 9", "read 6 4", "pread 6 4 0"], before
    )
    all_refused(filer, INVAL, ["set-size 5 0"], before)


def test_appending(filer: OnlyGuest) -> None:
    said = script(
        filer,
        f"open 3 0 x {CREAT} {RW} {APPEND}",
        "write 4 one",
        "seek 4 0 0",
        "write 4 two",
        "tell 4",
        "pwrite 4 X 0",
        "tell 4",
        "set-flags 4 0",
        "seek 4 3 0",
        "write 4 T",
        "pread 4 9 0",
    )
    assert (said[4][1], said[6][1]) == ("6", "6")
    assert said[10][2] == "XneTwo"


def test_sizes(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "allocate 4 0 100",
        "allocate 4 10 10",
        "stat 4",
        "allocate 4 90 20",
        "stat 4",
        "set-size 4 5",
        "stat 4",
    )
    assert [said[index][3] for index in (3, 5, 7)] == ["100", "110", "5"]
    assert errors(filer, NEW, "allocate 4 0 0", f"set-size 4 {1 << 63}", f"pwrite 4 x {1 << 63}") == [
        OK,
        INVAL,
        FBIG,
        FBIG,
    ]


def test_advice_is_heard(filer: OnlyGuest) -> None:
    said = errors(filer, NEW, "advise 4 0 9 5", "advise 4 0 9 6", "sync 4", "datasync 4", "sync 3", "sync 9")
    assert said == [OK, OK, INVAL, OK, OK, OK, BADF]


def test_what_one_descriptor_writes_another_reads(filer: OnlyGuest) -> None:
    assert script(filer, NEW, f"open 3 0 x 0 {R} 0", "write 4 text", "read 5 9")[3] == ["0", "4", "text"]


# ---------------------------------------------------------------- programs


def test_a_program_that_knows_of_nothing(filer: OnlyGuest) -> None:
    assert filer.run(b"ordinary", FakeHost(), LIMITS).decode().splitlines() == [
        "/ two",
        "19",
        "19 1 1",
        ". .. link moved.txt /dir",
        "one 0 -1 1",
        "1 0 0",
        "gone",
    ]


def test_a_directory_is_emptied_while_it_is_read(filer: OnlyGuest) -> None:
    assert filer.run(b"removes", FakeHost(), LIMITS) == b"0 0\ndone"


def limited(limits: FileLimits) -> FakeHost:
    host = FakeHost()
    host.files = FileSystem(limits)
    return host


def test_a_disk_that_is_full(filer: OnlyGuest) -> None:
    assert filer.run(b"fills", limited(FileLimits(bytes=1_000_000)), LIMITS) == b"1000000 1 0 10\ndone"


def test_a_million_files(filer: OnlyGuest) -> None:
    most = FileLimits().entries
    assert filer.run(b"million", FakeHost(), LIMITS) == b"%d 1\ndone" % (most - 1)


def test_open_files_without_end(filer: OnlyGuest) -> None:
    assert filer.run(b"opens", FakeHost(), LIMITS) == b"%d 1\ndone" % (FileLimits().opens - 1)


def test_a_deep_hole(filer: OnlyGuest) -> None:
    assert filer.run(b"digs", FakeHost(), LIMITS) == b"1 1\ndone"


def test_each_run_has_files_of_its_own(filer: OnlyGuest) -> None:
    first = script(filer, NEW, "stat 4", "readdir 3 4096 0")
    assert script(filer, NEW, "stat 4", "readdir 3 4096 0") == first


@pytest.mark.parametrize("line", ["readdir 3 4294967295 0", "readlink 3 l 4294967295", "parts 4294967295 1"])
def test_sizes_that_do_not_fit_the_memory(filer: OnlyGuest, line: str) -> None:
    said = errors(filer, "symlink x 3 l", line)
    assert said in ([OK, OK], [OK, BADF])


def test_a_bad_pointer_ends_the_guest(filer: OnlyGuest) -> None:
    with pytest.raises(GuestFailed, match="bad pointer") as caught:
        script(filer, "bad-pointer 3")
    assert caught.value.failure.kind is FailureKind.TRAP
