"""A plain model of acknowledged operations, the load that fills it, and the comparison through the public API.

Each worker owns its users and groups. For each name the model holds the set of states that the server may have: one
state after an answer, the old and the new state while an answer is outstanding. `None` means that it does not exist.
"""

import threading
import time

from server import API, Failure, Unanswered, bulk, group, patch, user

USER_LIMIT, GROUP_LIMIT, MEMBER_LIMIT = 40, 4, 12


class Model:
    def __init__(self):
        self.users, self.groups, self.keys = {}, {}, {}
        self.acknowledged = self.unanswered = self.refused = 0
        self.lock = threading.Lock()
        self.history, self.is_cut = {}, False

    def remember(self, changes, outcome):
        """Stores the last outcomes of each name, for the report of a failure."""
        for _, name, new in changes:
            entries = self.history.setdefault(name, [])
            entries.append(f"{show_time(time.time())} {outcome}: {show(new)}")
            del entries[:-6]

    def count(self, outcome):
        with self.lock:
            if outcome == "done":
                self.acknowledged += 1
            elif outcome == "refused":
                self.refused += 1
            else:
                self.unanswered += 1


def show_time(time_of_day):
    return time.strftime("%H:%M:%S", time.gmtime(time_of_day)) + f".{int(time_of_day * 1000) % 1000:03}"


def show(state):
    return sorted(state) if isinstance(state, frozenset) else state


def only(states):
    """The state if it is certain."""
    return next(iter(states)) if len(states) == 1 else None


