"""Runs schemathesis, with all of its checks, on the management API of the server given as argument.

It runs once with the operator's key (KEY) and once with a key of the account `acme` (ACCOUNT_KEY). A second argument
is the total time in seconds.
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
KINDS = "account configuration spare leftover user group token link schema key".split()
# Lets Python find `api_hooks`.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent)}
USERS = 3
SPARE = 40
# The default of schemathesis for accepted requests, without the server errors.
ACCEPTED: list[int | str] = ["2xx", "3xx", 401, 403, 404, 409, 429]

# The default for rejected ones.
REJECTED: list[int | str] = [400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429, "5xx"]


class Api:
    """The management API with the operator's key."""

    def __init__(self, address: str, key: str):
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, body: object = None, account: str = "", token: str = "") -> dict:
        """Returns the document of the answer; any failure ends the run."""
        headers = {"frontegg-tenant-id": account} if account else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        answer = self.session.request(method, self.address + path, json=body, headers=headers, timeout=20)
        answer.raise_for_status()
        return answer.json() if answer.content else {}


def fill(api: Api) -> dict[str, list[str]]:
    """Creates objects of every kind, and returns their ids by kind."""
    made: dict[str, list[str]] = {name: [] for name in KINDS}
    made["account"] += ACCOUNTS
    for account in ACCOUNTS:
        for source in ("okta", "other"):
            provision(api, api.call("POST", CONFIGURATIONS, {"source": source}, account), made)
    for number in range(SPARE):
        spare = {"source": "other", "connectionName": f"Spare {number}"}
        made["spare"].append(api.call("POST", CONFIGURATIONS, spare, ACCOUNTS[number % 2])["id"])
        made["key"].append(api.call("POST", f"{MANAGEMENT}/api-keys", {"name": f"Spare {number}"})["clientId"])
    for number in range(5):
        closed = api.call("POST", CONFIGURATIONS, {"source": "okta", "connectionName": f"Closed {number}"}, "acme")
        scim = f"/directory/resources/scim/v2.0/{closed['id']}"
        api.call("POST", f"{scim}/Users", {"userName": "left-over"}, token=closed["token"])
        api.call("DELETE", f"{CONFIGURATIONS}/{closed['id']}")
        made["leftover"].append(closed["id"])
    return made


def provision(api: Api, configuration: dict, made: dict[str, list[str]]) -> None:
    """Creates users, a group, a token, a link and a schema for a configuration."""
    token, own = configuration["token"], f"{CONFIGURATIONS}/{configuration['id']}"
    scim = f"/directory/resources/scim/v2.0/{configuration['id']}"
    users = [
        api.call("POST", f"{scim}/Users", {"userName": f"user-{number}"}, token=token)["id"] for number in range(USERS)
    ]
    group = {"displayName": "All", "members": [{"value": user} for user in users]}
    schema = {"id": "urn:example:acme:1.0:User", "attributes": [{"name": "costCenter"}]}
    made["configuration"].append(configuration["id"])
    made["user"] += users
    made["group"].append(api.call("POST", f"{scim}/Groups", group, token=token)["id"])
    made["token"].append(api.call("POST", f"{own}/tokens", {})["id"])
    made["link"].append(api.call("POST", f"{own}/links", {})["id"])
    made["schema"].append(api.call("POST", f"{own}/schemas", {"resourceType": "User", "schema": schema})["id"])


