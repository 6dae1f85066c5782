"""Tests Rollcall behind real proxies, configured as in packaging/examples; only ports, certificates and parts that
need the internet are replaced. Usage: main.py ROLLCALL [nginx|caddy|cells-nginx|cells-haproxy ...]

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

    def __init__(self, program, folder, account="acme"):
        self.program, self.data, self.port = program, str(folder / "data"), free_port()
        flags = ["--listen", f"127.0.0.1:{self.port}", "--public-url", URL, "--trusted-proxies", "127.0.0.1"]
        log = open(folder / "rollcall.log", "w", encoding="utf-8")
        arguments = [program, "serve", "--data-dir", self.data, *flags]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=log)
        until("rollcall", lambda: socket.create_connection(("127.0.0.1", self.port), 1))
        made = self.command("configuration", "create", "--account", account, "--source", "other", "--output", "json")
        self.account = account
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
    example = "nginx.conf"

    def replace_upstream(self, text):
        return text.replace("127.0.0.1:8080;", f"127.0.0.1:{self.upstream};")

    def command_line(self):
        text = self.replace_upstream((EXAMPLES / self.example).read_text(encoding="utf-8"))
        # In its second block, for port 80, only the port is replaced.
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{free_port()};")
        text = re.sub(r" *listen \[::\]:\d+( ssl)?;\n", "", text)
        text = text.replace("/etc/ssl/scim.example.com/", f"{self.folder}/")
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


class CellsNginx(Nginx):
    """nginx in front of two instances. The upstream is that of both, by name."""

    example = "cells-nginx.conf"

    def replace_upstream(self, text):
        (self.folder / "cells.map").write_text(write_map(self.upstream, self.folder, "nginx"), encoding="utf-8")
        text = text.replace("/etc/nginx/cells.map", f"{self.folder}/cells.map")
        return replace_instances(text, self.upstream)


class CellsHaproxy(Proxy):
    """HAProxy in front of two instances."""

    def command_line(self):
        text = (EXAMPLES / "cells-haproxy.cfg").read_text(encoding="utf-8")
        for keys in ["cells", "accounts"]:
            more = ["--keys", "accounts"] if keys == "accounts" else []
            (self.folder / f"{keys}.map").write_text(write_map(self.upstream, self.folder, "haproxy", *more), encoding="utf-8")
            text = text.replace(f"/etc/haproxy/{keys}.map", f"{self.folder}/{keys}.map")
        both = self.folder / "both.pem"
        both.write_text(self.certificate.read_text() + self.key.read_text(), encoding="utf-8")
        text = text.replace("bind :443 ssl crt /etc/haproxy/scim.example.com.pem", f"bind 127.0.0.1:{self.port} ssl crt {both}")
        path = self.folder / "haproxy.cfg"
        path.write_text(replace_instances(text, self.upstream), encoding="utf-8")
        # Ends with an error, and its text, if the file is not valid or has a warning.
        run("haproxy", "-c", "-dW", "-f", str(path))
        return ["haproxy", "-db", "-f", str(path)]


def replace_instances(text, servers):
    """Replaces the addresses of the example by those of the servers."""
    for address, server in zip(["10.0.0.1:8080", "10.0.0.2:8080"], servers.values()):
        assert text.count(address) == 1, address
        text = text.replace(address, f"127.0.0.1:{server.port}")
    return text


def write_map(servers, folder, form, *more):
    """Returns the map that the command makes from the lists of both instances."""
    instances = ""
    for name, server in servers.items():
        (folder / f"{name}.json").write_text(server.command("account", "list", "--output", "json"), encoding="utf-8")
        instances += f'[[instance]]\nname = "{name}"\naccounts = "{name}.json"\n'
    (folder / "instances.toml").write_text(instances, encoding="utf-8")
    program = next(iter(servers.values())).program
    return run(program, "cells", "map", str(folder / "instances.toml"), "--format", form, *more)


class CellChecks:
    """Rules of a proxy in front of several instances."""

    def __init__(self, servers, proxy):
        self.servers, self.proxy = servers, proxy

    def scim(self, server, path, prefix="", **headers):
        base = f"{prefix}/directory/resources/scim/v2.0/{server.configuration['id']}"
        named = {"Authorization": f"Bearer {server.configuration['token']}", "Content_Type": "application/scim+json"}
        return self.proxy.ask("GET", base + path, **{**named, **headers})

    def check_each_provisioning_url_reaches_the_instance_of_its_account(self):
        for server in self.servers.values():
            assert self.scim(server, "/Users").status == 200, server.account
            # The instance has the row of its own configuration only.
            assert json.loads(self.scim(server, "/Users").body)["totalResults"] == 0

    def check_urls_of_frontegg_reach_it_too(self):
        for server in self.servers.values():
            assert self.scim(server, "/Users", prefix="/frontegg").status == 200, server.account

    def check_other_requests_go_to_the_first_instance(self):
        assert self.proxy.ask("GET", "/readyz").status == 200
        unknown = "/directory/resources/scim/v2.0/01890a5d-ac96-774b-bcce-b302099a8057/Users"
        assert self.proxy.ask("GET", unknown, Authorization="Bearer x").status == 401

    def check_the_request_log_has_the_callers_address(self):
        for server in self.servers.values():
            lies = {"X_Forwarded_For": "1.2.3.4", "Forwarded": "for=1.2.3.4"}
            assert self.scim(server, "/Users", **lies).status == 200
            time.sleep(0.7)
            path = f"/directory/resources/v1/configurations/scim2/{server.configuration['id']}/requests?limit=1"
            client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            client.request("GET", path, headers={"Authorization": f"Bearer {server.key}", "frontegg-tenant-id": server.account})
            newest = json.loads(client.getresponse().read())["items"][0]
            assert newest["address"] == HERE, newest


class HaproxyCellChecks(CellChecks):
    """The example of HAProxy also has a map of accounts."""

    def check_a_call_of_the_management_api_reaches_the_instance_of_its_account(self):
        for server in self.servers.values():
            named = {"Authorization": f"Bearer {server.key}", "frontegg_tenant_id": server.account}
            answer = self.proxy.ask("GET", "/directory/resources/v1/configurations/scim2", **named)
            assert [one["id"] for one in json.loads(answer.body)] == [server.configuration["id"]], answer.body


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
            # 502: the server has answered and closed the connection while Caddy was still sending.
            assert self.scim("POST", "/Users", body.ljust(8 * MIB + 1)).status in (413, 502)
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


def check_cells(kind, program):
    """Checks a proxy in front of two instances; returns the number of failures."""
    with tempfile.TemporaryDirectory() as folder:
        folder, servers, proxy = pathlib.Path(folder), {}, None
        try:
            for name, account in [("cell-old", "acme"), ("cell-new", "globex")]:
                (folder / name).mkdir()
                servers[name] = Server(program, folder / name, account)
            proxy = kind(folder, servers)
            checks = HaproxyCellChecks if kind is CellsHaproxy else CellChecks
            return run_checks(kind, checks(servers, proxy))
        finally:
            for one in [proxy, *servers.values()]:
                if one is not None:
                    one.stop()


def run_checks(kind, checks):
    failed = 0
    for name in [name for name in dir(checks) if name.startswith("check_")]:
        begun = time.monotonic()
        try:
            getattr(checks, name)()
            result = "ok"
        except Exception as problem:  # A failed check does not stop the others.
            failed += 1
            result = f"FAILED at line {problem.__traceback__.tb_next.tb_lineno}: {problem!r}"[:2000]
        print(f"{kind.__name__.lower()}: {name[6:].replace('_', ' ')}: {result} ({time.monotonic() - begun:.1f} s)")
    return failed


def check(kind, program):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = proxy = None
        try:
            server = Server(program, folder)
            proxy = kind(folder, server.port)
            return run_checks(kind, Checks(server, proxy))
        finally:
            for one in [proxy, server]:
                if one is not None:
                    one.stop()


def main():
    program, *selected = sys.argv[1:]
    program = os.path.abspath(program)
    kinds, cells = {"nginx": Nginx, "caddy": Caddy}, {"cells-nginx": CellsNginx, "cells-haproxy": CellsHaproxy}
    failed = 0
    for name in selected or [*kinds, *cells]:
        failed += check(kinds[name], program) if name in kinds else check_cells(cells[name], program)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
