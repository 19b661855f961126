"""Files of core modules: paths, names, links, directories, and what is known of files."""

import pytest

from mvm_ci.testing.files import given
from tests.integration.wasm.fakes import FakeHost, OnlyGuest
from tests.integration.wasm.scripts import (
    ATIM,
    ATIM_NOW,
    BUSY,
    CREAT,
    DIRECTORY,
    END,
    EXCL,
    EXIST,
    FILE_TYPE,
    FOLLOW,
    ILSEQ,
    INVAL,
    ISDIR,
    LINK_TYPE,
    LOOP,
    MTIM,
    MTIM_NOW,
    NAMETOOLONG,
    NEW,
    NOENT,
    NOTDIR,
    NOTEMPTY,
    OK,
    PERM,
    ROFS,
    RW,
    SET,
    TRUNC,
    R,
    W,
    all_refused,
    errors,
    script,
)


def mounted() -> FakeHost:
    host = FakeHost()
    host.files.give(given({"given/a": b"text", "given/d/b": b""}))
    return host


# ---------------------------------------------------------------- opening


def test_opening_what_is_not_there(filer: OnlyGuest) -> None:
    all_refused(
        filer, NOENT, [f"open 3 0 x 0 {R} 0", "open 3 0 x/y 1 66 0", "open 3 0 x/ 0 2 0", "open 3 0 x 8 64 0"]
    )


def test_opening_what_is_there_already(filer: OnlyGuest) -> None:
    before = (NEW, "symlink nowhere 3 link", "mkdir 3 dir")
    lines = [f"open 3 {FOLLOW} {name} {CREAT | EXCL} {RW} 0" for name in ("x", "link", "dir")]
    all_refused(filer, EXIST, lines, before)


def test_cutting_while_opening(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "write 4 some",
        f"open 3 0 x {TRUNC} {RW} 0",
        "stat 5",
        "read 5 9",
        f"open 3 0 x {TRUNC} 0 0",
    )
    assert said[3][3] == "0"
    assert said[4] == ["0", "0", ""]
    assert said[5][0] == "0"


def test_directories_are_not_written(filer: OnlyGuest) -> None:
    all_refused(
        filer,
        ISDIR,
        [
            f"open 3 0 tmp 0 {W} 0",
            f"open 3 0 . {DIRECTORY} {RW} 0",
            f"open 3 0 tmp {CREAT} {R} 0",
            f"open 3 0 tmp {TRUNC} {R} 0",
            f"open 3 0 new/ {CREAT} {W} 0",
            "read 3 4",
            "write 3 text",
            "pread 3 4 0",
            "pwrite 3 text 0",
            f"seek 3 0 {SET}",
            f"seek 3 0 {END}",
            "tell 3",
            "allocate 3 0 1",
            "set-size 3 0",
            "advise 3 0 0 0",
        ],
    )


def test_files_are_no_directories(filer: OnlyGuest) -> None:
    all_refused(
        filer,
        NOTDIR,
        [
            f"open 3 0 x {DIRECTORY} {R} 0",
            f"open 3 0 x/ 0 {R} 0",
            f"open 3 0 x/// 0 {R} 0",
            f"open 3 0 x/y {CREAT} {R} 0",
            f"open 4 0 y {CREAT} {R} 0",
            "path-stat 3 0 x/",
            "path-stat 4 0 y",
            "mkdir 4 y",
            "rmdir 3 x",
            "rmdir 3 x/",
            "unlink 3 x/",
            "unlink 4 y",
            "rename 4 y 3 z",
            "link 4 0 y 3 z",
            "symlink y 4 z",
            "readlink 4 y 9",
            "readdir 4 4096 0",
        ],
        (NEW,),
    )


def test_ways_to_write_a_path(filer: OnlyGuest) -> None:
    before = ("mkdir 3 dir", "mkdir 3 dir/in", f"open 3 0 dir/in/file {CREAT} {RW} 0")
    good = [
        "dir/.//in/../../dir/in/../in///./file",
        "./dir/in/file",
        "dir/in/",
        "dir/in///",
        "dir/in/..",
        ".",
    ]
    all_refused(filer, OK, [f"open 3 0 {path} 0 {R} 0" for path in good], before)
    all_refused(
        filer, NOTDIR, [f"open 3 0 {path} 0 {R} 0" for path in ("dir/in/file/", "dir/in/file/.")], before
    )


