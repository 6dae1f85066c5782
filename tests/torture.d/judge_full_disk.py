"""A full disk: writes get 507, reads and deletions work, a start works, and space that returns ends it."""

import os
import subprocess

from server import Failure, Server, Unanswered, user, wait_until

SECONDS = 12


def run(context):
    if os.geteuid() != 0:
        return context.skip("only root can mount a file system")
    mount = context.folder / "mount"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "none", str(mount)], check=False, capture_output=True).returncode:
        return context.skip("this machine does not let the test mount a file system")
    try:
        return fill(context, mount)
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False, capture_output=True)


def fill(context, mount):
    (mount / "ballast").write_bytes(bytes(16 << 20))
    site = context.site()
    server = Server(context.program, site.copy_to(mount / "data"), ["--rate-limit", "0"])
    server.log = context.folder / "server.log"
    server.start()
    client = server.scim(site)
    created = {}
    context.step = "the disk fills up"
    status, number = 201, 0
    while status == 201 and number < 3_000:
        number += 1
        answer = client.call("POST", "/Users", user(f"u{number}", "x" * 60_000))
        status = answer.status
        if status == 201:
            created[f"u{number}"] = answer.json["id"]
    if status != 507:
        raise Failure(f"a write on a full disk got {status}")
    use_rest_of_log(client, created)
    expect_users(server, site, created)
    context.step = "start on a full disk"
    server.kill()
    if not server.try_start():
        raise Failure(f"no start on a full disk: {server.last_log()}")
    expect_users(server, site, created)
    context.step = "delete on a full disk"
    victim = next(iter(created))
    answer = server.scim(site).call("DELETE", f"/Users/{created[victim]}")
    if answer.status != 204:
        raise Failure(f"DELETE on a full disk got {answer.status}: {answer.body[:200]!r}")
    del created[victim]
    context.step = "space returns"
    (mount / "ballast").unlink()
    wait_until("a write succeeds again", lambda: try_create(server, site, created), 60)
    server.kill()
    server.start()
    expect_users(server, site, created)
    server.kill()
    return f"{len(created)} acknowledged users, 0 lost"


def use_rest_of_log(client, created):
    """Small writes, until several of them are refused."""
    refused = number = 0
    while refused < 5 and number < 5_000:
        number += 1
        answer = client.call("POST", "/Users", user(f"small{number}", "x" * 1_000))
        refused += answer.status != 201
        if answer.status == 201:
            created[f"small{number}"] = answer.json["id"]


def try_create(server, site, created):
    name = f"later{len(created)}"
    try:
        answer = server.scim(site).call("POST", "/Users", user(name))
    except Unanswered:
        return False
    if answer.status == 201:
        created[name] = answer.json["id"]
    return answer.status == 201


def expect_users(server, site, created):
    page = server.scim(site).expect(200, "GET", "/Users?count=1&attributes=userName")
    if page["totalResults"] != len(created):
        raise Failure(f"{page['totalResults']} users, acknowledged: {len(created)}")
    for ident in list(created.values())[:: max(1, len(created) // 20)]:
        server.scim(site).expect(200, "GET", f"/Users/{ident}?attributes=userName")
