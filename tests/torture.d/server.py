"""Runs the release binary, and calls it over HTTP."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

SCIM = "urn:ietf:params:scim:schemas:core:2.0:"
MESSAGES = "urn:ietf:params:scim:api:messages:2.0:"
API = "/directory/resources/v1"
PREFIX = "/directory/resources/scim/v2.0/"


class Failure(Exception):
    """A broken promise."""


class Unanswered(Exception):
    """The connection ended without a response, so the outcome of the request is unknown."""


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body) if self.body else None

    @property
    def is_refusal(self):
        """Whether the answer promises that nothing was changed."""
        return self.status in (429, 503, 507) and not self.is_unknown

    @property
    def is_unknown(self):
        """Whether the answer says that the outcome is unknown, after a failure of the disk."""
        return self.status == 503 and b"unknown whether" in self.body


class Client:
    """One connection that stays open."""

    def __init__(self, port, token, base="", timeout=40):
        self.port, self.token, self.base, self.timeout = port, token, base, timeout
        self.connection = None

    def call(self, method, path, body=None, headers=None):
        """Returns the answer, or raises `Unanswered`. Nothing is repeated."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        is_scim = bool(self.base)
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/scim+json" if is_scim else "application/json"
            data = json.dumps(body)
        try:
            self.connection.request(method, self.base + path, data, sent)
            response = self.connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException, AttributeError) as error:
            self.close()
            raise Unanswered(f"{method} {path}: {error!r}") from error
        if response.will_close:
            self.close()
        return Answer(response.status, dict(response.headers), content)

    def expect(self, status, method, path, body=None, headers=None):
        answer = self.call(method, path, body, headers)
        if answer.status != status:
            raise Failure(f"{method} {path} got {answer.status} instead of {status}: {answer.body[:300]!r}")
        return answer.json

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Server:
    """A server on a data folder. The port is free at each start."""

    created = []

    def __init__(self, program, data, flags=(), environment=None):
        self.program, self.data = str(program), pathlib.Path(data)
        self.flags, self.environment = list(flags), environment or {}
        self.process, self.port = None, None
        Server.created.append(self)
        self.log = self.data.parent / (self.data.name + ".log")

    def try_start(self, timeout=30):
        """Starts the server. Returns whether it listens; the log contains the reason if it does not."""
        output = self.log.with_suffix(".out")
        arguments = [self.program, "serve", "--data-dir", str(self.data), "--listen", "127.0.0.1:0", *self.flags]
        with open(output, "wb") as out, open(self.log, "ab") as log:
            self.process = subprocess.Popen(arguments, stdout=out, stderr=log, env={**os.environ, **self.environment})
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            text = output.read_text(errors="replace")
            if "listening on " in text and text.endswith("\n"):
                self.port = int(text.rsplit("listening on ", 1)[1].split()[0].rsplit(":", 1)[1].strip("/"))
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        self.kill()
        return False

    def start(self):
        if not self.try_start():
            raise Failure(f"the server does not start (exit code {self.process.returncode}): {self.last_log()}")
        return self

    def last_log(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(lines[-4:])

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send_kill(self):
        self.process.send_signal(signal.SIGKILL)

    def kill(self):
        if self.process is not None:
            if self.process.poll() is None:
                self.send_kill()
            self.process.wait()

    def terminate(self, timeout=30):
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"the server did not stop within {timeout} s after SIGTERM") from None

    def run(self, *arguments, timeout=300):
        """Runs a command of the program on the data folder."""
        return subprocess.run([self.program, *arguments, "--data-dir", str(self.data)], capture_output=True, text=True,
                              timeout=timeout, check=False)

    def check(self):
        result = self.run("check", "--deep")
        if result.returncode != 0:
            raise Failure(f"`rollcall check` failed: {(result.stdout + result.stderr)[-600:]}")

    def wal_bytes(self):
        try:
            return (self.data / "rollcall.db-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def memory_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    def api(self, site, timeout=40):
        return Client(self.port, site.key, timeout=timeout)

    def scim(self, site, number=0, timeout=40):
        ident, token = site.configurations[number]
        return Client(self.port, token, PREFIX + ident, timeout)


class Site:
    """A data folder with an API key of the operator and two configurations of two accounts."""

    def __init__(self, program, folder):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "site"
        server = Server(program, self.data)
        result = server.run("init", "--config", str(self.folder / "rollcall.toml"))
        if result.returncode != 0:
            raise Failure(f"init: {result.stderr}")
        self.configurations = []
        for account in ("one", "two"):
            made = self.create(server, "configuration", "create", "--account", account)
            self.configurations.append((made["id"], made["token"]))
        self.key = self.create(server, "api-key", "create", "--name", "torture")["secret"]

    @staticmethod
    def create(server, *arguments):
        result = server.run(*arguments, "--output", "json")
        if result.returncode != 0:
            raise Failure(f"{arguments}: {result.stderr}")
        return json.loads(result.stdout)

    def copy_to(self, folder):
        shutil.copytree(self.data, folder)
        return pathlib.Path(folder)


def user(name, title=None):
    document = {"schemas": [SCIM + "User"], "userName": name, "active": True}
    if title is not None:
        document["title"] = title
    return document


def group(name, members):
    return {"schemas": [SCIM + "Group"], "displayName": name, "members": [{"value": ident} for ident in members]}


def patch(*operations):
    return {"schemas": [MESSAGES + "PatchOp"], "Operations": list(operations)}


def bulk(*operations):
    return {"schemas": [MESSAGES + "BulkRequest"], "Operations": list(operations)}


def wait_until(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise Failure(f"{what}: not within {seconds} s")
