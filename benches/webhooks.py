#!/usr/bin/env python3
"""Measures webhooks on the real server: what a write costs with webhooks, how late events are while endpoints hang, and how a
backlog is delivered.

  benches/webhooks.py target/release/rollcall              all, about three minutes
  benches/webhooks.py target/release/rollcall hanging      one: writes, hanging or backlog

Server, clients and receivers share the machine, so only ratios within one run say something. RECEIVER_NICE=10 gives the receivers
a lower priority, because receivers normally have a machine of their own. BACKLOG=1000000 is a larger backlog than 100,000
events. Needs Python 3 and Linux.
"""

import http.client
import http.server
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

API = "/directory/resources/v1"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
CONNECTIONS = 8
ROUND_SECONDS = 4
ROUNDS = 5
BACKLOG = int(os.environ.get("BACKLOG", "100000"))
RECEIVER_NICE = int(os.environ.get("RECEIVER_NICE", "0"))


class Server:
    """A server with an operator's key and some configurations."""

    def __init__(self, binary, configurations=1):
        self.folder = tempfile.mkdtemp(prefix="rollcall-webhooks-")
        self.binary, self.data = binary, f"{self.folder}/data"
        flags = ["--listen", "127.0.0.1:0", "--outgoing-allow-networks", "127.0.0.1/32", "--rate-limit", "0"]
        log = open(f"{self.folder}/log", "wb")
        self.process = subprocess.Popen([binary, "serve", "--data-dir", self.data, *flags], stdout=subprocess.PIPE, stderr=log)
        for line in self.process.stdout:
            found = re.search(rb"listening on http://127.0.0.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.key = self.run("api-key", "create", "--name", "bench")["secret"]
        made = [self.run("configuration", "create", "--account", f"a{n}", "--source", "other") for n in range(configurations)]
        self.configurations = [(one["id"], one["token"]) for one in made]

    def run(self, *arguments):
        command = [self.binary, *arguments, "--output", "json", "--data-dir", self.data]
        return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        connection.request(method, API + path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path} answered {answer.status}: {content[:300]}")
        return json.loads(content) if content else None

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) // 1024

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


