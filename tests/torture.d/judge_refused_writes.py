"""A write that was refused with "nothing was changed" has no effect after a kill and a restart."""

from disk import SYNC, WRITE, ERRORS
from faults import prepare
from server import Failure

SECONDS = 8


def run(context):
    disk, server, scenario = prepare(context)
    rounds, refused = 0, 0
    while context.continues(rounds, 5):
        server.start()
        number = context.rng.randrange(1, 12)
        kind = context.rng.choice([SYNC, SYNC, WRITE])
        context.step = f"restart {rounds + 1}: fault at call {number} of kind {kind}"
        scenario.outcomes = {}
        disk.fail(number, 1_000_000, kind, ERRORS["EIO"])
        scenario.run(f"r{rounds}")
        server.kill()
        disk.count(0)
        server.start()
        if scenario.missing():
            raise Failure(f"acknowledged and lost: {scenario.missing()}")
        if scenario.unexpected():
            raise Failure(f"refused, and there after a restart: {scenario.unexpected()}")
        refused += sum(status >= 400 for status in scenario.outcomes.values())
        server.kill()
        rounds += 1
    return f"{rounds} kills after a fault, {refused} refused writes, 0 of them had an effect"
