#!/usr/bin/env python3
"""Measures the cost of a signal or a pause at any moment of a run on a laptop, and checks that nothing is lost.

For each moment and signal, starts a simulated workspace and `run` on it, each in its own process.
Sends the signal, waits for the end of the process, and starts the same command again. The moments are
spread evenly over the time of an undisturbed run. Prints for each signal the median, the 90th
percentile and the maximum of:

  ends      seconds from the signal to the end of the process
  goes on   seconds from the restart to its first request for a page or a bulk job
  lost      seconds from the first start to the run's end, less those of an undisturbed run
  read      users in pages beyond those of an undisturbed run
  sent      patches beyond those of an undisturbed run

Fails if a restarted run is not complete, if its numbers are wrong, if a user lacks the value, if a
process ends with another code than 130 after SIGTERM or SIGHUP, or if a restart does not say at once
that it waits. Before its first request for a page, the signal itself may end the process. It needs
only Python's library.

  cargo build --workspace --bins
  tests/kill/kill.py [--api 1.4|2.17|preview] [--moments 50] [--json] [--binary target/debug/intercom-bulk]

`--signals pause` pauses the run instead, by a second process, and resumes it.

Seconds depend on the machine: measure two versions with the same --together, on an idle machine.
"""

import argparse
import concurrent.futures
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "plans" / "has-avatar.toml"
ATTRIBUTE = "has avatar"
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "hup": signal.SIGHUP}
# A pause is a command and no signal.
PAUSE = "pause"
# The requests for pages and for writes, by API.
REQUESTS = {
    "1.4": ("GET /users/scroll", "POST /bulk/users"),
    "2.17": ("GET /contacts", "PUT /contacts/{id}"),
    "preview": ("GET /contacts", "PUT /contacts/bulk"),
}
FIGURES = ["ends_s", "goes_on_s", "lost_s", "read_twice", "sent_twice"]

# The codes of a command that a signal stopped, and that its run's pause ended.
INTERRUPTED = 130
PAUSED = 4
# Undisturbed runs, of which the median counts: before the moments, and between them.
UNDISTURBED_FIRST = 4
UNDISTURBED_EVERY = 12
# The time between two reads of the workspace's state.
POLL_S = 0.05
# A restart that goes on later than this must have named its wait by then. The command has to start.
SILENT_S = 3
# A command that takes longer hangs.
PATIENCE_S = 180
# A long wait is named by its time of day, a short one by its seconds.
WAITS = re.compile(r"until \d\d:\d\d:\d\d UTC|waits \d+ s: ")


class Workspace:
    """A simulated workspace in its own process, and a folder for the command's state."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.folder = tempfile.TemporaryDirectory()
        # Otherwise the command would use the state of a parent folder.
        (Path(self.folder.name) / ".bulk").mkdir()
        command = [arguments.simulator, "simulate", "--port", "0", "--json", "--users", arguments.users]
        command += ["--latency-ms", arguments.latency_ms, "--job-delay-s", arguments.job_delay_s]
        command += ["--rate-limit-per-10s", arguments.rate_limit, "--scroll-ttl-s", arguments.scroll_life_s]
        command += ["--option", "job-life-s=%d" % arguments.job_life_s]
        words = [str(word) for word in command]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.address = json.loads(self.process.stdout.readline())["address"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()

    def get(self, path):
        with urllib.request.urlopen("%s/_simulator/%s" % (self.address, path), timeout=30) as answer:
            return json.load(answer)

    def requests(self):
        """Returns the numbers of requests for pages and writes."""
        requests = self.get("state")["requests"]
        return tuple(requests.get(name, 0) for name in REQUESTS[self.arguments.api])

    def counts(self):
        """Returns the numbers of users in pages beyond one delivery of each, and of patches."""
        state = self.get("state")
        contacts, (_, writes) = state["contacts"], self.requests()
        again = state["pages_users"] - state["pages_distinct_users"]
        again += contacts["listed"] - contacts["listed_distinct"]
        return again, writes if self.arguments.api == "2.17" else state["items"]

    def values(self):
        """Returns the attribute's value of each user."""
        users = self.get("users?limit=1000000")
        return {user["id"]: user["custom_attributes"].get(ATTRIBUTE) for user in users}

    def start(self, *words):
        """Starts a command on this workspace."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("INTERCOM_")}
        variables |= {
            "INTERCOM_BASE_URL": self.address,
            "INTERCOM_TOKEN": "kill",
            "INTERCOM_API": self.arguments.api,
            "INTERCOM_SCROLL_LIFE_S": str(self.arguments.scroll_life_s),
            "INTERCOM_JOB_LIFE_S": str(self.arguments.job_life_s),
        }
        return Command([self.arguments.binary, *words], variables, self.folder.name)

    def run(self):
        """Starts the plan's run. The simulated list shows writes at once, so it is not waited for."""
        return self.start("run", self.arguments.plan, *(() if self.arguments.api == "1.4" else ("--no-wait",)))

    def read(self, *words):
        """Returns the objects that a command prints, one on each line."""
        command = self.start(*words, "--json")
        command.wait()
        return [json.loads(line) for line in command.printed]