def test_ways_out(filer: OnlyGuest) -> None:
    before = ("mkdir 3 dir", f"open 3 0 dir {DIRECTORY} 0 0", NEW, "symlink .. 4 up", "symlink ../.. 4 far")
    lines = [
        f"open {fd} {FOLLOW} {path} 0 {R} 0" for fd in (3, 4) for path in ("/", "..", "../x", "./../x", "/x")
    ]
    lines += [f"open 4 {FOLLOW} {path} 0 {R} 0" for path in ("up", "up/x", "far/x")]
    lines += [
        f"open 3 {FOLLOW} dir/far/x 0 {R} 0",
        "path-stat 4 1 up",
        "path-set-times 4 1 up 1 1 5",
        "mkdir 4 ../d",
    ]
    lines += ["rmdir 4 ../tmp", "unlink 4 ../x", "rename 4 up 3 /y", "rename 4 ../x 4 x", "link 4 0 ../x 4 x"]
    lines += [
        "link 3 0 x 4 ../y",
        "symlink x 4 ../y",
        "readlink 4 ../x 9",
        "symlink / 3 root",
        "symlink /tmp 3 root",
    ]
    all_refused(filer, PERM, lines, before)


def test_texts_that_are_no_paths(filer: OnlyGuest) -> None:
    assert errors(
        filer,
        "open 3 0 x%00 1 66 0",
        "open 3 0 x%ff 1 66 0",
        f"open 3 0 {'x' * 256} 1 66 0",
        f"mkdir 3 {'x/' * 2500}",
        "readdir 3 4096 0",
    ) == [INVAL, ILSEQ, NAMETOOLONG, NAMETOOLONG, OK]


def test_flags_that_there_are_not(filer: OnlyGuest) -> None:
    assert errors(filer, "open 3 0 x 16 66 0", "open 3 0 x 1 66 32", NEW, "set-flags 4 32") == [
        INVAL,
        INVAL,
        OK,
        INVAL,
    ]


# ---------------------------------------------------------------- what is known of files


def test_times(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "stat 4",
        f"set-times 4 7 9 {MTIM}",
        "stat 4",
        f"set-times 4 7 9 {ATIM}",
        f"path-set-times 3 0 x 0 0 {MTIM_NOW}",
        "stat 4",
        f"set-times 4 7 9 {MTIM | MTIM_NOW}",
        f"path-set-times 3 0 x 7 9 {ATIM | ATIM_NOW}",
        "set-times 4 7 9 16",
        f"set-times 4 {(1 << 64) - 1} 0 {ATIM}",
        "stat 4",
    )
    first, second, third, last = (list(map(int, said[index][6:])) for index in (1, 3, 6, 11))
    assert second[:2] == [first[0], 9]
    assert third[0] == 7
    assert third[1] > first[1]
    assert third[2] > second[2] > first[2]
    assert [said[index][0] for index in (7, 8, 9)] == ["28"] * 3
    assert last[0] == (1 << 64) - 1


def test_two_names_of_one_file(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "mkdir 3 dir",
        "link 3 0 x 3 dir/y",
        "path-stat 3 0 x",
        "path-stat 3 0 dir/y",
        "unlink 3 x",
        "stat 4",
    )
    assert said[3] == said[4]
    assert (said[3][2], said[6][2]) == ("2", "1")


def test_links_that_cannot_be(filer: OnlyGuest) -> None:
    before = (NEW, "symlink nowhere 3 l")
    all_refused(
        filer,
        EXIST,
        [
            "link 3 0 x 3 x",
            "link 3 0 x 3 tmp",
            "link 3 0 x 3 l",
            "link 3 0 x 3 .",
            "symlink x 3 l",
            "symlink x 3 tmp/",
        ],
        before,
    )
    all_refused(
        filer, NOENT, ["link 3 0 x 3 y/", "link 3 0 gone 3 y", "symlink x 3 y/", "symlink x 3 no/y"], before
    )
    all_refused(filer, PERM, ["link 3 0 tmp 3 y", "link 3 0 . 3 y"], before)
    all_refused(filer, INVAL, [f"link 3 {FOLLOW} l 3 y"], before)
    all_refused(filer, NOTDIR, ["link 3 0 x/ 3 y", "symlink y 3 x/"], before)


