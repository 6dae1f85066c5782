"""A call of the operating system fails: each number of a short scenario, with EIO, ENOSPC and a short write.

No answer reports a success that is lost, the process does not end, and the server recovers.
"""

import shutil
import time

from disk import ERRORS
from faults import ALL_KINDS, prepare
from server import Failure, user

SECONDS = 14
RECOVERY_SECONDS = 20


def run(context):
    disk, server, scenario = prepare(context)
    server.start()
    scenario.run("warm")
    disk.count(ALL_KINDS)
    scenario.run("count")
    calls = disk.get("calls")
    if calls < 6:
        raise Failure(f"the library saw only {calls} calls")
    faults = [(number, kind, length) for number in range(1, calls + 1) for kind in ERRORS for length in (1, 40)]
    context.rng.shuffle(faults)
    done = failed = 0
    for number, kind, length in faults:
        if not context.continues(done, 40):
            break
        context.step = f"{kind} at call {number}, {length} times"
        disk.fail(number, length, ALL_KINDS, ERRORS[kind])
        scenario.run(f"f{done}")
        failed += disk.get("failed")
        disk.count(ALL_KINDS)
        if not server.is_running():
            raise Failure(f"the server ended with {server.process.returncode}: {server.last_log()}")
        wait_for_recovery(scenario, f"r{done}")
        done += 1
        if done % 4 == 0:
            restart(server, scenario)
    restart(server, scenario)
    server.kill()
    server.check()
    shutil.rmtree(disk.data)
    return f"{done} of {len(faults)} faults, {failed} calls failed; {len(scenario.outcomes)} writes, 0 lost"


def wait_for_recovery(scenario, label):
    """Waits until a write succeeds again. If the server asks for it, a restart is a way to recover."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    client = scenario.server.scim(scenario.site)
    attempt = 0
    while time.monotonic() < deadline:
        attempt += 1
        name = f"{label}-{attempt}-a"
        scenario.create(client, name, "/Users", user(name))
        if scenario.outcomes[name] == 201:
            client.close()
            return
        time.sleep(0.1)
    raise Failure(f"no write succeeds {RECOVERY_SECONDS} s after the fault: {scenario.server.last_log()}")


def restart(server, scenario):
    server.kill()
    server.start()
    missing = scenario.missing()
    if missing:
        raise Failure(f"acknowledged and lost: {missing}")
    # The databases stay small.
    scenario.outcomes = {name: status for name, status in scenario.outcomes.items() if status < 300}
