"""What schemathesis does differently on the management API."""

import re
import uuid

import schemathesis

KEY = "Idempotency-Key"
USABLE = re.compile("[!-~]{8,255}")


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key for repeated calls is for one request, but schemathesis sends one again and again: an answer from before a
    deletion would look like something that was made and is not there. One that is no key stays as it is."""
    key = (case.headers or {}).get(KEY)
    if isinstance(key, str) and USABLE.fullmatch(key):
        case.headers[KEY] = str(uuid.uuid4())
