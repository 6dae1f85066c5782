"""Rounds of load, crash, restart and comparison, which several judges share."""

import random
import threading
import time

from model import Feed, Model, Worker, compare
from server import Failure

WORKERS = 5


class Rounds:
    """A server with a model of what it acknowledged."""

    def __init__(self, context, server, site):
        self.context, self.server, self.site = context, server, site
        self.model, self.feed = Model(), Feed(site.configurations[0][0])
        self.ids, self.crashes = {}, 0
        self.workers, self.stop = [], threading.Event()

    def start_load(self):
        self.stop = threading.Event()
        self.workers = []
        for number in range(WORKERS):
            rng = random.Random(f"{self.context.seed} {self.context.name} {self.crashes} {number}")
            # Each crash has new random choices. Names are those of the worker, so that it continues with what it had.
            worker = Worker(self.model, f"w{number}", rng, (self.server.scim(self.site), self.server.api(self.site)), self.stop)
            worker.ids = dict(self.ids)
            worker.number = 1_000_000 * (self.crashes + 1)
            self.workers.append(worker)
        for worker in self.workers:
            worker.start()

    def end_load(self):
        """Waits for the workers, and raises what they found."""
        self.stop.set()
        for worker in self.workers:
            worker.join(60)
            if worker.is_alive():
                raise Failure("a request got no answer within 60 s")
            if worker.failure:
                raise worker.failure
        self.crashes += 1

    def compare(self):
        self.ids = compare(self.model, self.feed, self.server.scim(self.site), self.server.api(self.site))

    def run_load(self, seconds):
        """Load for a time, then a kill."""
        self.start_load()
        time.sleep(seconds)
        self.server.send_kill()
        self.server.kill()
        self.end_load()

    def summary(self, what):
        model = self.model
        return (f"{self.crashes} {what}, {model.acknowledged} acknowledged operations, 0 lost; "
                f"{model.unanswered} without an answer, {model.refused} refused")
