"""Ordinary Python on files: the input says which function to call."""

import glob
import gzip
import importlib
import json
import os
import pathlib
import random
import shutil
import sqlite3
import stat
import sys
import tarfile
import tempfile
import time
import zipfile

import mvm_ci


def basics(argument):
    with open("notes.txt", "w") as file:
        file.write("eins\nzwei\n")
    with open("/notes.txt", "a") as file:
        file.write("grüße\n")
    with open("notes.txt", "r+b") as file:
        file.seek(5)
        file.write(b"ZWEI")
        file.seek(-2, os.SEEK_END)
        end = file.read()
        file.truncate(9)
    with open("notes.txt") as file:
        lines = list(file)
    try:
        open("notes.txt", "x")
    except FileExistsError as error:
        exclusive = error.strerror
    descriptor = os.open("notes.txt", os.O_RDWR)
    return {
        "cwd": os.getcwd(),
        "lines": lines,
        "end": end.decode("latin-1"),
        "exclusive": exclusive,
        "pread": os.pread(descriptor, 4, 5).decode(),
        "pwrite": os.pwrite(descriptor, b"!", 0),
        "size": os.fstat(descriptor).st_size,
        "closed": os.close(descriptor),
        "listed": sorted(os.listdir("/")),
        "gone": [os.path.exists("none"), os.access("notes.txt", os.R_OK), os.access("none", os.R_OK)],
    }


def names(argument):
    os.makedirs("a/b/c")
    pathlib.Path("a/b/file").write_text("text")
    os.rename("a/b/file", "a/moved")
    os.symlink("moved", "a/link")
    os.link("a/moved", "a/same")
    os.chdir("a")
    found = {
        "walk": list(os.walk("/a")),
        "cwd": os.getcwd(),
        "link": [os.readlink("link"), os.path.islink("link"), open("link").read()],
        "links": os.stat("same").st_nlink,
        "same": os.path.samefile("same", "moved"),
        "glob": sorted(glob.glob("**", recursive=True)),
        "entries": sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in os.scandir()),
        "kinds": [stat.S_ISREG(os.stat("moved").st_mode), stat.S_ISDIR(os.stat("b").st_mode)],
    }
    os.chdir("/")
    os.replace("a/same", "a/link")
    os.utime("a/moved", ns=(5, 7))
    found["times"] = [os.stat("a/moved").st_atime_ns, os.stat("a/moved").st_mtime_ns]
    for wrong in (lambda: os.rmdir("a"), lambda: os.unlink("a"), lambda: os.mkdir("a"), lambda: open("a/b"), lambda: os.symlink("/x", "y")):
        try:
            wrong()
        except OSError as error:
            found.setdefault("errors", []).append(type(error).__name__)
    shutil.rmtree("a")
    found["left"] = os.listdir("/")
    return found


def temporary(argument):
    with tempfile.TemporaryDirectory() as directory:
        with tempfile.NamedTemporaryFile("w+", dir=directory, suffix=".txt") as named:
            named.write("text")
            named.flush()
            held = os.path.getsize(named.name)
        with tempfile.TemporaryFile() as unnamed:
            unnamed.write(b"x" * 100)
            unnamed.seek(50)
            rest = len(unnamed.read())
        with tempfile.SpooledTemporaryFile(max_size=10) as spooled:
            spooled.write(b"y" * 100)
            spooled.seek(0)
            spool = len(spooled.read())
    return {"directory": directory, "held": held, "rest": rest, "spool": spool, "left": os.listdir("/tmp")}


def archives(argument):
    source = pathlib.Path("source")
    (source / "deep" / "er").mkdir(parents=True)
    (source / "one.txt").write_text("one" * 100)
    (source / "deep" / "er" / "two.bin").write_bytes(bytes(range(256)) * 100)
    shutil.make_archive("packed", "zip", source)
    shutil.make_archive("packed", "gztar", source)
    with zipfile.ZipFile("packed.zip") as packed:
        packed.extractall("from-zip")
        date = packed.infolist()[0].date_time
    with tarfile.open("packed.tar.gz") as packed:
        packed.extractall("from-tar", filter="data")
    with gzip.open("alone.gz", "wb") as file:
        file.write(b"alone")

    def tree(root):
        return {str(path.relative_to(root)): path.stat().st_size for path in sorted(pathlib.Path(root).rglob("*"))}

    shutil.copytree("from-zip", "copied")
    shutil.copy2("copied/one.txt", "copied/again.txt")
    return {
        "same": tree("source") == tree("from-zip") == tree("from-tar"),
        "tree": tree("copied"),
        "date": date,
        "gzip": gzip.open("alone.gz").read().decode(),
        "bytes": pathlib.Path("from-tar/deep/er/two.bin").read_bytes() == bytes(range(256)) * 100,
        "zip": pathlib.Path("packed.zip").read_bytes().hex(),
    }