def test_links_are_followed_or_not(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "write 4 text",
        "symlink x 3 l",
        "symlink tmp 3 t",
        "symlink l 3 m",
        "path-stat 3 0 l",
        "path-stat 3 1 l",
        "path-stat 3 1 m",
        f"open 3 {FOLLOW} l 0 {R} 0",
        f"open 3 0 l 0 {R} 0",
        f"open 3 0 t {DIRECTORY} {R} 0",
        f"open 3 {FOLLOW} t {DIRECTORY} {R} 0",
        f"open 3 {FOLLOW} l {DIRECTORY} {R} 0",
        f"open 3 0 t/y {CREAT} {R} 0",
        "readlink 3 l 9",
        "readlink 3 x 9",
        "path-set-times 3 0 l 0 5 4",
        "path-stat 3 0 l",
        "path-stat 3 1 l",
        "link 3 0 l 3 n",
        "unlink 3 l",
        "path-stat 3 0 x",
    )
    assert [words[1] for words in said[5:8]] == [str(LINK_TYPE), str(FILE_TYPE), str(FILE_TYPE)]
    assert said[5][3] == "1", "as many bytes as its text has"
    assert [words[0] for words in said[8:14]] == ["0", str(LOOP), str(LOOP), "0", str(NOTDIR), "0"]
    assert (said[14], said[15][0]) == (["0", "1", "x"], str(INVAL))
    assert said[17][7] == "5" != said[18][7]
    assert [words[0] for words in said[19:]] == ["0", "0", "0"]


def test_a_link_is_read_in_parts(filer: OnlyGuest) -> None:
    said = script(filer, "symlink some/target 3 l", "readlink 3 l 100", "readlink 3 l 4", "readlink 3 l 0")
    assert said[1:] == [["0", "11", "some/target"], ["0", "4", "some"], ["0", "0", ""]]


def test_links_in_a_circle(filer: OnlyGuest) -> None:
    before = ("symlink l 3 l", "symlink b 3 a", "symlink a 3 b")
    lines = [
        f"open 3 {FOLLOW} l 0 {R} 0",
        f"open 3 0 l 0 {R} 0",
        "path-stat 3 1 a",
        f"open 3 {FOLLOW} a/x {CREAT} {W} 0",
    ]
    all_refused(filer, LOOP, lines, before)


def test_through_a_dangling_link_a_file_is_made(filer: OnlyGuest) -> None:
    said = errors(filer, "symlink tmp/new 3 l", f"open 3 {FOLLOW} l {CREAT} {W} 0", "path-stat 3 0 tmp/new")
    assert said == [OK, OK, OK]


# ---------------------------------------------------------------- directories


def test_a_listing(filer: OnlyGuest) -> None:
    said = script(
        filer, "readdir 3 4096 0", NEW, "stat 4", "symlink x 3 l", "readdir 3 4096 0", "readdir 3 4096 3"
    )
    assert said[0] == ["0", "78", ".:3:1:1", "..:3:2:1", "tmp:3:3:2"]
    inode = said[2][4]
    assert said[4][2:] == [".:3:1:1", "..:3:2:1", "l:7:3:4", "tmp:3:4:2", f"x:4:5:{inode}"]
    assert said[5][2:] == said[4][5:]


def test_a_listing_in_parts(filer: OnlyGuest) -> None:
    names = [f"file.{number}" for number in range(100)]
    made = [f"open 3 0 tmp/{name} {CREAT} 0 0" for name in names]
    found: list[str] = []
    cookie = 0
    while True:
        [*_, words] = script(filer, *made, f"open 3 0 tmp {DIRECTORY} {R} 0", f"readdir 104 256 {cookie}")
        entries = [entry.split(":") for entry in words[2:]]
        found += [entry[0] for entry in entries]
        if int(words[1]) < 256:
            break
        cookie = int(entries[-1][2])
    assert found == [".", "..", *sorted(names)]


@pytest.mark.parametrize("size", [0, 10, 24, 25])
def test_an_entry_is_cut_off_where_there_is_no_room(filer: OnlyGuest, size: int) -> None:
    assert script(filer, f"readdir 3 {size} 0")[0][:2] == ["0", str(size)]


@pytest.mark.parametrize("cookie", [99, 1 << 40, (1 << 64) - 1])
def test_behind_the_end_is_nothing(filer: OnlyGuest, cookie: int) -> None:
    assert script(filer, f"readdir 3 4096 {cookie}") == [["0", "0"]]


