"""kill -9 during calls with an Idempotency-Key: a retry after the restart gets the answer, and there is one effect."""

import threading

from server import API, Failure, Server, Unanswered
from model import read_all

SECONDS = 10
CONFIGURATIONS = API + "/configurations/scim2"
# API keys and configurations.
KINDS = ("ka", "kb", "ca", "cb")
CALLS_MAX = 30


def run(context):
    site = context.site()
    server = Server(context.program, site.copy_to(context.folder / "data"), ["--rate-limit", "0"])
    rounds = retried = 0
    while context.continues(rounds, 5):
        context.step = f"kill {rounds + 1}"
        server.start()
        pending = []
        threads = [threading.Thread(target=create, args=(server, site, f"{kind}{rounds}", pending)) for kind in KINDS]
        for thread in threads:
            thread.start()
        context.sleep(context.rng.uniform(0.02, 0.3))
        server.kill()
        for thread in threads:
            thread.join()
        server.start()
        api = server.api(site)
        for name in pending:
            answer = post(api, name)
            if answer.status not in (200, 201):
                raise Failure(f"the retry of {name} got {answer.status}: {answer.body[:200]!r}")
            retried += 1
        names = [(one["name"], one["clientId"]) for one in read_all(api, API + "/api-keys") if one["name"].startswith("k")]
        expect_unique([name for name, _ in names])
        expect_unique([one["connectionName"] for one in api.expect(200, "GET", CONFIGURATIONS)])
        for _, ident in names:
            api.expect(204, "DELETE", f"{API}/api-keys/{ident}")
        api.close()
        server.kill()
        rounds += 1
    return f"{rounds} kills, {retried} calls without an answer were repeated: each has one effect and an answer"


def expect_unique(names):
    if len(set(names)) != len(names):
        raise Failure("a call with an Idempotency-Key was executed twice")


def post(api, name):
    """Creates an API key or a configuration with this name."""
    headers = {"Idempotency-Key": f"retry-{name}"}
    if name.startswith("k"):
        return api.call("POST", API + "/api-keys", {"name": name, "permissions": ["directory.read"]}, headers)
    return api.call("POST", CONFIGURATIONS, {"source": "okta", "connectionName": name}, {**headers, "frontegg-tenant-id": "one"})


def create(server, site, label, pending):
    api = server.api(site)
    number = 0
    try:
        while number < CALLS_MAX:
            number += 1
            post(api, f"{label}-{number}")
    except Unanswered:
        pending.append(f"{label}-{number}")
