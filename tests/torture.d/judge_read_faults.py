"""A read fails with EIO, which SQLite reports as damage: writes may stop until the restart, and nothing is lost or wrong."""

from disk import ERRORS, READ
from faults import prepare
from server import Failure, user

SECONDS = 8


def run(context):
    disk, server, scenario = prepare(context)
    rounds = failed = written = 0
    while context.continues(rounds, 10):
        server.start()
        number, length = context.rng.randrange(1, 20), context.rng.choice([1, 40])
        context.step = f"restart {rounds + 1}: read {number} fails, {length} times"
        scenario.outcomes = {}
        disk.fail(number, length, READ, ERRORS["EIO"])
        scenario.run(f"f{rounds}")
        failed += disk.get("failed")
        disk.count(0)
        scenario.run(f"later{rounds}")
        if not server.is_running():
            raise Failure(f"the server ended with {server.process.returncode}: {server.last_log()}")
        server.kill()
        server.start()
        if scenario.missing():
            raise Failure(f"acknowledged and lost: {scenario.missing()}")
        name = f"restarted{rounds}"
        scenario.create(server.scim(scenario.site), name, "/Users", user(name))
        if scenario.outcomes[name] != 201:
            raise Failure(f"a write after the restart got {scenario.outcomes[name]}: {server.last_log()}")
        written += sum(200 <= status < 300 for status in scenario.outcomes.values())
        server.kill()
        rounds += 1
    server.check()
    return f"{rounds} restarts, {failed} reads failed; {written} acknowledged writes, 0 lost"
