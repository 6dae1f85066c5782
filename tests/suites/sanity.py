"""Runs the strict probe of scim-sanity on the provisioning URL given as argument; the token comes in SCIM_TOKEN.

A failed or broken probe fails; warnings are printed and counted.
"""

import os
import sys
from collections import Counter

from scim_sanity.probe.runner import run_probe_api

PROBES_MIN = 20
FAILED = ("fail", "error")


def main(url: str) -> int:
    report = run_probe_api(url, token=os.environ["SCIM_TOKEN"], strict=True, timeout=20)
    results = report["results"]
    for result in results:
        if result["status"].lower() in FAILED + ("warn",):
            print(f"{result['status'].upper()}: {result.get('phase')}: {result.get('name')}: {result.get('message')}")
    marks = Counter(result["status"].lower() for result in results)
    print(f"scim-sanity: {len(results)} probes: " + ", ".join(f"{count} {mark}" for mark, count in sorted(marks.items())))
    if marks["pass"] < PROBES_MIN:
        print(f"scim-sanity: at least {PROBES_MIN} probes must pass; something stopped it early")
        return 1
    return 1 if any(marks[mark] for mark in FAILED) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
