"""Adapts schemathesis to the management API."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"
USABLE = re.compile("[!-~]{8,255}")


ACCOUNTS = "/directory/resources/v1/accounts"
KEYS = "/directory/resources/v1/api-keys"
WEBHOOKS = "/directory/resources/v1/webhooks"
PERSONAL_DATA = ["/directory/resources/v1/personal-data/export", "/directory/resources/v1/personal-data/erase"]
CONFIGURATIONS = "/directory/resources/v1/configurations/scim2"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes the requests of stateful tests valid, and encodes headers.

    Single requests are sent unchanged otherwise, because their odd values are the test.
    """
    encode_headers(case)
    usable_webhook(case)
    usable_client(case)
    usable_configuration(case)
    usable_subject(case)
    usable_cursor(case)
    if case.meta is not None and case.meta.phase.name == "stateful":
        fresh_key(case)
        fresh_account(case)


def usable_webhook(case):
    """Replaces values that a schema cannot describe: which addresses may be called, and which headers and numbers exist.

    Values that the schema does not allow stay, because they are the test.
    """
    body = case.body
    operation = (case.operation.method.lower(), case.operation.path)
    if operation not in [("post", WEBHOOKS), ("patch", WEBHOOKS + "/{id}")] or not isinstance(body, dict):
        return
    if isinstance(body.get("url"), str) and 1 <= len(body["url"]) <= 2048:
        body["url"] = f"https://{uuid.uuid4().hex}.example.com/hook"
    if isinstance(body.get("headers"), dict) and all(isinstance(value, str) for value in body["headers"].values()):
        body["headers"] = {"x-test": "1"}
    # In JSON Schema, 7.0 is an integer too.
    start = body.get("start")
    if type(start) in (int, float) and start >= 0 and start == int(start):
        body["start"] = "latest"
    if isinstance(body.get("description"), str) and len(body["description"]) <= 200:
        body["description"] = "".join(letter for letter in body["description"] if letter.isprintable())
    # Also in another format: a change can select the format `set` later, which has no events of configurations.
    if isinstance(body.get("kinds"), list) and body["kinds"]:
        body["kinds"] = [*body["kinds"], "user.*"]


def usable_client(case):
    """Replaces members of OAuth clients that a schema cannot describe: which scopes exist, and which members belong together.

    Values that the schema does not allow stay, because they are the test.
    """
    body, path = case.body, case.operation.path
    if "/oauth-clients" not in path or path.endswith("/secrets") or not isinstance(body, dict):
        return
    if isinstance(body.get("scope"), str) and 1 <= len(body["scope"]) <= 1000:
        body["scope"] = "scim.read"
    # Only a client with a secret has it.
    lifetime = body.get("secretExpiresIn")
    is_valid = type(lifetime) in (int, float) and 86_400 <= lifetime <= 94_608_000 and lifetime == int(lifetime)
    if body.get("authentication") != "secret" and is_valid:
        del body["secretExpiresIn"]
    texts = ["jwksUrl", "issuer", "subject", "audience"]
    described = [body[name] for name in texts if body.get(name) is not None]
    if not all(isinstance(text, str) and 1 <= len(text) <= 2000 for text in described):
        return
    if not isinstance(body.get("jwks"), (dict, type(None))):
        return
    for name in ["jwks", *texts]:
        body.pop(name, None)
    if body.get("authentication") != "secret" and case.operation.method.lower() == "post":
        body["jwksUrl"] = "https://keys.example.com/jwks.json"
    if body.get("authentication") == "federated":
        body.update(issuer="https://id.example.com", subject="one", audience="api://scim")


def usable_configuration(case):
    """Removes a member of a new configuration that does not fit another one, which a schema cannot express."""
    body, is_post = case.body, case.operation.method.lower() == "post"
    if not is_post or case.operation.path != CONFIGURATIONS or not isinstance(body, dict):
        return
    if body.get("staged") is True and body.get("syncToUserManagement") is True:
        del body["syncToUserManagement"]


def usable_cursor(case):
    """Removes the cursor of a restore of a time range: only the server can issue one. Values of other types stay, they are the test."""
    body = case.body
    if case.operation.path == f"{CONFIGURATIONS}/{{id}}/deleted/restore" and isinstance(body, dict):
        if isinstance(body.get("cursor"), str):
            del body["cursor"]


def encode_headers(case):
    """Sends a header with other characters than those of Latin-1 in UTF-8, as the account header is read.

    The HTTP client sends one byte for each character.
    """
    for name, value in list((case.headers or {}).items()):
        if isinstance(value, str) and any(ord(character) > 255 for character in value):
            case.headers[name] = value.encode().decode("latin-1")


def usable_subject(case):
    """Makes a request for personal data name one user of an account that exists, which a schema cannot describe.

    Values that the schema does not allow stay, because they are the test.
    """
    body = case.body
    if case.operation.path not in PERSONAL_DATA or not isinstance(body, dict):
        return
    if all(body.get(name) is None or isinstance(body[name], str) for name in ["accountId", "userId", "email"]):
        body["accountId"] = "acme"
        if isinstance(body.get("userId"), str):
            body.pop("email", None)
        elif not isinstance(body.get("email"), str):
            body["email"] = f"{uuid.uuid4().hex}@example.com"


def fresh_key(case):
    """Gives each request a unique idempotency key.

    Schemathesis repeats one key: the replayed answer from before a deletion would look like an object that was created
    and does not exist. Invalid keys stay unchanged.
    """
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and USABLE.fullmatch(key):
        case.headers[KEY] = str(uuid.uuid4())


def fresh_account(case):
    """Gives each new account a unique id that needs no encoding in a path.

    The caller chooses that id. Schemathesis treats `%C4%9B` as encoded, and would report an account that another request
    created again with the same id as not deleted.
    """
    if case.operation.method.lower() != "post" or not isinstance(case.body, dict):
        return
    if case.operation.path == ACCOUNTS and isinstance(case.body.get("id"), str):
        case.body["id"] = f"account-{uuid.uuid4()}"
    if case.operation.path == KEYS and isinstance(case.body.get("accountId"), str):
        case.body["accountId"] = "acme"
