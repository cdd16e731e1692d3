#!/usr/bin/env python3
"""Compares `intercom-bulk run` with loops over Intercom's own clients on the simulator.

Each lists all contacts, compares them with the rule of plans/has-avatar.toml, and updates those
that differ. Every run has a simulator of its own with the same users. The loops are
tests/clients/node/loop.js and tests/clients/python-5.0/loop.py: an error of a write ends them, or
they skip its contact.

  cargo build --release --workspace --bin intercom-bulk
  tests/clients/run --install
  tests/clients/compare.py [--binary target/release/intercom-bulk] [--users 3000] [--latency-ms 110]

It prints two tables. Times are of undisturbed runs: first those with parallel requests, each alone,
then both sequential loops at once. CPU time and memory are of the client's process, from its start
to its end. The second table counts the users without the plan's value after one fault in the middle;
there sequential loops have a latency of 10 ms, which changes no count. It takes a quarter of an hour.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAN = "plans/has-avatar.toml"
ATTRIBUTE = "has avatar"
FAST_MS = 10
PATIENCE_S = 1800
# The simulator's faults in the middle of the writes, and of the pages.
FAULTS = {
    "429 to a write": "limit-call=write:{write}",
    "answer to a write lost": "lose-call=write:{write}",
    "write lost": "drop-call=write:{write}",
    "answer to a page lost": "lose-call=list:{page}",
}


class Simulator:
    """A simulator in a process of its own."""

    def __init__(self, options, latency_ms, fault=None):
        command = [options.simulator, "simulate", "--json", "--port", "0", "--users", str(options.users)]
        command += ["--latency-ms", str(latency_ms), "--option", "attribute=%s:boolean" % ATTRIBUTE]
        command += ["--option", "app-version=2.14"]
        command += ["--fault", fault] if fault else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = json.loads(self.process.stdout.readline())["address"]

    def get(self, path):
        with urllib.request.urlopen(self.address + "/_simulator/" + path, timeout=60) as answer:
            return json.load(answer)

    def missing(self):
        """Returns the number of users without the plan's value."""
        def right(user):
            url = ((user.get("avatar") or {}).get("image_url") or "").strip()
            wanted = bool(url) and "gravatar.com" not in url.lower()
            return user["custom_attributes"].get(ATTRIBUTE) is wanted

        return sum(not right(user) for user in self.get("users?limit=10000000"))

    def end(self):
        self.process.terminate()
        self.process.wait()


class Client:
    """A program that updates all contacts of a workspace."""

    def __init__(self, name, command, in_flight=1):
        self.name = name
        self.command = command
        self.in_flight = in_flight

    def run(self, address, folder, on_error):
        """Runs to the end. Returns wall and CPU seconds, memory in bytes, and the exit code."""
        arguments = {"address": address, "in_flight": self.in_flight, "on_error": on_error, "state": folder}
        command = [part.format(**arguments) for part in self.command]
        environment = {**os.environ, "INTERCOM_BASE_URL": address, "INTERCOM_TOKEN": "any", "INTERCOM_API": "2.17"}
        with open(Path(folder) / "output", "w") as output:
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=ROOT)
            killer = threading.Timer(PATIENCE_S, process.kill)
            killer.start()
            _, status, used = os.wait4(process.pid, 0)
            killer.cancel()
        wall_s = time.monotonic() - began
        return wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, os.waitstatus_to_exitcode(status)


