"""What schemathesis does differently on the management API."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"
USABLE = re.compile("[!-~]{8,255}")


ACCOUNTS = "/directory/resources/v1/accounts"
KEYS = "/directory/resources/v1/api-keys"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Lets the requests of a conversation mean what they are meant to.

    Single requests are sent as they are: what is odd in them is what is tested.
    """
    if case.meta is not None and case.meta.phase.name == "stateful":
        fresh_key(case)
        fresh_account(case)


def fresh_key(case):
    """Gives each request a key of its own for repeated calls.

    Schemathesis sends one key again and again: the repeated answer from before a deletion would look like something that was
    made and is not there. What is no key stays as it is.
    """
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and USABLE.fullmatch(key):
        case.headers[KEY] = str(uuid.uuid4())


def fresh_account(case):
    """Gives each new account an id that nobody had and that stands in a path as it is.

    The caller chooses that id. Schemathesis takes `%C4%9B` for an encoded one, and would call an account that another
    request began anew by its id one that was not deleted.
    """
    if case.operation.method.lower() != "post" or not isinstance(case.body, dict):
        return
    if case.operation.path == ACCOUNTS and isinstance(case.body.get("id"), str):
        case.body["id"] = f"account-{uuid.uuid4()}"
    if case.operation.path == KEYS and isinstance(case.body.get("accountId"), str):
        case.body["accountId"] = "acme"
