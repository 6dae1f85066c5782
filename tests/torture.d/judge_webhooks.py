"""kill -9 of the server and of the receiver of a webhook under load: every acknowledged change arrives, in order, and the copy
of the receiver equals the lists."""

import json
import pathlib
import socket
import sqlite3
import subprocess
import sys

from rounds import Rounds
from server import API, Failure, Server, wait_until

SECONDS = 20
RECEIVER = pathlib.Path(__file__).resolve().parent / "webhook_receiver.py"


class Receiver:
    """A receiver process with a database of its own, on a fixed port."""

    def __init__(self, context):
        self.context, self.database, self.process, self.kills = context, context.folder / "receiver.db", None, 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def start(self, secret):
        arguments = [sys.executable, "-B", str(RECEIVER), str(self.port), str(self.database), secret, str(self.context.rng.random())]
        self.process = subprocess.Popen(arguments, env=self.context.environment)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def read(self, sql, *parameters):
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as database:
            return database.execute(sql, parameters).fetchall()


def run(context):
    site = context.site()
    flags = ["--rate-limit", "0", "--outgoing-allow-networks", "127.0.0.1/32"]
    server = Server(context.program, site.copy_to(context.folder / "data"), flags)
    rounds, receiver = Rounds(context, server, site), Receiver(context)
    server.start()
    body = {"url": f"http://127.0.0.1:{receiver.port}/hook", "batchSize": 20, "start": 0}
    created = server.api(site).expect(201, "POST", f"{API}/webhooks", body)
    webhook, secret = created["id"], created["secret"]
    receiver.start(secret)
    try:
        while context.continues(rounds.crashes, 4):
            context.step = f"kill {rounds.crashes + 1}"
            rounds.run_load(context.rng.uniform(0.1, 1.0))
            if context.rng.random() < 0.5:
                receiver.kill()
                receiver.start(secret)
            server.start()
            rounds.compare()
        context.step = "the end"
        wait_until("idle lanes", lambda: are_lanes_idle(server, site, webhook), 60)
        events = compare_copies(server, site, receiver)
    finally:
        receiver.process.kill()
    server.kill()
    server.check()
    return f"{rounds.summary('kills')}; {events} events in order, {receiver.kills} kills of the receiver, copies equal"


def are_lanes_idle(server, site, webhook):
    """Retries at once what failed. Returns whether nothing waits."""
    api = server.api(site)
    is_idle = True
    for lane in api.expect(200, "GET", f"{API}/webhooks/{webhook}/lanes")["items"]:
        if lane["state"] != "idle":
            is_idle = False
        if lane["state"] in ("retrying", "stopped"):
            api.expect(200, "POST", f"{API}/webhooks/{webhook}/lanes/{lane['configurationId']}/resume", {"from": "next"})
    api.close()
    return is_idle


def compare_copies(server, site, receiver):
    faults = receiver.read("SELECT what FROM faults")
    if faults:
        raise Failure(f"the receiver found faults: {faults[:3]}")
    api, total = server.api(site), 0
    for ident, _ in site.configurations:
        applied = [seq for (seq,) in receiver.read("SELECT seq FROM applied WHERE configuration = ? ORDER BY rowid", ident)]
        expected = [event["seq"] for event in read_feed(api, ident)]
        if applied != expected:
            difference = sorted(set(applied) ^ set(expected))[:10]
            raise Failure(f"{ident}: {len(applied)} events applied, {len(expected)} in the feed, different: {difference}")
        total += len(applied)
        for kind in ("user", "group"):
            rows = receiver.read("SELECT id, body FROM resources WHERE configuration = ? AND kind = ?", ident, kind)
            copy = {row[0]: json.loads(row[1]) for row in rows}
            listed = {item["id"]: item["resource"] for item in read_list(api, f"/{kind}s?configuration={ident}")}
            if copy != listed:
                different = [one for one in copy.keys() | listed.keys() if copy.get(one) != listed.get(one)]
                one = different[0]
                raise Failure(f"{len(different)} {kind}s differ, {one}: copy {copy.get(one)}, list {listed.get(one)}")
    copy = set(receiver.read("SELECT group_id, member_id FROM members"))
    listed = {(item["groupId"], item["memberId"]) for item in read_list(api, "/memberships?")}
    if copy != listed:
        raise Failure(f"{len(copy ^ listed)} memberships differ: {sorted(copy ^ listed)[:5]}")
    return total


def read_list(api, path):
    items, cursor = [], ""
    while True:
        page = api.expect(200, "GET", f"{API}{path}&limit=1000&cursor={cursor}")
        items += page["items"]
        cursor = page["nextCursor"]
        if not cursor:
            return items


def read_feed(api, configuration):
    events, after = [], ""
    while True:
        page = api.expect(200, "GET", f"{API}/events?configuration={configuration}&limit=1000{after}")
        events += page["events"]
        after = f"&after={page['nextAfter']}"
        if not page["hasMore"]:
            return events
