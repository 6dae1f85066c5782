"""Verifies the requests of webhooks in all formats with the libraries of others: standardwebhooks and PyJWT.

The argument is the address of a server that may call 127.0.0.1. KEY is an API key of the operator.
"""

import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

API = "/directory/resources/v1"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
FORMATS = ("standard", "frontegg", "set")
# What the identity provider does has this number of events, without that of the configuration.
EVENTS = 7
WAIT_SECONDS = 30

received = []


class Receiver(BaseHTTPRequestHandler):
    """Records each request of a webhook."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((self.path.strip("/"), dict(self.headers.items()), body))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server:
    """The server under test."""

    def __init__(self, address, key):
        self.address, self.key = address, key

    def call(self, method, path, body=None, token=None, account=None):
        headers = {"authorization": f"Bearer {token or self.key}", "content-type": "application/json"}
        if account:
            headers["frontegg-tenant-id"] = account
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, method=method, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read()
        return json.loads(text) if text else None


def provision(server):
    """Acts as an identity provider, and causes events."""
    made = server.call("POST", f"{API}/configurations/scim2", {"source": "okta"}, account="verified")
    base, token = f"/directory/resources/scim/v2.0/{made['id']}", made["token"]

    def scim(method, path, body=None):
        return server.call(method, base + path, body, token)

    emails = [{"value": "ada@example.com", "primary": True}]
    user = scim("POST", "/Users", {"schemas": [USER], "userName": "ada", "externalId": "é-1", "active": True, "emails": emails})
    members = [{"value": user["id"]}]
    group = scim("POST", "/Groups", {"schemas": [GROUP], "displayName": "Team \"A\" <b>", "members": members})
    for path, value in (("emails", [{"value": "ada@example.org", "primary": True}]), ("active", False)):
        operation = {"op": "replace", "path": path, "value": value}
        scim("PATCH", f"/Users/{user['id']}", {"schemas": [PATCH], "Operations": [operation]})
    scim("DELETE", f"/Users/{user['id']}")
    return group["id"]


def require(is_right, text):
    if not is_right:
        raise AssertionError(text)


def is_valid(secret, headers, body):
    try:
        # The body of the format `set` is not JSON.
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def check_signature(secret, headers, body):
    """A request is valid as it is, and with no change."""
    require(is_valid(secret, headers, body), f"a valid request was refused: {headers}")
    later = str(int(headers["webhook-timestamp"]) + 1)
    changed = [
        (headers, body + b" "),
        ({**headers, "webhook-id": headers["webhook-id"] + "x"}, body),
        ({**headers, "webhook-timestamp": later}, body),
        ({**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v2,")}, body),
    ]
    for other_headers, other_body in changed:
        require(not is_valid(secret, other_headers, other_body), f"a changed request was accepted: {other_headers}")
    require(not is_valid("whsec_" + "A" * 43 + "=", headers, body), "another secret was accepted")


def is_valid_token(token, secret, audience):
    options = {"verify_aud": audience is not None}
    try:
        jwt.decode(token, secret, algorithms=["HS256"], audience=audience, options=options)
    except jwt.InvalidTokenError:
        return False
    return True


def check_token(token, secret, audience=None):
    """A token is valid as it is, and with no change. Returns its claims."""
    require(is_valid_token(token, secret, audience), f"a valid token was refused: {token}")
    require(not is_valid_token(token, secret + "x", audience), "another secret was accepted")
    header, claims, signature = token.split(".")
    other = jwt.encode({"iat": 1}, "x" * 32, algorithm="HS256").split(".")[1]
    require(not is_valid_token(f"{header}.{other}.{signature}", secret, audience), "other claims were accepted")
    return jwt.decode(token, secret, algorithms=["HS256"], audience=audience, options={"verify_aud": audience is not None})


def check_request(kind, webhook, headers, body):
    secret = webhook["secret"]
    check_signature(secret, headers, body)
    if kind == "standard":
        require(headers["content-type"] == "application/json" and json.loads(body)["type"] == "events", body)
    elif kind == "frontegg":
        claims = check_token(headers["x-webhook-secret"], secret)
        require(claims["exp"] - claims["iat"] == 300 and claims["jti"] == headers["webhook-id"], claims)
        require(json.loads(body)["eventKey"].startswith("frontegg.scim."), body)
    else:
        claims = check_token(body.decode(), secret, webhook["url"])
        require(jwt.get_unverified_header(body.decode())["typ"] == "secevent+jwt", "typ")
        require(headers["content-type"] == "application/secevent+jwt" and len(claims["events"]) == 1, claims)


def count_events():
    """Events that have arrived, by format. Configurations have none in the format `set`."""
    counts = dict.fromkeys(FORMATS, 0)
    for kind, _, body in received:
        if kind == "standard":
            events = json.loads(body)["data"].get("events", [])
            counts[kind] += sum(not event["kind"].startswith("configuration.") for event in events)
        elif kind == "set" or b"frontegg.scim.configuration." not in body:
            counts[kind] += 1
    return counts


def wait_for_events(count):
    end = time.monotonic() + WAIT_SECONDS
    while any(found < count for found in count_events().values()):
        require(time.monotonic() < end, f"of {count} events each, these arrived: {count_events()}")
        time.sleep(0.05)


def check_rotation(server, webhook):
    """During a rotation, the earlier and the new secret verify the same request."""
    rotated = server.call("POST", f"{API}/webhooks/{webhook['id']}/secrets", {"overlap": "1h"})
    result = server.call("POST", f"{API}/webhooks/{webhook['id']}/test", {})
    require(result["success"], result)
    kind, headers, body = received[-1]
    require(kind == "standard" and len(headers["webhook-signature"].split(" ")) == 2, headers)
    for secret in (webhook["secret"], rotated["secret"]):
        check_signature(secret, headers, body)


def main(address):
    server = Server(address, os.environ["KEY"])
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{receiver.server_port}"
    webhooks = {}
    for kind in FORMATS:
        webhooks[kind] = server.call("POST", f"{API}/webhooks", {"url": f"{url}/{kind}", "format": kind})
    try:
        provision(server)
        wait_for_events(EVENTS)
        for kind, headers, body in list(received):
            check_request(kind, webhooks[kind], headers, body)
        check_rotation(server, webhooks["standard"])
    finally:
        for webhook in webhooks.values():
            server.call("DELETE", f"{API}/webhooks/{webhook['id']}")
    print(f"webhooks: {len(received)} requests were verified with standardwebhooks and PyJWT")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
