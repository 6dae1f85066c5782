"""Silent damage of the database or its write-ahead log: each answer is right or an error, or the start is refused."""

import shutil
import struct

from model import read_all, read_scim
from server import API, Failure, Server, Unanswered, group, patch, user

SECONDS = 20
USERS = 120
WAL_HEADER, FRAME_HEADER = 32, 24


def run(context):
    site = context.site()
    source = Server(context.program, site.copy_to(context.folder / "source"), ["--rate-limit", "0"]).start()
    fill(source.scim(site))
    source.terminate()
    source.start()
    change(source.scim(site))
    truth = read_everything(source, site)
    source.kill()
    refused = errors = right = done = 0
    wrong = []
    while context.continues(done, 60):
        data = context.folder / "damaged"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(source.data, data)
        # Even numbers, so that both forms also occur in the short form.
        has_index = done % 2 == 0
        context.step = f"damage {done + 1}: {damage(data, context.rng, has_index)}"
        server = Server(context.program, data, ["--rate-limit", "0"])
        done += 1
        if not server.try_start():
            refused += 1
            continue
        findings = compare_answers(truth, read_everything(server, site))
        server.kill()
        if findings and server.run("check", "--deep").returncode == 0:
            wrong.append(f"{context.step}: the deep check finds nothing, but {findings[0]}")
        if any(finding.startswith("wrong") for finding in findings):
            wrong.append(f"{context.step}: {findings[:2]}")
        elif findings:
            errors += 1
        else:
            right += 1
    context.step = "all damages"
    if wrong:
        raise Failure(f"{len(wrong)} of {done} damages were not noticed: {'; '.join(wrong[:3])}")
    return f"{done} damages: {refused} starts refused, {errors} with errors, {right} with right answers only, 0 wrong"


def fill(client):
    idents = [client.expect(201, "POST", "/Users", user(f"user-{number}", f"title {number}" * 8))["id"] for number in range(USERS)]
    for number in range(6):
        client.expect(201, "POST", "/Groups", group(f"group-{number}", idents[number::7]))


def change(client):
    """Transactions that are in the write-ahead log only."""
    users = client.expect(200, "GET", "/Users?count=40")["Resources"]
    for number, one in enumerate(users):
        client.call("PATCH", f"/Users/{one['id']}", patch({"op": "replace", "path": "title", "value": f"changed {number}" * 8}))


def damage(data, rng, has_index):
    """Changes bytes of one file, and describes the change. With the index of the log, as after a kill, all is noticed."""
    if rng.random() < 0.35:
        path = data / "rollcall.db-wal"
        content = bytearray(path.read_bytes())
        # Without the index, damage of the last transactions looks like a write that a power cut tore.
        end = find_commits(content)[-1 if has_index else -4]
        start = WAL_HEADER
    else:
        path = data / "rollcall.db"
        content = bytearray(path.read_bytes())
        start, end = 0, len(content)
    at = rng.randrange(start, end)
    kind = rng.choice(["bit", "byte", "zeros", "copy"])
    length = {"bit": 1, "byte": 1, "zeros": 512, "copy": 512}[kind]
    length = min(length, end - at)
    if kind == "bit":
        content[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        content[at] = (content[at] + rng.randrange(1, 256)) % 256
    elif kind == "zeros":
        content[at:at + length] = bytes(length)
    else:
        origin = rng.randrange(start, max(start + 1, end - length))
        content[at:at + length] = content[origin:origin + length]
    path.write_bytes(content)
    if not has_index:
        (data / "rollcall.db-shm").unlink(missing_ok=True)
    return f"{kind} at {at} of {path.name}{' with its index' if has_index else ''}"


def find_commits(content):
    """Ends of the transactions in a write-ahead log."""
    page = struct.unpack_from(">I", content, 8)[0]
    salts = bytes(content[16:24])
    ends, at = [], WAL_HEADER
    while at + FRAME_HEADER + page <= len(content) and content[at + 8:at + 16] == salts:
        at += FRAME_HEADER + page
        if struct.unpack_from(">I", content, at - FRAME_HEADER - page + 4)[0]:
            ends.append(at)
    return ends


def read_everything(server, site):
    """What the public API returns, by source. An error is an exception in the result."""
    scim, api = server.scim(site), server.api(site)
    ident = site.configurations[0][0]
    reads = {
        "users": lambda: read_scim(scim, "Users"),
        "groups": lambda: read_scim(scim, "Groups"),
        "filter": lambda: count_matches(scim, "sw", "user-1"),
        "feed": lambda: api.expect(200, "GET", f"{API}/events?configuration={ident}&after=0&limit=1000")["events"],
        "list": lambda: read_all(api, f"{API}/configurations/scim2/{ident}/users"),
        "names": lambda: [count_matches(scim, "eq", f"user-{number}") for number in range(0, USERS, 5)],
    }
    found = {}
    for name, read in reads.items():
        try:
            found[name] = normalize(read())
        except (Failure, Unanswered, ValueError, KeyError) as error:
            found[name] = error
    return found


def count_matches(client, operator, value):
    return client.expect(200, "GET", f"/Users?filter=userName%20{operator}%20%22{value}%22")["totalResults"]


def normalize(value):
    """Without addresses of the server, which has another port after each start."""
    if isinstance(value, dict):
        return {name: normalize(one) for name, one in value.items() if name not in ("location", "$ref")}
    if isinstance(value, list):
        return [normalize(one) for one in value]
    return value


def compare_answers(truth, found):
    findings = []
    for name, expected in truth.items():
        got = found[name]
        if isinstance(got, Exception):
            # An answer with another total than items is a wrong answer, not an error.
            findings.append(f"{'wrong' if 'reports' in str(got) else 'error'} {name}: {got}"[:200])
        elif got != expected:
            findings.append(f"wrong {name}")
    return sorted(findings, reverse=True)
