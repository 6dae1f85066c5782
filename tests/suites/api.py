"""Runs schemathesis, with all of its checks, on the management API of the server given as argument.

It calls once with the operator's key (KEY) and once with one that belongs to the account `acme` (ACCOUNT_KEY). A third
argument gives the seconds for both together.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests
from openapi_spec_validator import OpenAPIV31SpecValidator

MANAGEMENT = "/directory/resources/v1"
CONFIGURATIONS = f"{MANAGEMENT}/configurations/scim2"
ACCOUNTS = ("acme", "globex")
USERS = 3


class Api:
    """The management API with the operator's key."""

    def __init__(self, address: str, key: str):
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, body: object = None, account: str = "", token: str = "") -> dict:
        """The answer's document; anything but success ends the run."""
        headers = {"frontegg-tenant-id": account} if account else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.session.request(method, self.address + path, json=body, headers=headers, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


def fill(api: Api) -> dict[str, list[str]]:
    """Puts configurations, users and groups into the server, and gives their ids by what they are."""
    made: dict[str, list[str]] = {"account": list(ACCOUNTS), "configuration": [], "user": [], "group": []}
    for account in ACCOUNTS:
        for source in ("okta", "other"):
            configuration = api.call("POST", CONFIGURATIONS, {"source": source}, account)
            made["configuration"].append(configuration["id"])
            scim = f"/directory/resources/scim/v2.0/{configuration['id']}"
            users = [
                api.call("POST", f"{scim}/Users", {"userName": f"user-{number}"}, token=configuration["token"])["id"]
                for number in range(USERS)
            ]
            group = {"displayName": "Everybody", "members": [{"value": user} for user in users]}
            made["user"] += users
            made["group"].append(api.call("POST", f"{scim}/Groups", group, token=configuration["token"])["id"])
    closed = api.call("POST", CONFIGURATIONS, {"source": "okta", "connectionName": "Closed"}, "acme")
    api.call("DELETE", f"{CONFIGURATIONS}/{closed['id']}")
    return made


def settings(made: dict[str, list[str]], key: str) -> str:
    """What schemathesis is told in its configuration file."""
    lists = "\n".join(f"{name}.values = {json.dumps(values)}" for name, values in made.items())
    return f"""
workers = 2
continue-on-failure = true
request-timeout = 20

[headers]
Authorization = "Bearer {key}"

# No text may hold NUL, in members that nobody knows neither, and no schema can say that.
[generation]
allow-x00 = false

[dictionaries]
{lists}

# Random ids lead nowhere: every second time a real one stands in their place.
[parameters]
"path.id" = {{dictionary = "configuration", probability = 0.5}}
"header.frontegg-tenant-id" = {{dictionary = "account", probability = 0.5}}

# The operator has to name the account of a new configuration; a description can say that, a schema cannot.
[[operations]]
include-operation-id = ["createConfiguration"]
parameters."header.frontegg-tenant-id" = "acme"
"""


def run(address: str, made: dict[str, list[str]], key: str, seconds: int) -> bool:
    """One run; whether nothing failed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "schemathesis.toml")
        file.write_text(settings(made, key))
        program = Path(sys.executable).with_name("st")
        command = [program, "--config-file", file, "run", f"{address}/openapi.json"]
        options = ["--checks", "all", "--max-time", str(seconds), "--generation-database", "none", "--no-color"]
        return subprocess.run(command + options, timeout=seconds + 60, cwd=folder).returncode == 0


def main(address: str, seconds: str = "150") -> int:
    api = Api(address, os.environ["KEY"])
    OpenAPIV31SpecValidator(api.call("GET", "/openapi.json")).validate()
    made = fill(api)
    share = int(seconds) // 3
    results = [run(address, made, os.environ["KEY"], 2 * share), run(address, made, os.environ["ACCOUNT_KEY"], share)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
