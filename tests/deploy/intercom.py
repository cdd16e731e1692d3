"""The simulated Intercom in its own process, and the expected values of its users."""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

COMMAND = Path("target/debug/intercom-bulk")
TOKEN = "dG9rOnRlc3Q="
LATENCY_MS = 20
# The number of users that the simulator lists at once.
LISTED = 1000


class Intercom:
    """A running simulator."""

    def __init__(self, users, port=0, faults=(), limit=None, latency_ms=LATENCY_MS, log="target/deploy/intercom.log"):
        arguments = [
            COMMAND, "simulate", "--port", str(port), "--users", str(users), "--token", TOKEN,
            "--latency-ms", str(latency_ms), "--scroll-ttl-s", "20", "--job-delay-s", "1",
        ]  # fmt: skip
        if limit:
            arguments += ["--rate-limit-per-10s", str(limit)]
        for fault in faults:
            arguments += ["--fault", fault]
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://127.0.0.1:"):
            raise RuntimeError(f"the simulator said: {line!r}; see {log}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def _get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def state(self):
        return self._get("/_simulator/state")

    def users(self):
        found = []
        while True:
            after = f"&after={found[-1]['id']}" if found else ""
            page = self._get(f"/_simulator/users?limit={LISTED}{after}")
            found += page
            if len(page) < LISTED:
                return found

    def freeze(self):
        """Simulates an outage: requests are accepted and not answered."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def wanted(plan, user):
    """Returns the attribute and value of a plan for a user, by a second implementation.

    Returns `None` if the plan skips the user.
    """
    if plan == "has-avatar":
        image = (user.get("avatar") or {}).get("image_url")
        return "has avatar", bool((image or "").strip()) and "gravatar.com" not in image.lower()
    if plan == "plan-price":
        prices = {"free": 0, "starter": 49, "Pro Plus": 99}
        price = prices.get((user["custom_attributes"] or {}).get("plan"))
        return None if price is None else ("plan_price", price)
    raise ValueError(plan)


def wrong_users(plan, users):
    """Returns the ids of users without the plan's value."""
    wrong = []
    for user in users:
        target = wanted(plan, user)
        if target and user["custom_attributes"].get(target[0]) != target[1]:
            wrong.append(user["id"])
    return wrong
