"""A small blocking client: a load generator must cost less than what it measures."""

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit


class Client:
    """One kept-alive connection to the API. Raises ``RuntimeError`` for any answer but a success."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def post(self, path: str, body: bytes) -> dict[str, list[dict[str, object]]]:
        """Sends ``body`` and returns the decoded answer."""
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"POST {path}: {answer.status} {data[:300]!r}")
        decoded: dict[str, list[dict[str, object]]] = json.loads(data)
        return decoded

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def submission(module: str, inputs: Sequence[str], wait_s: float = 60.0) -> bytes:
    """A request body: one job for each input, answered when all have ended."""
    jobs = [{"module": module, "input": text} for text in inputs]
    return json.dumps({"jobs": jobs, "wait_s": wait_s}).encode()


def completed(answer: dict[str, list[dict[str, object]]]) -> int:
    """How many jobs of a submission completed. Raises ``RuntimeError`` if one did not."""
    for job in answer["jobs"]:
        if job["state"] != "completed":
            raise RuntimeError(f"job {job['id']} is {job['state']}: {job.get('failure')}")
    return len(answer["jobs"])


def load(url: str, token: str, bodies: Sequence[bytes], connections: int) -> int:
    """Sends all bodies, one request under way on each connection; returns the completed jobs."""

    def one(mine: Sequence[bytes]) -> int:
        client = Client(url, token)
        try:
            return sum(completed(client.post("/v1/jobs", body)) for body in mine)
        finally:
            client.close()

    shares = [bodies[n::connections] for n in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        return sum(pool.map(one, shares))
