"""Gets access tokens with the OAuth clients of others, from the metadata document alone: authlib and requests-oauthlib.

The argument is the address of a server that may call 127.0.0.1. KEY is an API key of the operator.
"""

import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The server under test has no TLS.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session as OauthlibSession

API = "/directory/resources/v1"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# What Entra ID shows in its console has this form.
SUBJECT = "0f2b8c1e-9b4b-4d9a-8a53-5d1f0c9a7e21"
APPLICATION = "3b1f6a2c-5d0e-4f77-8c19-2e4a6b8d0f13"


def new_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key, key.private_bytes(*form).decode()


def jwk_set(key):
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {"keys": [{**jwk, "kid": "key-1", "use": "sig", "alg": "RS256"}]}


def serve(document):
    """Serves a JSON document on a free port, and returns its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/keys"


class Checks:
    """Calls the server and counts what worked."""

    def __init__(self, address, key):
        self.address, self.key, self.count = address, key, 0
        self.metadata = requests.get(f"{address}/.well-known/oauth-authorization-server", timeout=20).json()
        self.token_url = self.metadata["token_endpoint"]
        made = self.post("/configurations/scim2", {"source": "azure-ad"}, {"frontegg-tenant-id": "oauth-suite"})
        self.configuration = made["id"]

    def post(self, path, body, headers=None):
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.address + API + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())

    def client(self, **members):
        return self.post(f"/configurations/scim2/{self.configuration}/oauth-clients", {"label": "suite", **members})

    def works(self, what, scim_url, token):
        assert token["token_type"].lower() == "bearer" and token["expires_in"] == 3600, token
        call = requests.get(f"{scim_url}/Users", headers={"authorization": f"Bearer {token['access_token']}"}, timeout=20)
        assert call.status_code == 200, (what, call.status_code, call.text)
        self.count += 1

    def revoked(self, what, scim_url, token):
        call = requests.get(f"{scim_url}/Users", headers={"authorization": f"Bearer {token['access_token']}"}, timeout=20)
        assert call.status_code == 401, (what, call.status_code)
        self.count += 1


def check_secrets(checks):
    made = checks.client(authentication="secret")
    scim, client, secret = made["scimUrl"], made["clientId"], made["clientSecret"]
    for method in ("client_secret_basic", "client_secret_post"):
        assert method in checks.metadata["token_endpoint_auth_methods_supported"]
        session = OAuth2Session(client, secret, token_endpoint_auth_method=method)
        token = session.fetch_token(checks.token_url, grant_type="client_credentials")
        checks.works(f"authlib {method}", scim, token)
        # The session uses the token by itself.
        assert session.get(f"{scim}/Groups").status_code == 200
        revoked = session.revoke_token(checks.metadata["revocation_endpoint"], token["access_token"], "access_token")
        assert revoked.status_code == 200, revoked.text
        checks.revoked(f"authlib {method}", scim, token)
    for includes in (False, True):
        session = OauthlibSession(client=BackendApplicationClient(client_id=client, scope=["scim.read"]))
        auth = None if includes else HTTPBasicAuth(client, secret)
        token = session.fetch_token(
            checks.token_url, client_secret=secret, include_client_id=includes or None, auth=auth
        )
        assert token["scope"] == ["scim.read"], token
        checks.works("requests-oauthlib", scim, token)


def check_own_keys(checks):
    key, pem = new_key()
    for members in ({"jwks": jwk_set(key)}, {"jwksUrl": serve(jwk_set(key))}):
        made = checks.client(authentication="private_key_jwt", **members)
        session = OAuth2Session(made["clientId"], pem, token_endpoint_auth_method=PrivateKeyJWT(checks.token_url))
        token = session.fetch_token(checks.token_url, grant_type="client_credentials")
        checks.works("authlib private_key_jwt", made["scimUrl"], token)
    key, _ = new_key()
    foreign = OAuth2Session(made["clientId"], new_key()[1], token_endpoint_auth_method=PrivateKeyJWT(checks.token_url))
    try:
        foreign.fetch_token(checks.token_url, grant_type="client_credentials")
    except Exception as error:  # noqa: BLE001
        assert "invalid_client" in str(error), error
        checks.count += 1
    else:
        raise AssertionError("an assertion with another key was accepted")


def check_federation(checks):
    key, pem = new_key()
    issuer = "https://login.microsoftonline.com/7c0e1a52-3f6e-4b8e-9a35-1c2f4d6e8a90/v2.0"
    made = checks.client(
        authentication="federated", issuer=issuer, jwksUrl=serve(jwk_set(key)), subject=SUBJECT,
        audience=f"api://{APPLICATION}/.default",
    )
    now = int(time.time())
    claims = {"iss": issuer, "sub": SUBJECT, "aud": APPLICATION, "iat": now, "nbf": now, "exp": now + 3900}
    assertion = jwt.encode(claims, pem, algorithm="RS256", headers={"kid": "key-1"})
    client = {"client_id": made["clientId"]}
    as_client = {
        **client, "grant_type": "client_credentials", "client_assertion_type": CLIENT_ASSERTION,
        "client_assertion": assertion,
    }
    for form in (as_client, {**client, "grant_type": JWT_BEARER, "assertion": assertion}):
        for url in (checks.token_url, f"{made['scimUrl']}/oauth2/token"):
            response = requests.post(url, data=form, timeout=20)
            assert response.status_code == 200, response.text
            checks.works("federation", made["scimUrl"], response.json())


def main(address):
    checks = Checks(address, os.environ["KEY"])
    check_secrets(checks)
    check_own_keys(checks)
    check_federation(checks)
    print(f"oauth: {checks.count} checks with authlib, requests-oauthlib and PyJWT")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
