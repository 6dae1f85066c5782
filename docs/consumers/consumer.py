"""A consumer of webhooks in Python (3.9 or later) without packages: it verifies each request and applies its events to a copy
of the users, groups and memberships in SQLite. The tests of Rollcall run this file; see docs/webhooks.md.

    WEBHOOK_SECRET=whsec_… PORT=3000 COPY_FILE=copy.db python3 consumer.py

Events without data (thin, or truncated) are read from the server: set ROLLCALL_URL and ROLLCALL_KEY, an API key with the
permission directory.read.
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE_SECONDS = 300
BODY_MAX_BYTES = 1024 * 1024
# The key is what follows `whsec_`, decoded.
KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))

# `positions` has the last applied `seq` of each configuration. It changes in the transaction that applies the events.
TABLES = """
CREATE TABLE IF NOT EXISTS positions (configuration TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS resources (
    id TEXT PRIMARY KEY, subject TEXT NOT NULL, version INTEGER NOT NULL, attributes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memberships (
    group_id TEXT NOT NULL, member_id TEXT NOT NULL, PRIMARY KEY (group_id, member_id));
CREATE INDEX IF NOT EXISTS memberships_of_member ON memberships (member_id);
"""
lock = threading.Lock()
database = sqlite3.connect(os.environ.get("COPY_FILE", "copy.db"), check_same_thread=False)
database.executescript(TABLES)


def is_authentic(headers, body):
    identifier, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > TOLERANCE_SECONDS:
        return False
    content = f"{identifier}.{sent_at}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.digest(KEY, content, hashlib.sha256))
    given = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(signature, expected) for signature in given)


def apply(configuration, event):
    """Applies an event, unless it was applied before."""
    row = database.execute("SELECT seq FROM positions WHERE configuration = ?", [configuration]).fetchone()
    position = row[0] if row else -1
    # Events of the first load all have the `seq` at which it began; what happened since then follows as live events.
    if event["seq"] < position or (event["seq"] == position and not event.get("backfill")):
        return
    change(event)
    database.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", [configuration, event["seq"]])


def change(event):
    subject, action = event["kind"].split(".")
    identifier, version, data = event["resourceId"], event.get("version", 0), event.get("data", {})
    if subject == "configuration":
        return
    record = database.execute("SELECT version, attributes FROM resources WHERE id = ?", [identifier]).fetchone()
    is_outdated = record and event.get("version", record[0]) < record[0]
    if action == "deleted":
        # An older deletion than the copy: the resource was restored, and a first load has read it since. The memberships that
        # it has again follow as events.
        if not is_outdated:
            database.execute("DELETE FROM resources WHERE id = ?", [identifier])
        database.execute("DELETE FROM memberships WHERE group_id = ?1 OR member_id = ?1", [identifier])
        return
    # The data was removed by a purge, and the deletion follows.
    if data.get("redacted"):
        return
    # An older event than the copy, after a first load. The members of a group do not have its version: the load reads them later.
    if is_outdated and not action.startswith("member_"):
        return
    if action in ("created", "restored"):
        values = [identifier, subject, version, json.dumps(data["after"])]
        database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?)", values)
        return
    # A change of a resource that was deleted before the first load read it.
    if not record:
        return
    # A group can change while the pages of the first load are read: its version stays that of its first event.
    if not event.get("backfill"):
        database.execute("UPDATE resources SET version = max(version, ?) WHERE id = ?", [version, identifier])
    pairs = [(identifier, member["value"]) for member in data.get("members", [])]
    if action == "member_added":
        database.executemany("INSERT OR IGNORE INTO memberships VALUES (?, ?)", pairs)
    elif action == "member_removed":
        database.executemany("DELETE FROM memberships WHERE group_id = ? AND member_id = ?", pairs)
    else:
        attributes = json.loads(record[1])
        for path in data.get("changed", []):
            change_attribute(attributes, path, data.get("after", {}))
        database.execute("UPDATE resources SET attributes = ? WHERE id = ?", [json.dumps(attributes), identifier])


def change_attribute(attributes, path, after):
    """`title`, or `urn:…:User:department` for an attribute in the object of an extension."""
    urn, _, name = path.rpartition(":")
    target = attributes.setdefault(urn, {}) if urn else attributes
    source = after.get(urn, {}) if urn else after
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)
    if urn and not target:
        del attributes[urn]


def complete(event):
    """Reads the data of an event that was sent without it."""
    if "data" in event or event["kind"].endswith(".deleted"):
        return event
    is_backfill = event.get("backfill")
    if is_backfill and event["kind"] == "group.member_added":
        raise ValueError('a first load needs the payload "full"')
    name = "users" if event["resourceType"] == "User" else "groups"
    path = f"{name}/{event['resourceId']}" if is_backfill else f"events/{event['seq']}"
    url = f"{os.environ['ROLLCALL_URL']}/directory/resources/v1/{path}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {os.environ['ROLLCALL_KEY']}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            found = json.load(response)
    except urllib.error.HTTPError as error:
        # A resource that was deleted since: the live event follows.
        if is_backfill and error.code == 404:
            return {**event, "data": {"redacted": True}}
        raise
    return {**event, "version": found["version"], "data": {"after": found["resource"]}} if is_backfill else found


def list_state():
    def read(subject):
        rows = database.execute("SELECT id, attributes FROM resources WHERE subject = ?", [subject])
        return {identifier: json.loads(attributes) for identifier, attributes in rows}

    memberships = database.execute("SELECT group_id, member_id FROM memberships").fetchall()
    return {"users": read("user"), "groups": read("group"), "memberships": memberships}


class Handler(BaseHTTPRequestHandler):
    timeout = 15

    def do_GET(self):
        if self.path != "/state":
            return self.answer(404)
        with lock:
            state = list_state()
        return self.answer(200, json.dumps(state).encode())

    def do_POST(self):
        length = int(self.headers.get("content-length", "0"))
        if length > BODY_MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        if not is_authentic(self.headers, body):
            return self.answer(401)
        try:
            content = json.loads(body)["data"]
            # A request of the type `webhook.test` has no events.
            events = [complete(event) for event in content.get("events", [])]
            # One transaction: either all events and the position, or nothing.
            with lock, database:
                for event in events:
                    apply(content["configurationId"], event)
        except Exception as error:  # The server sends the request again.
            return self.answer(500, str(error).encode())
        return self.answer(204)

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "3000"))), Handler).serve_forever()
