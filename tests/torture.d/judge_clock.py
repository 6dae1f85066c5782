"""Leaps of the system clock: nothing is dated by them, expires by them, or disappears from the feed."""

import datetime

from disk import HERE, build_library
from rounds import Rounds
from server import Failure, Server

SECONDS = 10
DAY = 86_400
LEAPS = (365 * DAY, -365 * DAY, 11 * 60, -11 * 60, 3_650 * DAY, 0)


def run(context):
    site = context.site()
    library = build_library(context.folder, HERE.parent / "fixtures" / "clock" / "shifted_clock.c")
    shift = context.folder / "shift"
    environment = {"LD_PRELOAD": str(library), "SHIFTED_CLOCK_FILE": str(shift)}
    set_shift(shift, 0)
    server = Server(context.program, site.copy_to(context.folder / "data"), ["--rate-limit", "0"], environment)
    rounds, leaps = Rounds(context, server, site), 0
    while context.continues(rounds.crashes, 4):
        server.start()
        rounds.compare()
        rounds.start_load()
        for _ in range(3):
            seconds = context.rng.choice(LEAPS)
            context.step = f"leap {leaps + 1}: {seconds} s"
            set_shift(shift, seconds)
            context.sleep(context.rng.uniform(0.1, 0.6))
            leaps += 1
        expect_dates(server, site)
        set_shift(shift, 0)
        server.kill()
        rounds.end_load()
    server.start()
    rounds.compare()
    server.kill()
    return f"{leaps} leaps; " + rounds.summary("kills")


def set_shift(file, seconds):
    """Renames the file, so that the server never reads an empty one."""
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.rename(file)


def expect_dates(server, site):
    now = datetime.datetime.now(datetime.timezone.utc)
    for one in server.scim(site).expect(200, "GET", "/Users?count=200").get("Resources", []):
        for name in ("created", "lastModified"):
            date = datetime.datetime.fromisoformat(one["meta"][name].replace("Z", "+00:00"))
            if abs((date - now).total_seconds()) > DAY / 4:
                raise Failure(f"{one['userName']} is dated {one['meta'][name]}")