def database(argument):
    connection = sqlite3.connect("data.db")
    connection.execute("create table t (a, b)")
    with connection:
        connection.executemany("insert into t values (?, ?)", [(number, str(number)) for number in range(1000)])
    connection.close()
    connection = sqlite3.connect("data.db")
    return [connection.execute("select sum(a), count(b) from t").fetchone(), os.listdir("/")]


def imports(argument):
    pathlib.Path("made.py").write_text("import json\nVALUE = json.dumps([42])\n")
    sys.path.insert(0, "/")
    return importlib.import_module("made").VALUE


def inputs(argument):
    found = {"walk": list(os.walk("/inputs")), "text": open("/inputs/given/d/b.txt").read()}
    for change in (lambda: open("/inputs/given/a.txt", "w"), lambda: os.mkdir("/inputs/x"), lambda: os.unlink("/inputs/given/a.txt")):
        try:
            change()
        except OSError as error:
            found.setdefault("errors", []).append(os.strerror(error.errno))
    return found


def big(argument):
    """Writes and reads ``argument`` bytes."""
    block = bytes(range(256)) * 256
    with open("big", "wb") as file:
        for _ in range(argument // len(block)):
            file.write(block)
    return [os.path.getsize("big"), open("big", "rb").read() == block * (argument // len(block))]


def at_once(argument):
    descriptor = os.open("x", os.O_CREAT | os.O_RDWR)
    written = os.pwrite(descriptor, b"x" * argument, 0)
    return [written, os.write(descriptor, b"x" * argument), len(os.read(descriptor, argument)), len(os.pread(descriptor, argument, 0))]


def fills(argument):
    try:
        with open("full", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1_000_000)
    except OSError as error:
        told = [error.errno == 29, os.path.getsize("full")]
    for change in (lambda: os.truncate("full", 1 << 40), lambda: os.symlink("x" * 5, "link")):
        try:
            change()
        except OSError as error:
            told.append(error.strerror)
    return told


def fails_when_full(argument):
    with open("full", "wb") as file:
        while True:
            file.write(b"x" * 1_000_000)


def many(argument):
    made = 0
    try:
        while True:
            os.mkdir(f"d{made}")
            made += 1
    except OSError as error:
        return [made, error.strerror]


def opens(argument):
    kept = []
    try:
        while True:
            kept.append(os.open("/tmp/x", os.O_CREAT | os.O_RDONLY))
    except OSError as error:
        return [len(kept), error.strerror]


def everything_known():
    return sorted(
        [path, list(os.lstat(path)), os.lstat(path).st_mtime_ns]
        for path in glob.glob("/**", recursive=True)
    )


def lost(argument):
    """Works with files, is lost while it sleeps, and goes on with them."""
    with open("log", "w") as log:
        for step in range(3):
            path = pathlib.Path(f"step-{step}", f"{random.random()}.json")
            path.parent.mkdir()
            path.write_text(json.dumps({"step": step, "random": random.random()}))
            print("step", step)
            log.write(f"{path} {path.stat().st_mtime_ns}\n")
            time.sleep(argument["pause"])
    shutil.make_archive("/tmp/all", "zip", "/", ".")
    return {"known": everything_known(), "zip": pathlib.Path("/tmp/all.zip").read_bytes().hex()}


def memos(argument):
    """What a memo does to files is gone after it, whether it was computed or recorded."""

    def compute():
        print("computing")
        pathlib.Path("kept").write_text("changed")
        os.mkdir("made")
        pathlib.Path("made", "scratch").write_text("x" * 1000)
        os.unlink("other")
        return {"seen": sorted(os.listdir("/")), "size": os.path.getsize("made/scratch")}

    def fails():
        os.unlink("other")
        raise ValueError("not this time")

    pathlib.Path("kept").write_text("before")
    pathlib.Path("other").write_text("other")
    first = mvm_ci.memo("files", compute)
    try:
        mvm_ci.memo("fails", fails)
    except ValueError:
        pass
    time.sleep(argument["pause"])
    pathlib.Path("after").write_text("after")
    return {"first": first, "second": mvm_ci.memo("files", compute), "known": everything_known(), "kept": open("kept").read()}


def run(input):
    return globals()[input["do"]](input.get("argument"))