class Worker(threading.Thread):
    """Sends operations one after the other until `stop` is set or the server is gone."""

    def __init__(self, model, label, rng, clients, stop):
        super().__init__(daemon=True)
        self.model, self.label, self.rng, self.stop = model, label, rng, stop
        self.client, self.api = clients
        self.ids, self.number, self.failure = {}, 0, None

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
        except Unanswered:
            pass
        except Failure as failure:
            self.failure = failure
        finally:
            self.client.close()
            self.api.close()

    def own(self, table):
        mine = self.label + "-"
        return {name: only(states) for name, states in list(table.items())
                if name.startswith(mine) and only(states) is not None and name in self.ids}

    def new_name(self, kind):
        self.number += 1
        return f"{self.label}-{kind}{self.number}"

    def step(self):
        users, groups = self.own(self.model.users), self.own(self.model.groups)
        choices = [(self.create_user, 4 if len(users) < USER_LIMIT else 0), (self.call_bulk, 1), (self.use_key, 1)]
        if users:
            choices += [(self.put_user, 3), (self.patch_user, 3), (self.delete_user, 2 + (len(users) >= USER_LIMIT) * 6)]
            choices += [(self.create_group, 1 if len(groups) < GROUP_LIMIT else 0)]
        if groups and users:
            choices += [(self.change_members, 4), (self.delete_group, 0.3)]
        action = self.rng.choices([choice for choice, _ in choices], [weight for _, weight in choices])[0]
        action(users, groups)

    def send(self, changes, call, accepted):
        """Sends one request whose effects are `changes`: (table, name, new state)."""
        before = [(table, name, table.get(name, {None})) for table, name, _ in changes]
        for (table, name, new), (_, _, old) in zip(changes, before, strict=True):
            table[name] = {*old, new}
        try:
            answer = call()
            if self.model.is_cut:
                # After a power cut there would be no answer.
                raise Unanswered("the power is cut")
        except Unanswered:
            self.model.count("unknown")
            self.model.remember(changes, "no answer")
            raise
        self.model.remember(changes, answer.status)
        if answer.status in accepted:
            for table, name, new in changes:
                table[name] = {new}
            self.model.count("done")
        elif answer.is_unknown:
            self.model.count("unknown")
        elif answer.is_refusal:
            for table, name, old in before:
                table[name] = old
            self.model.count("refused")
        else:
            raise Failure(f"{[(name, new) for _, name, new in changes]}: unexpected {answer.status}: {answer.body[:300]!r}")
        return answer

    def create_user(self, _users, _groups):
        name = self.new_name("u")
        title = f"t{self.rng.randrange(1000)}"
        answer = self.send([(self.model.users, name, (title, True))],
                           lambda: self.client.call("POST", "/Users", user(name, title)), (201,))
        if answer.status == 201:
            self.ids[name] = answer.json["id"]

    def put_user(self, users, _groups):
        name = self.rng.choice(sorted(users))
        title = f"p{self.rng.randrange(1000)}"
        self.send([(self.model.users, name, (title, True))],
                  lambda: self.client.call("PUT", f"/Users/{self.ids[name]}", user(name, title)), (200,))

    def patch_user(self, users, _groups):
        name = self.rng.choice(sorted(users))
        title, active = f"c{self.rng.randrange(1000)}", self.rng.random() < 0.5
        operation = patch({"op": "replace", "value": {"title": title, "active": active}})
        self.send([(self.model.users, name, (title, active))],
                  lambda: self.client.call("PATCH", f"/Users/{self.ids[name]}", operation), (200, 204))

    def delete_user(self, users, groups):
        name = self.rng.choice(sorted(users))
        changes = [(self.model.users, name, None)]
        changes += [(self.model.groups, title, members - {name}) for title, members in groups.items() if name in members]
        self.send(changes, lambda: self.client.call("DELETE", f"/Users/{self.ids[name]}"), (204,))

    def create_group(self, users, _groups):
        name = self.new_name("g")
        members = self.rng.sample(sorted(users), min(len(users), 3))
        answer = self.send([(self.model.groups, name, frozenset(members))],
                           lambda: self.client.call("POST", "/Groups", group(name, [self.ids[one] for one in members])), (201,))
        if answer.status == 201:
            self.ids[name] = answer.json["id"]

    def change_members(self, users, groups):
        name = self.rng.choice(sorted(groups))
        members = groups[name]
        others = sorted(set(users) - members)
        if others and len(members) < MEMBER_LIMIT and self.rng.random() < 0.6:
            added = self.rng.sample(others, min(len(others), 2))
            operation = {"op": "add", "path": "members", "value": [{"value": self.ids[one]} for one in added]}
            new = members | set(added)
        elif members:
            removed = self.rng.choice(sorted(members))
            operation = {"op": "remove", "path": f'members[value eq "{self.ids[removed]}"]'}
            new = members - {removed}
        else:
            return
        self.send([(self.model.groups, name, frozenset(new))],
                  lambda: self.client.call("PATCH", f"/Groups/{self.ids[name]}", patch(operation)), (200, 204))

    def delete_group(self, _users, groups):
        name = self.rng.choice(sorted(groups))
        self.send([(self.model.groups, name, None)],
                  lambda: self.client.call("DELETE", f"/Groups/{self.ids[name]}"), (204,))

    def call_bulk(self, users, groups):
        """Each operation of a Bulk request has its own outcome."""
        names = [self.new_name("b") for _ in range(3)]
        operations = [{"method": "POST", "path": "/Users", "bulkId": name, "data": user(name, "bulk")} for name in names]
        changes = [(self.model.users, name, ("bulk", True)) for name in names]
        free = sorted(set(users) - {member for members in groups.values() for member in members})
        if free:
            victim = self.rng.choice(free)
            operations.append({"method": "DELETE", "path": f"/Users/{self.ids[victim]}"})
            changes.append((self.model.users, victim, None))
        before = [table.get(name, {None}) for table, name, _ in changes]
        answer = self.send(changes, lambda: self.client.call("POST", "/Bulk", bulk(*operations)), (200,))
        if answer.status != 200:
            return
        results = answer.json["Operations"]
        for (table, name, _), old, result in zip(changes, before, results, strict=False):
            if str(result["status"]) in ("201", "204"):
                if str(result["status"]) == "201":
                    self.ids[name] = result["location"].rsplit("/", 1)[1]
            elif str(result["status"]) in ("429", "503", "507"):
                is_unknown = "unknown whether" in str(result)
                table[name] = {*old, *table[name]} if is_unknown else old
            else:
                raise Failure(f"Bulk {name}: unexpected {result}")
        for (table, name, _), old in list(zip(changes, before, strict=True))[len(results):]:
            table[name] = old

    def use_key(self, _users, _groups):
        """A management call with an Idempotency-Key, and its deletion."""
        mine = [name for name, states in list(self.model.keys.items())
                if name.startswith(self.label + "-") and only(states) and name in self.ids]
        if len(mine) > 3:
            name = self.rng.choice(sorted(mine))
            self.send([(self.model.keys, name, None)],
                      lambda: self.api.call("DELETE", f"{API}/api-keys/{self.ids[name]}"), (200, 204))
            return
        name = self.new_name("k")
        body = {"name": name, "permissions": ["directory.read"]}
        headers = {"Idempotency-Key": f"key-{name}"}
        answer = self.send([(self.model.keys, name, True)],
                           lambda: self.api.call("POST", API + "/api-keys", body, headers), (200, 201))
        if answer.status in (200, 201):
            self.ids[name] = answer.json["clientId"]


class Feed:
    """A consumer of the event feed that continues after each restart."""

    def __init__(self, configuration):
        self.configuration = configuration
        self.after, self.last, self.users, self.groups, self.created = "0", 0, {}, {}, {}

    def read(self, api):
        while True:
            page = api.expect(200, "GET", f"{API}/events?configuration={self.configuration}&after={self.after}&limit=1000")
            for event in page["events"]:
                self.apply(event)
            self.after = page["nextAfter"]
            if not page["hasMore"]:
                return

    def apply(self, event):
        kind, ident, data = event["kind"], event["resourceId"], event["data"]
        if event["seq"] <= self.last:
            raise Failure(f"event {event['seq']} was sent again after {self.last}")
        self.last = event["seq"]
        table = self.users if event["resourceType"] == "User" else self.groups
        if kind in ("user.created", "group.created", "user.restored", "group.restored"):
            if ident in table:
                raise Failure(f"the feed creates {ident} twice")
            after = data["after"]
            table[ident] = dict(after) if table is self.users else {"displayName": after["displayName"], "members": set()}
        elif kind in ("user.updated", "user.deactivated", "user.reactivated"):
            for path in data["changed"]:
                if path in data["after"]:
                    self.users[ident][path] = data["after"][path]
                else:
                    self.users[ident].pop(path, None)
        elif kind in ("user.deleted", "group.deleted"):
            if table.pop(ident, None) is None:
                raise Failure(f"the feed deletes {ident}, which it did not create")
            if table is self.users:
                for one in self.groups.values():
                    one["members"].discard(ident)
        elif kind in ("group.member_added", "group.member_removed"):
            values = {one["value"] for one in data["members"]}
            members = self.groups[ident]["members"]
            self.groups[ident]["members"] = members | values if kind.endswith("added") else members - values