def settings(made: dict[str, list[str]], key: str) -> str:
    """The configuration file of schemathesis."""
    lists = "\n".join(f"{name}.values = {json.dumps(values)}" for name, values in made.items())
    return f"""
# In Python 3.11 the depth counter of the parser is not thread-safe.
workers = 1
continue-on-failure = true
request-timeout = 20
hooks = "api_hooks"

[headers]
Authorization = "Bearer {key}"

# No text may contain NUL, not even in unknown members, and a schema cannot express that.
[generation]
allow-x00 = false

# The default ones and 422: an idempotency key that was used for another request has a valid form.
[checks]
positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED + [422])}

[dictionaries]
{lists}

# Random ids do not exist: half of them are replaced by real ones.
[parameters]
"path.id" = {{dictionary = "configuration", probability = 0.5}}
"path.user" = {{dictionary = "user", probability = 0.5}}
"path.group" = {{dictionary = "group", probability = 0.5}}
"path.token" = {{dictionary = "token", probability = 0.5}}
"path.linkId" = {{dictionary = "link", probability = 0.5}}
"path.urn" = {{dictionary = "schema", probability = 0.5}}
"path.configurationId" = {{dictionary = "leftover", probability = 0.5}}
"header.frontegg-tenant-id" = {{dictionary = "account", probability = 0.5}}
# Only cursors from the server are valid, which a schema cannot express. An empty one is the first page.
"query.cursor" = ""
# The run must not wait for events.
"query.wait" = 0

# The caller chooses the id of an account: after a deletion the next call with that id creates it again.
[[operations]]
include-path = "{MANAGEMENT}/accounts/{{id}}"
parameters."path.id" = {{dictionary = "account", probability = 0.5}}
checks.use_after_free.enabled = false

# The same applies to the URN of a schema.
[[operations]]
include-path-regex = "{MANAGEMENT}/configurations/scim2/.*/schemas/.*"
checks.use_after_free.enabled = false

[[operations]]
include-path = "{MANAGEMENT}/users/{{id}}"
parameters."path.id" = {{dictionary = "user", probability = 0.5}}

[[operations]]
include-path-regex = "{MANAGEMENT}/groups/.*"
parameters."path.id" = {{dictionary = "group", probability = 0.5}}

# The key of the run is not among these.
[[operations]]
include-path = "{MANAGEMENT}/api-keys/{{id}}"
parameters."path.id" = {{dictionary = "key", probability = 1.0}}

# Deletions use spare configurations, so that the others remain.
[[operations]]
include-operation-id = "deleteConfiguration"
parameters."path.id" = {{dictionary = "spare", probability = 0.5}}

# The operator must name the account of a new configuration; a schema cannot express that.
[[operations]]
include-operation-id = "createConfiguration"
parameters."header.frontegg-tenant-id" = "acme"

# Only the server knows which positions of the event feed can be continued; others are gone.
[[operations]]
include-path-regex = "{MANAGEMENT}/(deletions|events|groups|memberships|users)$"
checks.positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED + [410, 422])}

# The characteristics of an attribute depend on each other, and names are unique independent of case.
[[operations]]
include-operation-id = "addSchema"
checks.positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED + [400, 422])}

# Whether a text is an address or a URL, and whether a color is dark enough, a schema cannot express.
[[operations]]
include-operation-id = "updateServerSettings"
checks.positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED + [400, 422])}

# A request whose only fault is an unknown header is valid: proxies and clients add some.
[[operations]]
include-operation-id = "createApiKey"
checks.negative_data_rejection.expected-statuses = {json.dumps(REJECTED + [201])}

# The first event of a range must not be after the last one, and only times in the past can be chosen.
[[operations]]
include-path-regex = "{MANAGEMENT}/(webhooks/.*/resend|configurations/scim2/.*/undo)$"
checks.positive_data_acceptance.expected-statuses = {json.dumps(ACCEPTED + [400, 422])}
"""


def run(address: str, made: dict[str, list[str]], key: str, seconds: int) -> bool:
    """Runs schemathesis; returns whether everything passed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "schemathesis.toml")
        file.write_text(settings(made, key))
        program = Path(sys.executable).with_name("st")
        command = [program, "--config-file", file, "run", f"{address}/openapi.json"]
        options = ["--checks", "all", "--max-time", str(seconds), "--generation-database", "none", "--no-color"]
        # The same requests in every run, so that a failure can be reproduced; another seed creates others.
        options += ["--seed", os.environ.get("SEED", "7643")]
        return subprocess.run(command + options, timeout=seconds + 60, cwd=folder, env=ENVIRONMENT).returncode == 0


def main(address: str, seconds: str = "84") -> int:
    api = Api(address, os.environ["KEY"])
    OpenAPIV31SpecValidator(api.call("GET", "/openapi.json")).validate()
    made = fill(api)
    share = int(seconds) // 3
    is_sound = run(address, made, os.environ["KEY"], 2 * share)
    # The run of the operator may have disabled self-service. This fails if the operator's key was revoked by the run.
    api.call("PATCH", f"{MANAGEMENT}/settings", {"selfService": True})
    return 0 if run(address, made, os.environ["ACCOUNT_KEY"], share) and is_sound else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
