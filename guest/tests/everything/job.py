# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "everything"
# allow-hosts = ["example.org", "*.example.net:8080"]
# ///
"""One guest for many tests: the input says which function to call."""

import datetime
import hashlib
import html.parser
import json
import os
import random
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import beside
import mvm_ci

try:
    import ssl
except ImportError:
    ssl = None


def effects(argument):
    return {
        "time": time.time(),
        "monotonic": time.monotonic(),
        "perf": time.perf_counter(),
        "now": datetime.datetime.now().isoformat(),
        "random": random.random(),
        "uuid4": str(uuid.uuid4()),
        "uuid1": str(uuid.uuid1()),
        "urandom": os.urandom(8).hex(),
        "insecure": random.SystemRandom().random(),
        "hash": hash("abc"),
        "set": list({"a", "b", "c", "d"}),
    }


def seeds(argument):
    random.seed(7)
    first = random.random()
    random.seed(7)
    again = random.random()
    random.seed()
    return {"function": random.seed.__qualname__, "first": first, "again": again, "fresh": random.random()}


def memos(argument):
    def fails():
        raise ValueError("not this time")

    try:
        first = mvm_ci.memo("value", fails)
    except ValueError as error:
        first = type(error).__name__
    second = mvm_ci.memo("value", lambda: (1, (2, 3)))
    try:
        mvm_ci.memo("x" * 1000, fails)
    except mvm_ci.CallError as error:
        unknown = error.kind
    return {"first": first, "second": second, "again": mvm_ci.memo("value", lambda: [1, [2, 3]]), "unknown": unknown}


def library(argument):
    class Links(html.parser.HTMLParser):
        found = []

        def handle_starttag(self, tag, attrs):
            self.found.append((tag, dict(attrs)))

    Links().feed("<a href='/x'>&amp;</a>")
    import base64
    import decimal
    import sqlite3

    return {
        "links": Links.found,
        "sha": hashlib.sha256(b"x").hexdigest(),
        "url": urllib.parse.urljoin("http://a/b/", "../c"),
        "re": re.findall(r"\d+", "a1b22"),
        "json": json.loads("[1]"),
        "idna": "bücher.example".encode("idna").decode(),
        "cp1252": b"\x80".decode("cp1252"),
        "latin": b"\xe4".decode("latin-1"),
        "strptime": datetime.datetime.strptime("2020-02-03", "%Y-%m-%d").isoformat(),
        "strftime": datetime.datetime(2020, 2, 3).strftime("%d.%m.%Y"),
        "base64": base64.b64encode(b"x").decode(),
        "decimal": str(decimal.Decimal("1.10") + 1),
        "sqlite": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone()[0],
        "beside": beside.answer(),
        "ssl": ssl is None,
        "lock": threading.Lock().acquire(),
    }


def sleep(argument):
    before = time.monotonic()
    time.sleep(argument)
    return time.monotonic() - before


def naps(argument):
    for _ in range(argument):
        time.sleep(1)
    return argument


def writes(argument):
    with open("file", "w+") as file:
        file.write("x" * argument)
        file.seek(0)
        held = open("file").read()
        os.unlink("file")
        return len(file.read()) == len(held) and os.listdir("/tmp") == []


def prints(argument):
    print("one", "line")
    print("grüße", file=sys.stderr)
    print("no end", end="")
    sys.stdout.write("!")


def fetch(argument):
    data = argument.get("data")
    request = urllib.request.Request(
        argument["url"],
        data=data.encode() if data is not None else None,
        headers=argument.get("headers", {}),
        method=argument.get("method"),
    )
    if "idempotent" in argument:
        request.idempotent = argument["idempotent"]
    try:
        with urllib.request.urlopen(request, timeout=argument.get("timeout", 5)) as response:
            body = response.read()
            return {
                "status": response.status,
                "url": response.geturl(),
                "type": response.getheader("Content-Type"),
                "missing": response.getheader("X-Missing", "default"),
                "info": response.info().get_content_type(),
                "body": body.decode(),
                "again": response.read().decode(),
                "reason": response.reason,
            }
    except urllib.error.HTTPError as error:
        return {"http": error.code, "reason": error.reason, "body": error.read().decode()}
    except urllib.error.URLError as error:
        return {"error": type(error.reason).__name__, "text": str(error.reason)}


def sockets(argument):
    import socket

    try:
        socket.getaddrinfo("localhost", 80)
    except OSError as error:
        return type(error).__name__


def files(argument):
    found = []
    for name in ("/etc/passwd", "relative.txt"):
        try:
            open(name).close()
        except OSError as error:
            found.append(type(error).__name__)
    return [found, dict(os.environ), sys.stdin.read()]


def fails(argument):
    raise ValueError("what went wrong\nand its second line")


def wrong_result(argument):
    return {"an": object()}


def not_a_number(argument):
    return float("nan")


def leaves(argument):
    sys.exit(argument)


def aborts(argument):
    os.abort()


def hard_exit(argument):
    os._exit(argument)


def spin(argument):
    while True:
        pass


def catches(argument):
    """Tries to survive whatever a host call does to it."""
    while True:
        try:
            time.time()
            print("still here")
        except BaseException:
            pass
        finally:
            pass


def recurse(argument):
    return recurse(argument)


def deep(argument):
    sys.setrecursionlimit(1_000_000_000)

    def down(n):
        return [down(n + 1)]

    return down(0)


def allocate(argument):
    return len(bytearray(argument << 20))


def catches_memory(argument):
    try:
        bytearray(argument << 20)
    except MemoryError:
        return "caught"


def large(argument):
    return "x" * argument


def frozen(argument):
    return beside.BUILT_AT


def echo(argument):
    return argument


def noop(argument):
    return None


def run(input):
    return globals()[input["do"]](input.get("argument"))
