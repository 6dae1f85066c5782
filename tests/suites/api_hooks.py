"""What schemathesis does differently on the management API."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"
USABLE = re.compile("[!-~]{8,255}")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives each request of a conversation a key of its own for repeated calls, as it is meant to be.

    Schemathesis sends one key again and again: the repeated answer from before a deletion would look like something that was
    made and is not there. What is no key stays as it is, and so do single requests, whose headers are what is tested.
    """
    key = (case.headers or {}).get(KEY)
    is_conversation = case.meta is not None and case.meta.phase.name == "stateful"
    if is_conversation and isinstance(key, str) and USABLE.fullmatch(key):
        case.headers[KEY] = str(uuid.uuid4())
