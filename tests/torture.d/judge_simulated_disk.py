"""Power cuts on a simulated disk: writes that were not synced are dropped, reordered or torn."""

from disk import Disk
from rounds import Rounds
from server import Failure, Server

SECONDS = 14


def run(context):
    site = context.site()
    data = site.copy_to(context.folder / "data")
    disk = Disk(context.folder, data, is_simulated=True)
    server = Server(context.program, data, ["--rate-limit", "0"], disk.environment)
    rounds, not_synced = Rounds(context, server, site), 0
    while True:
        disk.remember()
        server.start()
        rounds.compare()
        if not context.continues(rounds.crashes, 8):
            break
        policy = context.rng.choice(["drop", "reorder", "tear"])
        context.step = f"power cut {rounds.crashes + 1} ({policy})"
        rounds.run_load(context.rng.uniform(0.02, 0.8))
        not_synced += disk.cut_power(context.rng, policy)
        if rounds.crashes % 5 == 0:
            server.check()
    server.kill()
    server.check()
    expect_loss(context, site)
    return rounds.summary("power cuts") + f"; {not_synced} writes were not synced"


def expect_loss(context, site):
    """Checks the judge itself: a disk that reports syncs which it does not do loses acknowledged writes."""
    context.step = "a disk that lies"
    data = site.copy_to(context.folder / "lies")
    disk = Disk(context.folder, data, is_simulated=True)
    server = Server(context.program, data, ["--rate-limit", "0"], {**disk.environment, "DISK_LIES": "1"})
    rounds = Rounds(context, server, site)
    try:
        for _ in range(5):
            disk.remember()
            server.start()
            rounds.compare()
            rounds.run_load(0.4)
            disk.cut_power(context.rng, "drop")
    except Failure:
        server.kill()
        return
    raise Failure("a disk that loses synced writes was not noticed")
