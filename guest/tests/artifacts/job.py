# /// script
# requires-python = ">=3.14"
# [tool.mvm-ci]
# name = "artifacts"
# ///
"""What the module for Python does with artifacts: the input says what to try."""

import io
import urllib.error
import urllib.request

import mvm_ci


def whole(job):
    contents = {
        "bytes": b"\x00\xff" * 300_000,
        "text": "grüße",
        "file": io.BytesIO(b"file" * 100_000),
        "lines": (b"%d\n" % number for number in range(1000)),
        "words": ["a", "b"],
        "none": b"",
        "text file": io.StringIO("ß" * 9),
    }
    found = {}
    for name, content in contents.items():
        put = mvm_ci.put_artifact(f"dir/{name}", content, media="text/plain")
        got = mvm_ci.get_artifact(f"dir/{name}")
        assert (got.digest, got.size, got.name) == (put.digest, put.size, f"dir/{name}")
        assert b"".join(got.chunks(1000)) == got.read()
        found[name] = [got.size, got.digest]
    return found


def files(job):
    got = mvm_ci.get_artifact("given", job)
    with got.open() as file:
        first = file.readline()
        file.seek(-4, io.SEEK_END)
        end = file.read()
        file.seek(2)
        return [first.decode(), end.decode(), file.read(3).decode(), got.text()[:5], file.tell()]


def errors(job):
    kinds = []
    for work in (
        lambda: mvm_ci.get_artifact("missing"),
        lambda: mvm_ci.put_artifact("../x", b""),
        lambda: mvm_ci.put_artifact("x", b"", media="nonsense"),
        lambda: mvm_ci.calls.call("artifact.end", {"name": "x"}),
        lambda: mvm_ci.calls.call("artifact.read", {"digest": "0" * 64, "offset": 0, "size": 1}),
        lambda: mvm_ci.calls.call("artifact.write", {"name": "x", "data": "no base64!"}),
    ):
        try:
            work()
        except mvm_ci.CallError as error:
            kinds.append(error.kind)
    return kinds


def listed(job):
    mvm_ci.put_artifact("b", b"1")
    mvm_ci.put_artifact("a", b"22")
    return [list(one) for one in mvm_ci.list_artifacts()]


def broken(job):
    def pieces(number):
        yield b"x" * 300_000
        raise ValueError(number)

    seen = []
    for number in range(40):
        try:
            mvm_ci.put_artifact(f"{number}", pieces(number))
        except ValueError as error:
            seen.append(error.args[0])
    return [seen == list(range(40)), mvm_ci.put_artifact("whole", b"1").size]


def http(job):
    request = urllib.request.Request("http://example.org/large")
    request.to_artifact = "large"
    response = urllib.request.urlopen(request)
    got = [response.status, response.read().decode(), response.artifact.size, response.artifact.text()[:3]]
    request = urllib.request.Request("http://example.org/sent", method="PUT")
    request.from_artifact = response.artifact
    got.append(urllib.request.urlopen(request).status)
    request = urllib.request.Request("http://example.org/missing")
    request.to_artifact = "large"
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        got += [error.code, error.read().decode(), error.fp.artifact is None]
    return got


def run(input):
    return globals()[input["do"]](input.get("job"))