class Command:
    """A command in its own process, and the time of each line that it prints."""

    def __init__(self, words, variables, folder):
        self.began = time.monotonic()
        words = [str(word) for word in words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(words, env=variables, cwd=folder, **pipes)
        self.printed, self.said = [], []
        streams = [(self.process.stdout, self.printed.append), (self.process.stderr, self.say)]
        self.readers = [threading.Thread(target=self.read, args=stream) for stream in streams]
        for reader in self.readers:
            reader.start()

    def read(self, stream, use):
        with stream:
            for line in stream:
                use(line.strip())

    def say(self, line):
        self.said.append((time.monotonic() - self.began, line))

    def wait(self):
        """Waits for the end, and returns the exit code."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("it does not end: %s" % self.said[-5:]) from None
        finally:
            for reader in self.readers:
                reader.join()
        return code

    def names_a_wait_by(self, seconds):
        """Returns whether it has said by then until when it waits."""
        return any(at <= seconds and WAITS.search(line) for at, line in self.said)


def undisturbed(arguments):
    """Returns the seconds, the patches and the users' values of a run without a signal."""
    workspace = Workspace(arguments)
    try:
        run = workspace.run()
        code = run.wait()
        seconds = time.monotonic() - run.began
        if code != 0:
            raise RuntimeError("an undisturbed run ends with %s: %s" % (code, run.said[-3:]))
        again, patches = workspace.counts()
        return {"seconds": seconds, "again": again, "patches": patches, "values": workspace.values()}
    finally:
        workspace.close()


def goes_on(workspace, run, before):
    """Waits for the first request of a restarted run; `None` if it ends without one."""
    while workspace.requests() == before:
        if run.process.poll() is not None:
            return None
        time.sleep(POLL_S)
    return time.monotonic() - run.began


def disturbed(arguments, name, moment, usual):
    """Runs one story: a run, a signal at a fraction of its time, a restart. Returns its figures."""
    workspace = Workspace(arguments)
    try:
        first = workspace.run()
        time.sleep(moment * usual["seconds"])
        signalled = time.monotonic()
        if name == PAUSE:
            workspace.start(PAUSE).wait()
        else:
            first.process.send_signal(SIGNALS[name])
        code = first.wait()
        story = {"signal": name, "moment": moment, "ends_s": time.monotonic() - signalled, "code": code}
        time.sleep(arguments.pause_s)
        before = workspace.requests()
        second = workspace.start("resume") if code == PAUSED else workspace.run()
        story["had_begun"] = sum(before) > 0
        story["goes_on_s"] = goes_on(workspace, second, before)
        story["again_code"] = second.wait()
        total = time.monotonic() - first.began
        state, runs = workspace.get("state"), workspace.read("history")
        story["ended_before"] = len(runs) > 1
        story["lost_s"] = total - arguments.pause_s - usual["seconds"]
        again, patches = workspace.counts()
        story["read_twice"] = again - usual["again"]
        story["sent_twice"] = patches - usual["patches"]
        [summary] = workspace.read("status")
        story["jobs_possibly_lost"] = summary["totals"]["jobs_possibly_lost"]
        story["generation"] = summary["generation"]
        story["said"] = ["%.1f %s" % line for line in second.said]
        story["faults"] = list(faults(workspace, story, state, summary, second, usual))
        return story
    finally:
        workspace.close()


def faults(workspace, story, state, summary, second, usual):
    """Returns what a signal must not cause."""
    users = state["users_total"]
    signal_code = -SIGNALS.get(story["signal"], 0)
    by_itself = story["code"] == signal_code and (story["signal"] == "kill" or not story["had_begun"])
    if story["code"] != (PAUSED if story["signal"] == PAUSE else INTERRUPTED) and not by_itself and not story["ended_before"]:
        yield "the process ended with %s" % story["code"]
    if story["again_code"] != 0 or summary["state"] != "complete":
        yield "the run ended %s, with code %s" % (summary["state"], story["again_code"])
    counted = {figure: summary[figure] for figure in ["written", "unchanged", "skipped", "failed", "pending"]}
    if summary["users"] != users or sum(counted.values()) != users or counted["failed"] or counted["pending"]:
        yield "%d users, but %d were read: %s" % (users, summary["users"], counted)
    wrong = [user for user, value in workspace.values().items() if value != usual["values"].get(user)]
    if wrong:
        yield "%d users lack the value" % len(wrong)
    jobs = len(state["jobs"])
    totals = summary["totals"]
    if not story["ended_before"] and jobs > totals["jobs"] + totals["jobs_possibly_lost"]:
        yield "Intercom has %d jobs, the ledger %d, and %d possibly lost" % (
            jobs,
            totals["jobs"],
            totals["jobs_possibly_lost"],
        )
    if state["second_scrolls"] or state["over_limit"]:
        yield "%d second scrolls, %d requests over the limit" % (state["second_scrolls"], state["over_limit"])
    if (story["goes_on_s"] or 0) > SILENT_S and not second.names_a_wait_by(SILENT_S):
        yield "silent about a wait of %.1f s" % story["goes_on_s"]


def measure(arguments):
    """Returns the time of an undisturbed run, and all stories."""
    moments = [(number + 0.5) / arguments.moments for number in range(arguments.moments)]
    with concurrent.futures.ThreadPoolExecutor(arguments.together) as pool:
        plain = [pool.submit(undisturbed, arguments) for _ in range(UNDISTURBED_FIRST)]
        plain = [run.result() for run in plain]
        usual = dict(plain[0], seconds=statistics.median(run["seconds"] for run in plain))
        tasks, later = [], []
        for number, moment in enumerate(moments):
            for name in arguments.signals:
                tasks.append(pool.submit(disturbed, arguments, name, moment, usual))
            if number % UNDISTURBED_EVERY == UNDISTURBED_EVERY - 1:
                later.append(pool.submit(undisturbed, arguments))
        stories = []
        for task in tasks:
            stories.append(task.result())
            for fault in stories[-1]["faults"]:
                print("%(signal)s at %(moment).2f: " % stories[-1] + fault, file=sys.stderr, flush=True)
        plain += [run.result() for run in later]
    seconds = statistics.median(run["seconds"] for run in plain)
    for story in stories:
        story["lost_s"] += usual["seconds"] - seconds
    return {"undisturbed_s": seconds, "patches": usual["patches"], "stories": stories}


def spread(values):
    """Returns the median, the 90th percentile and the maximum."""
    values = sorted(values)
    if not values:
        return None
    return statistics.median(values), values[max(0, -(-len(values) * 9 // 10) - 1)], values[-1]


def show(arguments, measured):
    words = (measured["undisturbed_s"], arguments.users, measured["patches"])
    print("An undisturbed run takes %.1f s: %d users, %d patches. Median, 90th percentile, maximum:" % words)
    print("%-6s %8s %21s %21s %21s %21s %21s" % ("signal", "moments", "ends s", "goes on s", "lost s", "read", "sent"))
    for name in arguments.signals:
        stories = [story for story in measured["stories"] if story["signal"] == name and not story["ended_before"]]
        cells = []
        for figure in FIGURES:
            values = spread(story[figure] for story in stories if story[figure] is not None)
            form = "%7.1f%7.1f%7.1f" if figure.endswith("_s") else "%7d%7d%7d"
            cells.append(form % values if values else "")
        print("%-6s %8d %21s %21s %21s %21s %21s" % (name, len(stories), *cells))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=Path, default=ROOT / "target/debug/intercom-bulk")
    arguments.add_argument("--simulator", type=Path, help="the binary that simulates; by default the measured one")
    arguments.add_argument("--plan", type=Path, default=PLAN, help="an older binary needs a plan of its version")
    arguments.add_argument("--moments", type=int, default=50)
    arguments.add_argument("--signals", nargs="+", choices=[*SIGNALS, PAUSE], default=list(SIGNALS))
    arguments.add_argument("--api", choices=REQUESTS, default="1.4")
    arguments.add_argument("--together", type=int, default=4, help="stories at the same time")
    arguments.add_argument("--users", type=int, default=2_000)
    arguments.add_argument("--latency-ms", type=int, default=400)
    arguments.add_argument("--rate-limit", type=int, default=1_000_000, help="operations per 10 seconds")
    arguments.add_argument("--job-delay-s", type=int, default=2)
    arguments.add_argument("--scroll-life-s", type=int, default=3)
    arguments.add_argument("--job-life-s", type=int, default=10)
    arguments.add_argument("--pause-s", type=float, default=0, help="time before the restart; it does not count as lost")
    arguments.add_argument("--json", action="store_true")
    arguments = arguments.parse_args()
    arguments.binary = arguments.binary.resolve()
    arguments.plan = arguments.plan.resolve()
    arguments.simulator = (arguments.simulator or arguments.binary).resolve()
    missing = [str(path) for path in [arguments.binary, arguments.simulator] if not path.is_file()]
    if missing:
        sys.exit("not built: %s; see --help" % ", ".join(missing))
    measured = measure(arguments)
    if arguments.json:
        print(json.dumps(measured))
    else:
        show(arguments, measured)
    if any(story["faults"] for story in measured["stories"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
