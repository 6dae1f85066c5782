"""kill -9 at random times under a mixed load: what was acknowledged is there, and nothing is half done."""

from rounds import Rounds
from server import Server

SECONDS = 14


def run(context):
    site = context.site()
    server = Server(context.program, site.copy_to(context.folder / "data"), ["--rate-limit", "0"])
    rounds = Rounds(context, server, site)
    while context.continues(rounds.crashes, 8):
        context.step = f"kill {rounds.crashes + 1}"
        server.start()
        rounds.compare()
        rounds.run_load(context.rng.uniform(0.02, 0.8))
        if rounds.crashes % 5 == 0:
            server.check()
    server.start()
    rounds.compare()
    server.kill()
    server.check()
    return rounds.summary("kills")
