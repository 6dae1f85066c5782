"""kill -9 and power cuts during the first start, a backup and a restore: the next attempt works, and nothing is half done."""

import shutil
import subprocess

from disk import Disk
from measure import create_users
from server import Failure, Server, Site

SECONDS = 12
USERS, USERS_AFTER = 300, 400


def run(context):
    source, backup = make_backup(context)
    done = {"start": 0, "backup": 0, "restore": 0}
    while context.continues(sum(done.values()), 6):
        kind = context.rng.choice(sorted(done))
        done[kind] += 1
        context.step = f"{kind} {done[kind]}"
        folder = context.folder / f"case-{sum(done.values())}"
        folder.mkdir()
        if kind == "start":
            interrupt_start(context, folder)
        elif kind == "backup":
            interrupt_backup(context, source, folder)
        else:
            interrupt_restore(context, (source, backup), folder)
        shutil.rmtree(folder)
    return ", ".join(f"{number} x {kind}" for kind, number in done.items()) + " interrupted, 0 half done"


def make_backup(context):
    """A data folder with more users than its backup."""
    site = context.site()
    server = Server(context.program, site.copy_to(context.folder / "source")).start()
    create_users(server.scim(site), USERS)
    backup = context.folder / "backup.db"
    if server.run("backup", str(backup)).returncode != 0:
        raise Failure("the backup failed")
    create_users(server.scim(site), USERS_AFTER - USERS, label="later")
    server.terminate()
    return (site, server.data), backup


def interrupt_start(context, folder):
    data = folder / "data"
    data.mkdir(mode=0o700)
    disk = Disk(folder, data, is_simulated=True)
    server = Server(context.program, data, (), disk.environment)
    for _ in range(context.rng.randrange(1, 4)):
        disk.remember()
        begin(server, context.rng.uniform(0, 0.12), context)
        disk.cut_power(context.rng, context.rng.choice(["drop", "reorder", "tear"]))
    disk.remember()
    server.environment = {}
    server.start()
    server.kill()
    Site.create(server, "configuration", "create", "--account", "one")
    server.check()


def begin(server, seconds, context):
    """Starts the server, and kills it after a time, ready or not."""
    arguments = [server.program, "serve", "--data-dir", str(server.data), "--listen", "127.0.0.1:0"]
    kill_after(context, arguments, seconds, server.environment)


def kill_after(context, arguments, seconds, environment=None):
    process = subprocess.Popen(arguments, env={**context.environment, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def interrupt_backup(context, source, folder):
    _, data = source
    path = folder / "copy.db"
    kill_after(context, [str(context.program), "backup", str(path), "--data-dir", str(data)], context.rng.uniform(0, 0.15))
    server = Server(context.program, data)
    if not path.exists() and server.run("backup", str(path)).returncode != 0:
        raise Failure("a backup after an interrupted one failed")
    # A file with the final name is complete.
    restored = Server(context.program, folder / "restored")
    restored.data.mkdir(mode=0o700)
    result = restored.run("restore", str(path))
    if result.returncode != 0:
        raise Failure(f"the backup cannot be restored: {result.stderr}")
    restored.check()


def interrupt_restore(context, source, folder):
    (site, data), backup = source
    server = Server(context.program, folder / "data")
    shutil.copytree(data, server.data)
    arguments = ["restore", str(backup), "--force", "--data-dir", str(server.data)]
    kill_after(context, [str(context.program), *arguments], context.rng.uniform(0, 0.15))
    if not server.try_start():
        # The start may ask for the command again.
        result = server.run(*arguments[:-2])
        if result.returncode != 0:
            raise Failure(f"the restore cannot be repeated: {result.stderr}; {server.last_log()}")
        server.start()
    total = server.scim(site).expect(200, "GET", "/Users?count=0")["totalResults"]
    server.kill()
    server.check()
    if total not in (USERS, USERS_AFTER):
        raise Failure(f"{total} users after an interrupted restore, expected {USERS} or {USERS_AFTER}")
