"""Runs every check of scim2-tester on the provisioning URL given as argument; the token comes in SCIM_TOKEN.

The command line of the suite treats every result except the best one as a failure and does not count.
Here an error fails, and so does a run that stopped early with too few checks.
"""

import os
import sys
from collections import Counter

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

CHECKS_MIN = 100
FAILED = (Status.ERROR, Status.CRITICAL)


def main(url: str) -> int:
    headers = {"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"}
    with Client(base_url=url, headers=headers, timeout=20, trust_env=False) as http:
        results = check_server(SyncSCIMClient(http))
    for result in results:
        if result.status in FAILED or result.status is Status.DEVIATION:
            print(f"{result.status.name}: {result.resource_type or 'server'}: {result.title}: {result.reason}")
            if result.data is not None:
                print(f"    {str(result.data)[:600]}")
    ran = [result for result in results if result.status is not Status.SKIPPED]
    marks = Counter(result.status.name.lower() for result in results)
    print(f"scim2-tester: {len(ran)} checks ran: " + ", ".join(f"{count} {mark}" for mark, count in sorted(marks.items())))
    if len(ran) < CHECKS_MIN:
        print(f"scim2-tester: at least {CHECKS_MIN} checks must run; something stopped it early")
        return 1
    return 1 if any(result.status in FAILED for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
