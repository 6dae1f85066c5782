"""Latencies of one client, and processes that load the server."""

import subprocess
import sys
import tempfile
import time

from disk import HERE
from server import PREFIX, Unanswered, bulk, user


class Flood:
    """A tenant that loads the server from a process of its own."""

    def __init__(self, server, site, number, kind, threads):
        ident, token = site.configurations[number]
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen([sys.executable, "-B", str(HERE / "flood.py"), str(server.port), token, PREFIX + ident, kind, str(threads)],
                                        stdout=self.output, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def count_calls(self):
        """Calls that were answered, rounded down."""
        self.output.seek(0)
        return sum(map(int, self.output.read().split()))


def create_users(client, count, title="Engineer", label="base"):
    """Creates users by Bulk."""
    for start in range(0, count, 500):
        operations = [{"method": "POST", "path": "/Users", "bulkId": str(number), "data": user(f"{label}-{number}", title)}
                      for number in range(start, min(count, start + 500))]
        client.expect(200, "POST", "/Bulk", bulk(*operations))


def time_calls(client, seconds, pause, make_call):
    """Durations of the calls in milliseconds, and failures: calls without the expected status."""
    durations, failures, number = [], [], 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        number += 1
        method, path, body, expected = make_call(number)
        begun = time.monotonic()
        try:
            answer = client.call(method, path, body)
            if answer.status != expected:
                failures.append(f"{method} {path[:40]}: {answer.status}")
        except Unanswered as error:
            failures.append(str(error))
        durations.append((time.monotonic() - begun) * 1_000)
        time.sleep(pause)
    return durations, failures


def percentile(durations, share):
    ordered = sorted(durations)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
