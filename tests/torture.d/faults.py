"""A short scenario of writes, during which a call of the operating system fails."""

from disk import OPEN, SYNC, TRUNCATE, WRITE, Disk
from model import read_all, read_scim
from server import API, Failure, Server, Unanswered, group, patch, user

ALL_KINDS = WRITE | SYNC | TRUNCATE | OPEN


def prepare(context):
    """Returns a disk with faults, a server on it that is not started, and a scenario."""
    site = context.site()
    disk = Disk(context.folder, site.copy_to(context.folder / "data"))
    server = Server(context.program, disk.data, ["--rate-limit", "0"], disk.environment)
    return disk, server, Scenario(site, server)


class Scenario:
    """Writes whose outcomes are compared with the state after a kill and a restart."""

    def __init__(self, site, server):
        self.site, self.server = site, server
        self.outcomes = {}

    def run(self, label):
        """Sends the writes, and stores the status of each: 0 without an answer, or if it says that the outcome is unknown."""
        scim, api = self.server.scim(self.site), self.server.api(self.site)
        first = self.create(scim, f"{label}-a", "/Users", user(f"{label}-a", "one"))
        self.create(scim, f"{label}-b", "/Users", user(f"{label}-b"))
        key = {"name": f"{label}-k", "permissions": ["directory.read"]}
        self.send(f"{label}-k", lambda: api.call("POST", API + "/api-keys", key, {"Idempotency-Key": f"fault-{label}"}))
        if first:
            change = patch({"op": "replace", "path": "title", "value": "two"})
            self.send(f"{label}-title", lambda: scim.call("PATCH", f"/Users/{first}", change))
            self.create(scim, f"{label}-g", "/Groups", group(f"{label}-g", [first]))
        scim.close()
        api.close()

    def create(self, client, name, path, body):
        """Creates a resource, and returns its id or `None`."""
        answer = self.send(name, lambda: client.call("POST", path, body))
        return answer.json["id"] if answer and answer.status == 201 else None

    def send(self, name, call):
        try:
            answer = call()
        except Unanswered:
            self.outcomes[name] = 0
            return None
        self.outcomes[name] = 0 if answer.is_unknown else answer.status
        if answer.status not in (200, 201, 204, 503, 507):
            raise Failure(f"{name}: unexpected {answer.status}: {answer.body[:300]!r}")
        return answer

    def find(self):
        """Names of all writes that have an effect."""
        scim, api = self.server.scim(self.site), self.server.api(self.site)
        found = set()
        for one in read_scim(scim, "Users"):
            found.add(one["userName"])
            if one.get("title") == "two":
                found.add(one["userName"].rsplit("-", 1)[0] + "-title")
        found |= {one["displayName"] for one in read_scim(scim, "Groups")}
        found |= {one["name"] for one in read_all(api, API + "/api-keys")}
        scim.close()
        api.close()
        return found

    def missing(self):
        found = self.find()
        return sorted(name for name, status in self.outcomes.items() if 200 <= status < 300 and name not in found)

    def unexpected(self):
        """Writes that were refused, and have an effect."""
        found = self.find()
        return sorted(f"{name} ({status})" for name, status in self.outcomes.items() if status >= 400 and name in found)
