"""Load of one tenant, in a process of its own: flood.py PORT TOKEN BASE KIND THREADS. Prints the number of calls."""

import os
import random
import sys
import threading

from server import Client, Unanswered, bulk, group, user

REPORT_EVERY = 100


def run_thread(port, token, base, kind, number):
    client = Client(port, token, base, timeout=60)
    rng = random.Random(number)
    round_number = 0
    while True:
        round_number += 1
        if round_number % REPORT_EVERY == 0:
            print(REPORT_EVERY, flush=True)
        try:
            send(client, kind, rng, f"{os.getpid()}-{number}-{round_number}")
        except Unanswered:
            if not is_listening(client):
                return


def is_listening(client):
    try:
        client.call("GET", "/ServiceProviderConfig")
        return True
    except Unanswered:
        return False


def send(client, kind, rng, label):
    chosen = rng.choice(["filter", "bulk", "group"]) if kind == "all" else kind
    if chosen == "filter":
        client.call("GET", "/Users?filter=title%20co%20%22none%22%20or%20displayName%20co%20%22zzz%22")
    elif chosen == "bulk":
        client.call("POST", "/Bulk", bulk(*({"method": "POST", "path": "/Users", "bulkId": str(one), "data": user(f"{label}-{one}", "x" * 200)}
                                            for one in range(100))))
    elif chosen == "write":
        client.call("POST", "/Users", user(label, "x" * 1_000))
    elif chosen == "small":
        client.call("GET", "/Users?filter=userName%20eq%20%22none%22")
    else:
        page = client.call("GET", "/Users?count=200&attributes=id")
        if page.status == 200:
            answer = client.call("POST", "/Groups", group(label, [one["id"] for one in page.json.get("Resources", [])]))
            if answer.status == 201:
                client.call("DELETE", f"/Groups/{answer.json['id']}")


if __name__ == "__main__":
    port, token, base, kind, threads = sys.argv[1:]
    os.nice(5)
    running = [threading.Thread(target=run_thread, args=(int(port), token, base, kind, number)) for number in range(int(threads))]
    for thread in running:
        thread.start()
