"""Tests Rollcall behind real proxies, configured as in packaging/examples; only ports, certificates and parts that
need the internet are replaced. Usage: main.py ROLLCALL [nginx|caddy ...]

The proxy calls from 127.0.0.1, which is trusted; clients call from 127.0.0.2 and 127.0.0.3, which are not.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HOST = "scim.example.com"
URL = f"https://{HOST}"
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "packaging" / "examples"
HERE, THERE = "127.0.0.2", "127.0.0.3"
PASSWORD = "a lamp on the long table"
MIB = 1024 * 1024


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(*arguments, **more):
    return subprocess.run(arguments, check=True, capture_output=True, text=True, **more).stdout


def until(what, condition, seconds=15):
    """Repeats until the condition is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = condition()
            if found:
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Server:
    """The server, and the command line on its data."""

    def __init__(self, program, folder):
        self.program, self.data, self.port = program, str(folder / "data"), free_port()
        flags = ["--listen", f"127.0.0.1:{self.port}", "--public-url", URL, "--trusted-proxies", "127.0.0.1"]
        log = open(folder / "rollcall.log", "w", encoding="utf-8")
        arguments = [program, "serve", "--data-dir", self.data, *flags]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=log)
        until("rollcall", lambda: socket.create_connection(("127.0.0.1", self.port), 1))
        made = self.command("configuration", "create", "--account", "acme", "--source", "other", "--output", "json")
        self.configuration = json.loads(made)
        self.key = json.loads(self.command("api-key", "create", "--name", "test", "--output", "json"))["secret"]
        self.command("admin", "create", "--email", "ada@example.com", "--role", "owner", given=PASSWORD + "\n")

    def command(self, *arguments, given=""):
        return run(self.program, *arguments, "--data-dir", self.data, input=given)

    def sockets(self):
        links = pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum(1 for link in links if "socket:" in os.readlink(link))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Pinned(http.client.HTTPSConnection):
    """A client that calls from a chosen address and connects to that port of this machine."""

    def __init__(self, proxy, source):
        super().__init__(HOST, proxy.port, timeout=60, context=proxy.trust)
        self.source = source

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout, (self.source, 0))
        self.sock = self._context.wrap_socket(plain, server_hostname=HOST)


class Proxy:
    """A proxy on a separate port."""

    def __init__(self, folder, upstream):
        self.folder, self.upstream, self.port = folder, upstream, free_port()
        self.certificate, self.key = folder / "fullchain.pem", folder / "privkey.pem"
        subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-days", "2"]
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject,
            "-keyout", str(self.key), "-out", str(self.certificate))
        self.trust = ssl.create_default_context(cafile=str(self.certificate))
        log = open(folder / "proxy.log", "w", encoding="utf-8")
        environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.process = subprocess.Popen(self.command_line(), stdout=log, stderr=log, env=environment)
        until("the proxy", self.is_up)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "proxy.log").read_text(encoding="utf-8"))
        return self.ask("GET", "/readyz").status == 200

    def ask(self, method, path, body=None, source=HERE, on=None, **headers):
        """One request, on a new connection or on a given one."""
        client = on or Pinned(self, source)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, body, named)
        answer = client.getresponse()
        answer.body = answer.read()
        if on is None:
            client.close()
        return answer

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Nginx(Proxy):
    def command_line(self):
        text = (EXAMPLES / "nginx.conf").read_text(encoding="utf-8")
        # In its second block, for port 80, only the port is replaced.
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = re.sub(r" *listen \[::\]:\d+( ssl)?;\n", "", text)
        text = text.replace("/etc/ssl/scim.example.com/", f"{self.folder}/")
        text = text.replace("127.0.0.1:8080;", f"127.0.0.1:{self.upstream};")
        spaces = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        whole = f"daemon off;\npid {self.folder}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n"
        user = "user root;\n" if os.geteuid() == 0 else ""
        path = self.folder / "nginx.conf"
        path.write_text(user + whole + spaces + text + "}\n", encoding="utf-8")
        return ["nginx", "-p", str(self.folder), "-c", str(path)]


