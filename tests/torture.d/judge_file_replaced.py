"""The database file is removed, renamed or replaced under a running server: no write is acknowledged into nothing."""

import shutil
import time

from server import Failure, Server, Unanswered, user

SECONDS = 18
# The server looks once per second; this machine may be busy.
LATEST_SECONDS = 3


def run(context):
    for what, action in (("removed", remove), ("renamed", rename), ("replaced", replace)):
        context.step = f"the file is {what}"
        run_case(context, what, action)
    return f"writes were refused within {LATEST_SECONDS} s, and no start began empty"


def remove(database):
    database.unlink()


def rename(database):
    database.rename(database.with_name("moved.db"))


def replace(database):
    copy = database.with_name("copy.db")
    shutil.copy(database, copy)
    copy.rename(database)


def run_case(context, what, action):
    site = context.site()
    server = Server(context.program, site.copy_to(context.folder / what)).start()
    client = server.scim(site)
    client.expect(201, "POST", "/Users", user("first"))
    action(server.data / "rollcall.db")
    begun = time.monotonic()
    accepted_late = 0
    while time.monotonic() - begun < 5:
        try:
            status = client.call("POST", "/Users", user(f"u{time.monotonic()}")).status
        except Unanswered:
            continue
        if status == 201 and time.monotonic() - begun > LATEST_SECONDS:
            accepted_late += 1
        time.sleep(0.02)
    if accepted_late:
        raise Failure(f"{accepted_late} writes were acknowledged later than {LATEST_SECONDS} s after the file was {what}")
    # A stop that is not killed also copies the log, and removes it.
    if what == "removed":
        server.terminate()
    else:
        server.kill()
    if what != "replaced":
        if server.try_start(timeout=10):
            answer = server.scim(site).call("GET", "/Users?count=1")
            server.kill()
            raise Failure(f"the next start begins without the data (a list gets {answer.status})")