def read_all(api, path):
    """All items of a list of the management API."""
    items, cursor = [], ""
    while cursor is not None:
        page = api.expect(200, "GET", f"{path}{'&' if '?' in path else '?'}limit=1000&cursor={cursor}")
        items += page["items"]
        cursor = page["nextCursor"]
    return items


def read_scim(client, kind):
    """All resources of a kind by `startIndex`, and the total that the server reports."""
    found, total = [], None
    while total is None or len(found) < total:
        page = client.expect(200, "GET", f"/{kind}?count=200&startIndex={len(found) + 1}")
        total = page["totalResults"]
        found += page.get("Resources", [])
        if not page.get("Resources"):
            break
    if total != len(found):
        raise Failure(f"/{kind} reports {total} resources and lists {len(found)}")
    return found


def compare(model, feed, client, api):
    """Compares lists, members, counters, feed and keys with the model, which then holds what was found."""
    users, groups = read_scim(client, "Users"), read_scim(client, "Groups")
    names = {one["id"]: one["userName"] for one in users}
    found_users = {one["userName"]: (one.get("title"), one.get("active")) for one in users}
    found_groups = {}
    for one in groups:
        members = one.get("members") or []
        unknown = [member["value"] for member in members if member["value"] not in names]
        if unknown:
            raise Failure(f"group {one['displayName']} has members that do not exist: {unknown}")
        found_groups[one["displayName"]] = frozenset(names[member["value"]] for member in members)
    if len(found_users) != len(users) or len(found_groups) != len(groups):
        raise Failure("a name exists twice")
    found_keys = {}
    ids = {}
    for one in read_all(api, API + "/api-keys"):
        if "-" in one["name"]:
            found_keys[one["name"]] = found_keys.get(one["name"], 0) + 1
            ids[one["name"]] = one["clientId"]
    compare_table("user", model, model.users, found_users)
    compare_table("group", model, model.groups, found_groups)
    compare_table("API key", model, model.keys, {name: True if count == 1 else f"{count} times" for name, count in found_keys.items()})
    compare_feed(feed, api, (users, groups, names))
    return ids | {one["userName"]: one["id"] for one in users} | {one["displayName"]: one["id"] for one in groups}


def compare_table(what, model, table, found):
    for name in sorted({*table, *found}):
        states, present = table.get(name, {None}), found.get(name)
        if present not in states:
            expected = [show(state) for state in states]
            raise Failure(f"{what} {name} is {show(present)}, acknowledged: {expected}; last operations: {model.history.get(name)}")
    table.clear()
    table.update({name: {state} for name, state in found.items()})


def compare_feed(feed, api, found):
    users, groups, names = found
    feed.read(api)
    if set(feed.users) != set(names):
        raise Failure(f"users of the feed and of the list differ: {sorted(set(feed.users) ^ set(names))[:5]}")
    for one in users:
        replayed = feed.users[one["id"]]
        if (replayed.get("title"), replayed.get("active")) != (one.get("title"), one.get("active")):
            raise Failure(f"the feed gives {replayed} for user {one['userName']}, the list {one}")
    for one in groups:
        listed = {member["value"] for member in one.get("members") or []}
        if feed.groups.get(one["id"], {"members": None})["members"] != listed:
            raise Failure(f"members of group {one['displayName']} differ between feed and list")
    if set(feed.groups) != {one["id"] for one in groups}:
        raise Failure("groups of the feed and of the list differ")
    rows = read_all(api, f"{API}/configurations/scim2/{feed.configuration}/users")
    if {one["id"] for one in rows} != set(names):
        raise Failure("users of the management API and of SCIM differ")
    quotas = api.expect(200, "GET", f"{API}/configurations/scim2/{feed.configuration}/quotas")
    usage = find_usage(quotas)
    members = sum(len(one.get("members") or []) for one in groups)
    for name, expected in (("users", len(users)), ("groups", len(groups)), ("members", members)):
        if usage.get(name, expected) != expected:
            raise Failure(f"the counter of {name} is {usage[name]}, there are {expected}")


def find_usage(quotas):
    """Current values of the counters."""
    return {one["quota"]: one["used"] for one in quotas["quotas"]}