def test_making_and_removing_directories(filer: OnlyGuest) -> None:
    said = errors(
        filer,
        "mkdir 3 dir",
        "mkdir 3 dir",
        "mkdir 3 dir/",
        "mkdir 3 .",
        "mkdir 3 no/dir",
        "mkdir 3 dir/in/",
        "rmdir 3 dir",
        "rmdir 3 dir/in/",
        "rmdir 3 dir/.",
        "unlink 3 dir",
        "unlink 3 dir/",
        "rmdir 3 dir",
        "rmdir 3 dir",
        "rmdir 3 .",
    )
    assert said == [OK, EXIST, EXIST, EXIST, NOENT, OK, NOTEMPTY, OK, INVAL, ISDIR, ISDIR, OK, NOENT, INVAL]


def test_what_is_open_outlives_its_name(filer: OnlyGuest) -> None:
    said = script(
        filer,
        NEW,
        "write 4 text",
        "unlink 3 x",
        "pread 4 9 0",
        "stat 4",
        NEW,
        "stat 5",
        "mkdir 3 dir",
        f"open 3 0 dir {DIRECTORY} {R} 0",
        "rmdir 3 dir",
        f"open 6 0 y {CREAT} {W} 0",
        "readdir 6 4096 0",
        "mkdir 3 dir",
    )
    assert (said[3][2], said[4][2], said[6][3]) == ("text", "0", "0")
    assert (said[10][0], said[11][0], said[12][0]) == (str(NOENT), "0", "0")


def test_renaming(filer: OnlyGuest) -> None:
    kept = ("mkdir 3 dir", "mkdir 3 full", f"open 3 0 full/in {CREAT} 0 0", NEW, "mkdir 3 empty")
    all_refused(filer, NOTEMPTY, ["rename 3 dir 3 full"], kept)
    all_refused(
        filer, NOTDIR, ["rename 3 dir 3 x", "rename 3 x 3 y/", "rename 3 x/ 3 y", "rename 3 x 3 x/"], kept
    )
    all_refused(filer, ISDIR, ["rename 3 x 3 dir", "rename 3 x 3 full"], kept)
    all_refused(filer, NOENT, ["rename 3 no 3 y", "rename 3 x 3 no/y", "rename 3 no/x 3 y"], kept)
    all_refused(filer, INVAL, ["rename 3 dir 3 dir/x"], kept)
    all_refused(filer, BUSY, ["rename 3 . 3 y", "rename 3 x 3 .", "rename 3 full/. 3 y"], kept)
    said = script(
        filer,
        *kept,
        "stat 5",
        "rename 3 x 3 full/in",
        "path-stat 3 0 full/in",
        "path-stat 3 0 x",
        "rename 3 full 3 dir",
        "path-stat 3 0 dir/in",
        "rename 3 dir/ 3 empty/",
        "path-stat 3 0 empty/in",
        "rename 3 empty 3 empty",
        "readdir 3 4096 0",
    )
    there = said[5][4]
    assert [said[index][4] for index in (7, 10, 12)] == [there] * 3
    assert (said[8][0], said[13][0]) == (str(NOENT), "0")
    assert [entry.split(":")[0] for entry in said[14][2:]] == [".", "..", "empty", "tmp"]


# ---------------------------------------------------------------- inputs


def test_inputs_are_read(filer: OnlyGuest) -> None:
    said = script(
        filer,
        f"open 3 0 inputs/given/a 0 {R} 0",
        "read 4 9",
        "path-stat 3 0 inputs/given/d/b",
        host=mounted(),
    )
    assert said[1] == ["0", "4", "text"]
    assert said[2][0] == "0"


def test_inputs_are_not_written(filer: OnlyGuest) -> None:
    lines = (
        f"open 3 0 inputs/given/a 0 {W} 0",
        f"open 3 0 inputs/given/a {TRUNC} {R} 0",
        f"open 3 0 inputs/x {CREAT} {W} 0",
        "mkdir 3 inputs/given/x",
        "unlink 3 inputs/given/a",
        "rmdir 3 inputs/given/d",
        "rename 3 inputs 3 x",
        "symlink a 3 inputs/given/x",
        "path-set-times 3 0 inputs/given/a 1 1 5",
    )
    assert errors(filer, *lines, host=mounted()) == [ROFS] * len(lines)