def receive(port_sender, delays):
    """A receiver process: answers at once, or after a minute if the path begins with /hang. Sends the delay of each event."""
    os.nice(RECEIVER_NICE)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            now = time.time()
            if self.path.startswith("/hang"):
                time.sleep(60)
            if delays is not None:
                for event in json.loads(body)["data"].get("events", []):
                    created = datetime.fromisoformat(event["createdAt"].replace("Z", "+00:00")).timestamp()
                    delays.put((now - created, len(body)))
            self.send_response(204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    class Receiver(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 200

    receiver = Receiver(("127.0.0.1", 0), Handler)
    port_sender.send(receiver.server_address[1])
    receiver.serve_forever()


def start_receiver(delays=None):
    receiving, sending = multiprocessing.Pipe(False)
    process = multiprocessing.Process(target=receive, args=(sending, delays), daemon=True)
    process.start()
    return receiving.recv(), process


def write(port, configuration, label, rate, seconds, results):
    """Creates users over one connection, at a rate or as fast as possible. Sends the times of all calls."""
    ident, token = configuration
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    times, begun, number = [], time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        if rate:
            time.sleep(max(0, begun + number / rate - time.monotonic()))
        body = json.dumps({"schemas": [USER], "userName": f"{label}-{number}", "externalId": f"{label}-{number}", "active": True,
                           "emails": [{"value": f"{label}-{number}@example.com", "primary": True}]})
        start = time.monotonic()
        connection.request("POST", f"/directory/resources/scim/v2.0/{ident}/Users", body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise SystemExit(f"POST answered {answer.status}")
        times.append(time.monotonic() - start)
        number += 1
    results.put(times)


def write_together(server, connections, label, rate=None, seconds=ROUND_SECONDS):
    results = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=write, args=(
        server.port, server.configurations[n % len(server.configurations)], f"{label}-{n}", rate, seconds, results))
        for n in range(connections)]
    for worker in workers:
        worker.start()
    times = sorted(sum((results.get() for _ in workers), []))
    for worker in workers:
        worker.join()
    return times


def percentile(values, percent):
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0.0


def median(values):
    return sorted(values)[len(values) // 2]


def measure_writes(binary):
    """POST of users with and without 20 webhooks, in turns."""
    port, receiver = start_receiver()
    servers = {count: Server(binary, 4) for count in (0, 20)}
    for number in range(20):
        servers[20].call("POST", "/webhooks", {"url": f"http://127.0.0.1:{port}/{number}"})
    for server in servers.values():
        write_together(server, CONNECTIONS, "warm", seconds=1)
    figures = {0: [], 20: []}
    for turn in range(ROUNDS):
        for count, server in servers.items():
            before = server.cpu_seconds()
            times = write_together(server, CONNECTIONS, f"r{turn}")
            cpu = (server.cpu_seconds() - before) / len(times)
            figures[count].append((percentile(times, 50), percentile(times, 99), cpu, len(times) / ROUND_SECONDS))
    print(f"POST of users, {CONNECTIONS} connections, median of {ROUNDS} rounds of {ROUND_SECONDS} s")
    for count, rounds in figures.items():
        p50, p99, cpu, rate = (median([one[field] for one in rounds]) for field in range(4))
        print(f"  {count:2} webhooks: p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms, {cpu * 1e6:.0f} us of CPU per POST, {rate:.0f} per second")
    for field, name in ((0, "p50"), (1, "p99"), (2, "CPU")):
        ratios = [with_webhooks[field] / without[field] for without, with_webhooks in zip(figures[0], figures[20], strict=True)]
        print(f"  {name} with 20 webhooks / without: {median(ratios):.2f}")
    for server in servers.values():
        server.close()
    receiver.kill()


def measure_hanging(binary):
    """100 webhooks of which 50 never answer, at 200 events per second."""
    delays = multiprocessing.Queue()
    port, receiver = start_receiver(delays)
    server = Server(binary, 10)
    for number in range(100):
        kind = "hang" if number % 2 else "good"
        account = f"a{number % 10}"
        server.call("POST", "/webhooks", {"url": f"http://127.0.0.1:{port}/{kind}/{number}", "accountId": account})
    write_together(server, 10, "warm", rate=2, seconds=20)
    while not delays.empty():
        delays.get()
    times = write_together(server, 10, "load", rate=20, seconds=20)
    time.sleep(2)
    found = []
    while not delays.empty():
        found.append(delays.get()[0])
    found.sort()
    print(f"100 webhooks, 50 of them hang, 200 events per second, 20 s: {len(found)} deliveries of {len(times)} events to the others, "
          f"p50 {percentile(found, 50) * 1000:.0f} ms, p99 {percentile(found, 99) * 1000:.0f} ms, at most {found[-1] * 1000:.0f} ms; "
          f"p99 of the writes {percentile(times, 99) * 1000:.1f} ms")
    server.close()
    receiver.kill()


def measure_backlog(binary):
    """A backlog of many events to one webhook in some lanes: speed and memory, and the times of reads."""
    port, receiver = start_receiver()
    server = Server(binary, 4)
    webhook = server.call("POST", "/webhooks", {"url": f"http://127.0.0.1:{port}/"})["id"]
    server.call("POST", f"/webhooks/{webhook}/pause", {})

    def feed_times():
        times = []
        for _ in range(20):
            start = time.monotonic()
            server.call("GET", "/events?limit=100")
            server.call("GET", f"/webhooks/{webhook}/lanes")
            times.append(time.monotonic() - start)
        return median(times) * 1000

    write_together(server, 4, "first", seconds=1)
    small, made, turn = feed_times(), 0, 0
    while made < BACKLOG:
        made += len(write_together(server, CONNECTIONS, f"b{turn}", seconds=10))
        turn += 1
    large, before = feed_times(), server.memory_mib()
    begun, memory = time.monotonic(), 0
    server.call("POST", f"/webhooks/{webhook}/resume", {})
    while any(lane["waiting"] for lane in server.call("GET", f"/webhooks/{webhook}/lanes")["items"]):
        memory = max(memory, server.memory_mib())
        time.sleep(0.2)
    seconds = time.monotonic() - begun
    print(f"backlog of {made} events in 4 lanes: delivered in {seconds:.1f} s ({made / seconds:.0f} per second), memory {before} MiB before, "
          f"at most {memory} MiB; a page of the feed and the lanes take {small:.1f} ms at the start, {large:.1f} ms with the backlog")
    server.close()
    receiver.kill()


def main():
    binary, chosen = sys.argv[1], sys.argv[2:]
    for name, measure in (("writes", measure_writes), ("hanging", measure_hanging), ("backlog", measure_backlog)):
        if not chosen or name in chosen:
            measure(binary)


if __name__ == "__main__":
    main()