def measured(options, client, latency_ms, fault=None, on_error="stop"):
    """Returns the resources of a run, its exit code, the users it missed, and the simulator's state."""
    simulator = Simulator(options, latency_ms, fault)
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = client.run(simulator.address, folder, on_error)
            shown = (Path(folder) / "output").read_text()
        state = simulator.get("state")
        if fault and not state["fired"].get(fault.split("=")[0]):
            raise SystemExit("%s: %s did not strike" % (client.name, fault))
        if not fault and (result[3] or simulator.missing()):
            raise SystemExit("%s failed without a fault:\n%s" % (client.name, shown[-2000:]))
        return result, simulator.missing(), state
    finally:
        simulator.end()


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def undisturbed(options, clients):
    parallel = [client for client in clients if client.in_flight != 1]
    sequential = [client for client in clients if client.in_flight == 1]
    results = {client.name: measured(options, client, options.latency_ms) for client in parallel}
    with ThreadPoolExecutor(len(sequential)) as pool:
        runs = pool.map(lambda client: measured(options, client, options.latency_ms), sequential)
        results.update(zip((client.name for client in sequential), runs))
    rows = []
    for client in clients:
        (wall_s, cpu_s, memory, _), _, state = results[client.name]
        rows.append([
            client.name,
            "%.0f s" % wall_s,
            "%.2f ms" % (1000 * cpu_s / options.users),
            "%.0f MB" % (memory / 1e6),
            str(state["contacts"]["written"]),
            str(sum(state["requests"].values())),
        ])
    table(["", "wall time", "CPU per contact", "memory", "writes", "requests"], rows)


def disturbed(options, clients):
    simulator = Simulator(options, 0)
    writes = simulator.missing()
    simulator.end()
    middle = {"write": writes // 2, "page": max(2, options.users // 150 // 2)}
    cases = []
    for client in clients:
        modes = [""] if client is clients[0] else ["stop", "skip"]
        cases += [(client, mode) for mode in modes]
    jobs = [(client, mode, fault.format(**middle)) for client, mode in cases for fault in FAULTS.values()]

    def outcome(job):
        client, mode, fault = job
        latency_ms = FAST_MS if client.in_flight == 1 else options.latency_ms
        (_, _, _, code), missing, _ = measured(options, client, latency_ms, fault, mode)
        return "%d%s" % (missing, "" if code == 0 else " (exit %d)" % code)

    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(outcome, jobs))
    rows = []
    for index, (client, mode) in enumerate(cases):
        name = client.name + {"": "", "stop": ", an error ends it", "skip": ", errors are skipped"}[mode]
        rows.append([name] + outcomes[index * len(FAULTS):(index + 1) * len(FAULTS)])
    table(["users without the value after", *FAULTS], rows)


def version(*command):
    return re.sub(r"\s+", " ", subprocess.check_output(command, text=True, cwd=ROOT)).strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/intercom-bulk")
    parser.add_argument("--simulator", help="another build of the same binary, for the simulator only")
    parser.add_argument("--users", type=int, default=3000)
    parser.add_argument("--latency-ms", type=int, default=110)
    parser.add_argument("--table", choices=["times", "faults"], help="only this one")
    parser.add_argument("--jobs", type=int, default=4, help="runs at once for the second table")
    options = parser.parse_args()
    options.binary = str((ROOT / options.binary).resolve())
    options.simulator = str((ROOT / options.simulator).resolve()) if options.simulator else options.binary
    node, python = (str(ROOT / "target/clients" / venv) for venv in ("node/bin/node", "python-5.0/bin/python"))
    loop = ["{address}", "{in_flight}", "{on_error}"]
    run = [options.binary, "run", PLAN, "--yes", "--no-wait", "--state", "{state}"]
    clients = [
        Client("intercom-bulk run", run, None),
        Client("intercom-client, 16 in flight", [node, "tests/clients/node/loop.js", *loop], 16),
        Client("python-intercom, 16 in flight", [python, "tests/clients/python-5.0/loop.py", *loop], 16),
        Client("intercom-client, one by one", [node, "tests/clients/node/loop.js", *loop]),
        Client("python-intercom, one by one", [python, "tests/clients/python-5.0/loop.py", *loop]),
    ]
    print("%d users, %d ms, node %s, %s\n" % (
        options.users, options.latency_ms, version(node, "--version"), version(python, "--version")), flush=True)
    if options.table != "faults":
        undisturbed(options, clients)
    if options.table != "times":
        disturbed(options, clients)


if __name__ == "__main__":
    sys.exit(main())
