"""An application that receives webhooks: it verifies each request, applies its events exactly once to an SQLite file, and
sometimes fails. It can be killed at any time.

  webhook_receiver.py PORT DATABASE SECRET SEED
"""

import base64
import hashlib
import hmac
import http.server
import json
import random
import sqlite3
import sys
import threading
import time

TABLES = """
CREATE TABLE IF NOT EXISTS lanes (configuration TEXT PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS applied (configuration TEXT NOT NULL, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS resources (configuration TEXT NOT NULL, kind TEXT NOT NULL, id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (group_id TEXT NOT NULL, member_id TEXT NOT NULL, PRIMARY KEY (group_id, member_id));
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, digest BLOB NOT NULL, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS faults (what TEXT NOT NULL);
"""


def change(document, event):
    """Applies the changed attributes: a path of an extension is its URN, a colon and the name."""
    data = event["data"]
    for path in data["changed"]:
        urn, _, name = path.rpartition(":")
        parts = document.setdefault(urn, {}) if urn else document
        after = data["after"].get(urn, {}) if urn else data["after"]
        if name in after:
            parts[name] = after[name]
        else:
            parts.pop(name, None)
        if urn and not parts:
            document.pop(urn)


def apply_event(database, configuration, event):
    kind, ident = event["kind"], event.get("resourceId")
    subject, action = kind.split(".")
    if subject == "configuration":
        return
    if action == "created":
        body = json.dumps(event["data"]["after"])
        database.execute("INSERT OR REPLACE INTO resources VALUES (?, ?, ?, ?)", (configuration, subject, ident, body))
    elif action == "deleted":
        database.execute("DELETE FROM resources WHERE id = ?", (ident,))
        database.execute("DELETE FROM members WHERE group_id = ?1 OR member_id = ?1", (ident,))
    elif action in ("member_added", "member_removed"):
        for member in event["data"]["members"]:
            pair = (ident, member["value"])
            if action == "member_added":
                database.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", pair)
            else:
                database.execute("DELETE FROM members WHERE group_id = ? AND member_id = ?", pair)
    else:
        row = database.execute("SELECT body FROM resources WHERE id = ?", (ident,)).fetchone()
        document = json.loads(row[0])
        change(document, event)
        database.execute("UPDATE resources SET body = ? WHERE id = ?", (json.dumps(document), ident))


class Receiver:
    def __init__(self, path, secret, seed):
        self.key = base64.b64decode(secret.removeprefix("whsec_"))
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;" + TABLES)

    def receive(self, headers, body):
        """Returns the status of the response."""
        ident, seconds = headers["webhook-id"], headers["webhook-timestamp"]
        expected = hmac.new(self.key, f"{ident}.{seconds}.".encode() + body, hashlib.sha256).digest()
        if f"v1,{base64.b64encode(expected).decode()}" not in headers["webhook-signature"].split(" "):
            self.report(f"a wrong signature of {ident}")
            return 401
        with self.lock:
            chance = self.rng.random()
            if chance < 0.05:
                return 503
            self.database.execute("BEGIN IMMEDIATE")
            try:
                self.apply(ident, body)
            except Exception as error:
                self.database.execute("ROLLBACK")
                self.report(f"{error!r} in {body[:500]!r}")
                return 500
            self.database.execute("COMMIT")
            # The events are applied, but the server does not know.
            return 500 if chance < 0.08 else 204

    def apply(self, ident, body):
        digest = hashlib.sha256(body).digest()
        known = self.database.execute("SELECT digest FROM requests WHERE id = ?", (ident,)).fetchone()
        if known and known[0] != digest:
            raise ValueError(f"two different requests have the id {ident}")
        self.database.execute("INSERT INTO requests VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1", (ident, digest))
        data = json.loads(body)["data"]
        configuration = data["configurationId"]
        row = self.database.execute("SELECT seq FROM lanes WHERE configuration = ?", (configuration,)).fetchone()
        last = row[0] if row else 0
        for event in data["events"]:
            if event["seq"] <= last:
                continue
            last = event["seq"]
            apply_event(self.database, configuration, event)
            self.database.execute("INSERT INTO applied VALUES (?, ?)", (configuration, last))
        self.database.execute("INSERT OR REPLACE INTO lanes VALUES (?, ?)", (configuration, last))

    def report(self, what):
        with self.lock:
            self.database.execute("INSERT INTO faults VALUES (?)", (what,))


def main():
    port, path, secret, seed = sys.argv[1:]
    receiver = Receiver(path, secret, seed)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.receive(self.headers, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        allow_reuse_address = True
        daemon_threads = True

    for _ in range(100):
        try:
            server = Server(("127.0.0.1", int(port)), Handler)
            break
        except OSError:
            time.sleep(0.05)
    server.serve_forever()


if __name__ == "__main__":
    main()