class Caddy(Proxy):
    def command_line(self):
        text = (EXAMPLES / "Caddyfile").read_text(encoding="utf-8")
        site = f"https://{HOST}:{self.port} {{\n\tbind 127.0.0.1\n\ttls {self.certificate} {self.key}\n"
        text = text.replace(f"\n{HOST} {{\n", f"\n{site}")
        text = text.replace("reverse_proxy 127.0.0.1:8080", f"reverse_proxy 127.0.0.1:{self.upstream}")
        path = self.folder / "Caddyfile"
        path.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text, encoding="utf-8")
        return ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"]


class Checks:
    """Rules behind a proxy. Each method that starts with check_ is one check."""

    def __init__(self, server, proxy):
        self.server, self.proxy = server, proxy
        made = server.configuration
        self.base = f"/directory/resources/scim/v2.0/{made['id']}"
        self.token = {"Authorization": f"Bearer {made['token']}", "Content_Type": "application/scim+json"}
        self.operator = {"Authorization": f"Bearer {server.key}", "frontegg_tenant_id": "acme"}
        self.id = made["id"]

    def scim(self, method, path, document=None, source=HERE, **headers):
        body = json.dumps(document) if isinstance(document, dict) else document
        return self.proxy.ask(method, self.base + path, body, source, **{**self.token, **headers})

    def created(self, name, source=HERE):
        answer = self.scim("POST", "/Users", user(name), source)
        assert answer.status == 201, answer.body
        return answer

    def newest_call(self):
        time.sleep(0.7)
        path = f"/directory/resources/v1/configurations/scim2/{self.id}/requests?limit=1"
        return json.loads(self.proxy.ask("GET", path, **self.operator).body)["items"][0]

    def check_the_request_log_has_the_callers_address(self):
        for source in [HERE, THERE]:
            assert self.scim("GET", "/Users", source=source).status == 200
            assert self.newest_call()["address"] == source

    def check_a_caller_cannot_choose_an_address(self):
        lies = {"X_Forwarded_For": "1.2.3.4", "Forwarded": "for=1.2.3.4", "X_Real_IP": "1.2.3.4"}
        assert self.scim("GET", "/Users", **lies).status == 200
        assert self.newest_call()["address"] == HERE
        trusted = {"X_Forwarded_For": "1.2.3.4, 127.0.0.1", "Forwarded": 'for="'}
        assert self.scim("GET", "/Users", **trusted).status == 200
        assert self.newest_call()["address"] == HERE
        wrong = self.scim("GET", "/Users", Authorization="Bearer wrong", X_Forwarded_For="1.2.3.4")
        assert wrong.status == 401
        call = self.newest_call()
        assert (call["address"], call["refusal"]) == (HERE, "foreign_token"), call

    def check_a_caller_cannot_choose_the_name_of_the_server(self):
        lies = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "gopher", "X_Forwarded_Port": "70"}
        answer = self.scim("POST", "/Users", user("named"), **lies)
        assert answer.getheader("location").startswith(f"{URL}/directory/"), answer.getheader("location")
        assert b"evil.example" not in answer.body

    def check_versions_and_heads_pass_unchanged(self):
        answer = self.created("versions")
        path, tag = f"/Users/{json.loads(answer.body)['id']}", answer.getheader("etag")
        read = self.scim("GET", path)
        assert read.getheader("etag") == tag and read.getheader("content-type") == "application/scim+json"
        assert self.scim("GET", path, If_None_Match=tag).status == 304
        head = self.scim("HEAD", path)
        assert (head.status, head.getheader("etag"), head.body) == (200, tag, b"")
        assert head.getheader("content-length") == str(len(read.body))
        change = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                  "Operations": [{"op": "replace", "path": "title", "value": "x"}]}
        assert self.scim("PATCH", path, change, If_Match=tag).status == 200
        assert self.scim("PATCH", path, change, If_Match=tag).status == 412
        assert self.scim("DELETE", path).status == 204

    def check_paths_and_long_queries_pass_as_they_came(self):
        assert self.scim("GET", "/Users/a%2Fb").status == 404
        query = urllib.parse.quote(f'userName eq "{"x" * 7000}"' + " " * 900)
        assert self.scim("GET", f"/Users?filter={query}").status == 200
        encoded = urllib.parse.quote(f'userName eq "{"é" * 3000}"')
        assert len(encoded) > 16_000 and self.scim("GET", f"/Users?filter={encoded}").status == 200

    def check_bodies_of_8_mib_pass_and_larger_ones_do_not(self):
        body = json.dumps(user("large")).encode()
        assert self.scim("POST", "/Users", body.ljust(8 * MIB)).status == 201
        try:
            assert self.scim("POST", "/Users", body.ljust(8 * MIB + 1)).status == 413
        except OSError:
            pass  # Refused before it was sent.

    def check_a_waiting_consumer_gets_events_through_the_proxy(self):
        feed = "/directory/resources/v1/events"
        page = json.loads(self.proxy.ask("GET", f"{feed}?after=latest", **self.operator).body)
        after, found = page["nextAfter"], {}

        def wait():
            found["page"] = json.loads(self.proxy.ask("GET", f"{feed}?after={after}&wait=25", **self.operator).body)

        waiting, begun = threading.Thread(target=wait), time.monotonic()
        waiting.start()
        time.sleep(1)
        assert waiting.is_alive(), found
        self.created("awaited")
        waiting.join(20)
        assert found["page"]["events"][0]["kind"] == "user.created", found
        assert time.monotonic() - begun < 20

    def check_the_proxy_keeps_its_connections(self):
        before = self.server.sockets()
        for _ in range(60):
            assert self.scim("GET", "/ServiceProviderConfig").status == 200
        assert self.server.sockets() - before < 20

    def check_admins_sign_in_and_see_their_address(self):
        form = urllib.parse.urlencode({"email": "ada@example.com", "password": PASSWORD})
        headers = {"Content_Type": "application/x-www-form-urlencoded"}
        foreign = self.proxy.ask("POST", "/login", form, Origin="https://evil.example", **headers)
        assert foreign.status == 403, foreign.status
        answer = self.proxy.ask("POST", "/login", form, Origin=URL, **headers)
        assert answer.status == 303, answer.body
        cookie = answer.getheader("set-cookie")
        assert cookie.startswith("__Host-rc=") and "; Secure" in cookie, cookie
        page = self.proxy.ask("GET", "/profile", Cookie=cookie.split(";")[0])
        assert page.status == 200 and HERE in page.body.decode(), page.body
        assert len(page.headers.get_all("Strict-Transport-Security")) == 1, page.headers

    def check_each_address_has_its_own_limit_for_wrong_tokens(self):
        wrong = {"Authorization": "Bearer wrong"}
        client = Pinned(self.proxy, HERE)
        statuses = [self.proxy.ask("GET", f"{self.base}/Users", on=client, **wrong).status for _ in range(800)]
        assert 429 in statuses
        assert self.scim("GET", "/Users", source=THERE, **wrong).status == 401
        assert self.scim("GET", "/Users").status == 200


def user(name):
    return {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name}


def check(kind, program):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = proxy = None
        failed = 0
        try:
            server = Server(program, folder)
            proxy = kind(folder, server.port)
            checks = Checks(server, proxy)
            for name in [name for name in dir(checks) if name.startswith("check_")]:
                begun = time.monotonic()
                try:
                    getattr(checks, name)()
                    result = "ok"
                except Exception as problem:  # A failed check does not stop the others.
                    failed += 1
                    result = f"FAILED at line {problem.__traceback__.tb_next.tb_lineno}: {problem!r}"[:2000]
                print(f"{kind.__name__.lower()}: {name[6:].replace('_', ' ')}: {result} ({time.monotonic() - begun:.1f} s)")
        finally:
            for one in [proxy, server]:
                if one is not None:
                    one.stop()
        return failed


def main():
    program, *selected = sys.argv[1:]
    kinds = {"nginx": Nginx, "caddy": Caddy}
    failed = sum(check(kinds[name], os.path.abspath(program)) for name in selected or kinds)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
