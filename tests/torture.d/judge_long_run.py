"""Continuous load: the write-ahead log and the request log stay within their budgets, and so do memory and backups."""

import threading
import time

from measure import Flood, create_users
from server import Failure, Server

SECONDS = 20
ALONE = True
MIB = 1 << 20
WAL_MAX, MEMORY_MIB = 64 * MIB, 400
BYTES_PER_USER = 8_192
# A filter without an index examines 30,000 users in about 55 ms.
USERS, USERS_LONG = 6_000, 30_000


class Watch(threading.Thread):
    """Records the largest size of the write-ahead log, every 20 ms."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.largest, self.is_over = server, 0, False

    def run(self):
        while not self.is_over:
            self.largest = max(self.largest, self.server.wal_bytes())
            time.sleep(0.02)


def run(context):
    site = context.site()
    budget = 256 if context.is_long else 16
    flags = ["--rate-limit", "0", "--request-log-total", str(budget), "--quota-request-log", str(budget)]
    server = Server(context.program, site.copy_to(context.folder / "data"), flags).start()
    users = USERS_LONG if context.is_long else USERS
    create_users(server.scim(site), users)
    watch = Watch(server)
    watch.start()
    memory = 0
    # Overlapping scans and writes of one tenant, ordinary traffic of the other one.
    with Flood(server, site, 0, "filter", 8), Flood(server, site, 1, "small", 4), Flood(server, site, 1, "write", 2):
        while context.continues():
            context.sleep(0.5)
            memory = max(memory, server.memory_mib())
            context.step = f"WAL {watch.largest // MIB} MiB, memory {memory} MiB"
            if watch.largest > WAL_MAX:
                raise Failure(f"the write-ahead log has {watch.largest / MIB:.1f} MiB")
            if memory > MEMORY_MIB:
                raise Failure(f"the server uses {memory} MiB")
    watch.is_over = True
    written = server.scim(site, 1).expect(200, "GET", "/Users?count=0")["totalResults"]
    calls = find_calls(server, site)
    backup = context.folder / "backup.db"
    result = server.run("backup", str(backup))
    if result.returncode != 0:
        raise Failure(f"the backup failed: {result.stderr}")
    # The second tenant creates users of 1,000 bytes, which the backup contains as resource and event.
    allowed = (users + written) * BYTES_PER_USER
    size, database = backup.stat().st_size, (server.data / "rollcall.db").stat().st_size
    if size > allowed:
        raise Failure(f"the backup has {size / MIB:.1f} MiB")
    if database > allowed + 2 * budget * MIB:
        raise Failure(f"the database has {database / MIB:.1f} MiB with a request log of at most {budget} MiB")
    server.terminate()
    server.check()
    return (f"WAL at most {watch.largest / MIB:.1f} MiB, memory {memory} MiB; {calls} calls in the log; database {database / MIB:.1f} MiB, "
            f"backup {size / MIB:.1f} MiB with {users + written} users")


def find_calls(server, site):
    usage = server.api(site).expect(200, "GET", f"/directory/resources/v1/configurations/scim2/{site.configurations[1][0]}/quotas")
    return next(f"{one['used'] // 1024} KiB of" for one in usage["quotas"] if one["quota"] == "requestLogBytes")
