"""A disk that stalls: writers get 503 at their deadline, reads go on, and the server recovers without a restart."""

import time

from disk import Disk
from server import Client, Failure, Server, user, wait_until

SECONDS = 30
# The deadline of the server is 10 s; this machine may be busy.
DEADLINE = 12


def run(context):
    site = context.site()
    data = site.copy_to(context.folder / "data")
    disk = Disk(context.folder, data)
    server = Server(context.program, data, (), disk.environment).start()
    client = server.scim(site)
    ident = client.expect(201, "POST", "/Users", user("first"))["id"]
    context.step = "a sync takes 13 s"
    disk.set("stall_milliseconds", 13_000)
    begun = time.monotonic()
    answer = server.scim(site).call("POST", "/Users", user("stalled"))
    waited = time.monotonic() - begun
    if answer.status != 503 or waited > DEADLINE:
        raise Failure(f"a write got {answer.status} after {waited:.1f} s instead of 503 within {DEADLINE} s")
    client.expect(200, "GET", f"/Users/{ident}")
    ready = Client(server.port, site.key).call("GET", "/readyz")
    if ready.status != 503:
        raise Failure(f"/readyz is {ready.status} during the stall")
    disk.set("stall_milliseconds", 0)
    wait_until("a write after the stall", lambda: server.scim(site).call("POST", "/Users", user(f"later-{time.monotonic()}")).status == 201)
    server.terminate()
    return f"503 after {waited:.1f} s, reads and recovery worked"
