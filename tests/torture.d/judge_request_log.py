"""Ordinary traffic of one tenant with 6,000 users: the request log stays within its budget, and is not in the backup."""

from measure import Flood, create_users, time_calls
from server import API, Failure, Server, patch

SECONDS = 14
ALONE = True
MIB = 1 << 20
USERS = 6_000
BACKUP_MAX = 10_000_000
BUDGET_MIB = 16


def run(context):
    site = context.site()
    budget = 256 if context.is_long else BUDGET_MIB
    flags = ["--rate-limit", "0", "--request-log-total", str(budget), "--quota-request-log", str(budget)]
    server = Server(context.program, site.copy_to(context.folder / "data"), flags).start()
    client = server.scim(site)
    create_users(client, USERS)
    idents = [one["id"] for one in client.expect(200, "GET", "/Users?count=200&attributes=id")["Resources"]]
    largest = 0
    # Identity providers mostly look users up: a change each 50 ms, reads as fast as possible.
    with Flood(server, site, 0, "small", 4) as flood:
        number = 0
        while context.continues():
            _, failures = time_calls(client, 0.5, 0.05, lambda one: change(idents, number + one))
            number += 10
            if failures:
                raise Failure(f"changes failed: {failures[:3]}")
            largest = max(largest, log_bytes(server, site))
            context.step = f"request log {largest / MIB:.1f} MiB"
            if largest > budget * MIB * 1.1:
                raise Failure(f"the request log has {largest / MIB:.1f} MiB, its budget is {budget} MiB")
    backup = context.folder / "backup.db"
    result = server.run("backup", str(backup))
    size = backup.stat().st_size
    if result.returncode != 0 or size > BACKUP_MAX:
        raise Failure(f"the backup has {size} bytes with {USERS} users: {result.stderr}")
    database = (server.data / "rollcall.db").stat().st_size
    server.kill()
    server.check()
    return (f"{flood.count_calls() + number} calls, log at most {largest / MIB:.1f} MiB, database {database / MIB:.1f} MiB, "
            f"backup {size / 1e6:.1f} MB with {USERS} users")


def change(idents, number):
    title = patch({"op": "replace", "path": "title", "value": f"title {number}"})
    return "PATCH", f"/Users/{idents[number % len(idents)]}", title, 200


def log_bytes(server, site):
    quotas = server.api(site).expect(200, "GET", f"{API}/configurations/scim2/{site.configurations[0][0]}/quotas")
    return next(one["used"] for one in quotas["quotas"] if one["quota"] == "requestLogBytes")
