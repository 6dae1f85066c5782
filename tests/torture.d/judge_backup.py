"""Backups under load: a backup is small and complete, and writers continue at their pace while it is made."""

import shutil
import threading

from measure import create_users, percentile, time_calls
from server import Failure, Server, user, wait_until

SECONDS = 12
ALONE = True
MIB = 1 << 20
# The short form runs while builds do, so it reports the latencies, and only the long form judges them. In both, each write gets
# its response before the deadline of the server.
RATIO_MAX = 2
ATTEMPTS_LONG = 3


def run(context):
    site = context.site()
    server = Server(context.program, site.copy_to(context.folder / "data"), ["--rate-limit", "0", "--quota-storage", "0"]).start()
    target = (1_024 if context.is_long else 48) * MIB
    title, client, number = "x" * 4_000, server.scim(site), 0
    while (server.data / "rollcall.db").stat().st_size + server.wal_bytes() < target:
        create_users(client, 500, title, f"base-{number}")
        number += 1
    wait_until("the log is checkpointed", lambda: server.wal_bytes() < 64 * MIB)
    notes = []
    for attempt in range(ATTEMPTS_LONG if context.is_long else 1):
        context.step = f"attempt {attempt + 1}"
        quiet, failures = time_calls(server.scim(site, 1), 5, 0.005, lambda one: create_call("q", attempt, one))
        busy, during, result = time_during_backup(server, site, context.folder / f"copy-{attempt}.db", attempt)
        if failures or during:
            raise Failure(f"writes failed: {(failures + during)[:3]}")
        before, after = percentile(quiet, 0.99), percentile(busy, 0.99)
        notes.append(f"p99 {before:.1f} ms without, {after:.1f} ms with a backup ({len(busy)} writes)")
        if not context.is_long or after <= RATIO_MAX * before:
            break
    else:
        raise Failure(f"writers' p99 grows by more than {RATIO_MAX}: {'; '.join(notes)}")
    expect_complete(context, server, site, result)
    return "; ".join(notes) + f"; {result.stat().st_size // MIB} MiB"


def create_call(label, attempt, number):
    return "POST", "/Users", user(f"{label}-{attempt}-{number}"), 201


def time_during_backup(server, site, path, attempt):
    """Latencies of the writes during one backup."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(server.run("backup", str(path))))
    thread.start()
    durations, failures = [], []
    part = 0
    while thread.is_alive():
        part += 1
        more, failed = time_calls(server.scim(site, 1), 0.2, 0.005, lambda one: create_call(f"b{part}", attempt, one))
        durations += more
        failures += failed
    if outcome[0].returncode != 0:
        raise Failure(f"the backup failed: {outcome[0].stderr}")
    return durations, failures, path


def expect_complete(context, server, site, backup):
    """Restores the backup, and compares the number of users."""
    context.step = "restore"
    expected = server.scim(site).expect(200, "GET", "/Users?count=0")["totalResults"]
    server.kill()
    shutil.rmtree(server.data)
    restored = Server(context.program, context.folder / "restored")
    restored.data.mkdir(mode=0o700)
    result = restored.run("restore", str(backup))
    if result.returncode != 0:
        raise Failure(f"the restore failed: {result.stderr}")
    restored.check()
    restored.start()
    found = restored.scim(site).expect(200, "GET", "/Users?count=0")["totalResults"]
    restored.kill()
    if found != expected:
        raise Failure(f"the backup has {found} users instead of {expected}")
