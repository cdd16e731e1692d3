"""Builds, deploys, runs the scenarios on stacks, and computes the cost on AWS."""

import json
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

import cost
import mixed
import stack as stacks
from emulator import Emulator
from intercom import Intercom
from ledger import Ledger
from scenarios import LANES

STATE = Path("target/deploy/state")
# Shorter than Intercom's minute, so that a new generation begins sooner; the simulator's is 20 s.
SCROLL_LIFE_S = 22
JOB_LIFE_S = 30

# A message by which submit reports its format.
HELLO_BODY = '{"v": 2, "hello": true}'
HELLO_RECORD = {"messageId": "hello", "receiptHandle": "hello", "body": HELLO_BODY, "attributes": {"ApproximateReceiveCount": "1"}}
HELLO = json.dumps({"Records": [HELLO_RECORD]})


class Bench:
    """The resources of a lane's scenarios."""

    def __init__(self, name, release=stacks.THIS):
        self.release = release
        self.state = STATE / name
        self.emulator = Emulator(self.state)
        self.intercom = None
        self.tick_calls = self.run_calls = Counter()
        self.run_users = self.run_bytes = 1
        self.run_cpu = {}

    def world(self, users, **options):
        """Starts a new workspace at the old address."""
        port = self.intercom.port if self.intercom else 0
        if self.intercom:
            self.intercom.stop()
        self.intercom = Intercom(users, port=port, log=self.state / "intercom.log", **options)

    def deploy(self):
        self.world(1)
        self.stack = stacks.Stack(self.emulator)
        workspace = {"IntercomBaseUrl": self.intercom.url, "IntercomApi": "1.4"}
        times = {"ScrollLifeS": SCROLL_LIFE_S, "JobLifeS": JOB_LIFE_S}
        seconds = self.stack.deploy(self.release, **workspace, **times, AlarmEmail="operator@example.com")
        self.ledger = Ledger(self.stack)
        for plan in ("has-avatar", "plan-price"):
            self.stack.command("put", f"plans/{plan}.toml")
        if self.release is stacks.THIS:
            # A start waits until submit and check have reported their format, each with its first invocation.
            self.stack.invoke("Submit", HELLO)
            self.tick()
        return seconds

    def tick(self):
        """Invokes what the schedules invoke every minute."""
        for function in ("Scroll", "Check"):
            self.stack.invoke(function, '{"tick": {}}')

    def cpu(self):
        return {function: self.emulator.cpu_seconds(function.capitalize()) for function in stacks.FUNCTIONS}

    def close(self):
        self.emulator.stop()
        if self.intercom:
            self.intercom.stop()


class Lane(threading.Thread):
    """Runs scenarios one after the other, on their own stack."""

    def __init__(self, number, scenarios, release):
        super().__init__(daemon=True)
        self.scenarios = scenarios
        self.bench = Bench(f"lane-{number}", release)
        self.number = number
        self.failed = None

    def say(self, line):
        print(f"[{self.number}] {line}", flush=True)

    def run(self):
        try:
            seconds = self.bench.deploy()
            self.say(f"deployed in {seconds:.1f} s: {len(self.bench.stack.resources())} resources")
            for scenario in self.scenarios:
                self.one(scenario)
        except BaseException:
            self.failed = traceback.format_exc()
            self.say(f"FAILED\n{self.failed}{self.bench.emulator.warnings()}")

    def one(self, scenario):
        begun = time.monotonic()
        self.say(f"{scenario.__name__}: {scenario.__doc__.splitlines()[0]}")
        said = scenario(self.bench)
        self.say(f"  {scenario.__name__}: ok in {time.monotonic() - begun:.0f} s: {said}")
        denied = {name: n for name, n in self.bench.emulator.calls().items() if name.startswith("denied.")}
        if denied:
            raise AssertionError(f"a role lacks what its function does: {denied}")


def tell(sizes, began):
    sizes = ", ".join(f"{function} {size / 1e6:.2f} MB" for function, size in sizes.items())
    print(f"built in {time.monotonic() - began:.0f} s: {sizes}", flush=True)


def chosen(all_lanes, arguments):
    """Returns the lanes with the requested scenarios; all of them without a name."""
    everyone = [scenario for lane in all_lanes for scenario in lane]
    if "--list" in arguments:
        for scenario in everyone:
            print(f"{scenario.__name__:<24} {scenario.__doc__.splitlines()[0]}")
        raise SystemExit(0)
    names = [scenario.__name__ for scenario in everyone]
    unknown = [name for name in arguments if name not in names]
    if unknown:
        raise SystemExit(f"no scenario {unknown[0]}; there are {', '.join(names)}")
    lanes = [[s for s in lane if not arguments or s.__name__ in arguments] for lane in all_lanes]
    return [lane for lane in lanes if lane]


def bill(bench):
    memory = cost.memory_gb(Path("template.yaml").read_text())
    names = ("invocations.", "seconds.", "units.", "batches", "DynamoDB", "AmazonSQS", "AmazonSSM", "errors.")
    print(f"Calls of the run of {bench.run_users} users, its ticks included:")
    for name, number in sorted(bench.run_calls.items()):
        if name.startswith(names):
            print(f"  {name:<40} {number:10.1f}")
    print(f"  processor seconds: {', '.join(f'{k} {v:.2f}' for k, v in bench.run_cpu.items())}")
    run = cost.Run(bench.run_calls, bench.run_users, bench.run_cpu, memory)
    for limit in (cost.LIMIT_NOW, cost.LIMIT_2016):
        print(cost.table(f"A million users, {run.assumptions(limit)}:", run.dollars(limit)))
    metrics = sum(name.startswith("metric.") for name in bench.emulator.calls())
    print(f"  and ${cost.metrics_of_an_hour(metrics):.4f} an hour for {metrics} metrics, while a run lasts")
    gigabytes, dollars = cost.kept(bench.run_bytes, bench.run_users)
    print(f"  and {gigabytes:.2f} GB in the table for 90 days, ${dollars:.2f} a month")
    alarms = Path("infra/watch.yaml").read_text().count("Type: AWS::CloudWatch::Alarm")
    print(cost.table("A month without a run:", cost.idle(bench.tick_calls, memory, alarms)))


def main():
    # End the child processes on SIGTERM.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    is_mixed = "--mixed" in sys.argv
    names = [argument for argument in sys.argv[1:] if argument not in ("--built", "--mixed", "--zips")]
    todo = chosen(mixed.LANES if is_mixed else LANES, names)
    release = mixed.earlier("--built" in sys.argv) if is_mixed else stacks.THIS
    began = time.monotonic()
    tell(stacks.sizes() if "--built" in sys.argv else stacks.build(), began)
    if "--zips" in sys.argv:
        return
    shutil.rmtree(STATE, ignore_errors=True)
    lanes = []
    try:
        lanes += [Lane(number, scenarios, release) for number, scenarios in enumerate(todo, 1)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        for lane in lanes:
            if lane.bench.run_calls:
                bill(lane.bench)
    finally:
        for lane in lanes:
            lane.bench.close()
    if any(lane.failed for lane in lanes):
        raise SystemExit(f"deploy test: failed after {time.monotonic() - began:.0f} s; logs and state: {STATE}")
    print(f"deploy test: all good in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
