"""Builds, deploys, puts the stack through its scenarios, and tells what it would cost on AWS."""

import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import cost
import stack as stacks
from emulator import Emulator
from intercom import Intercom
from ledger import Ledger
from scenarios import SCENARIOS

STATE = Path("target/deploy/state")
# Shorter than Intercom's minute, so that a new generation begins sooner; the simulator's scrolls live 20 s.
SCROLL_LIFE_S = 22
JOB_LIFE_S = 30


class Bench:
    """What a scenario works with."""

    def __init__(self):
        shutil.rmtree(STATE, ignore_errors=True)
        self.emulator = Emulator(STATE)
        self.intercom = None
        self.tick_calls = self.run_calls = Counter()
        self.run_users = self.run_bytes = 1

    def world(self, users, faults=()):
        """A new workspace at the old address."""
        port = self.intercom.port if self.intercom else 0
        if self.intercom:
            self.intercom.stop()
        self.intercom = Intercom(users, port=port, faults=faults)

    def deploy(self):
        self.world(1)
        self.stack = stacks.Stack(self.emulator)
        seconds = self.stack.deploy(
            IntercomBaseUrl=self.intercom.url, ScrollLifeS=SCROLL_LIFE_S, JobLifeS=JOB_LIFE_S, AlarmEmail="operator@example.com"
        )
        self.ledger = Ledger(self.stack)
        for plan in ("has-avatar", "plan-price"):
            self.stack.command("put", f"plans/{plan}.toml")
        return seconds

    def tick(self):
        """What the schedules do every minute."""
        for function in ("Scroll", "Check"):
            self.stack.invoke(function, '{"tick": {}}')

    def close(self):
        self.emulator.stop()
        if self.intercom:
            self.intercom.stop()


def chosen(arguments):
    names = [scenario.__name__ for scenario, _ in SCENARIOS]
    if arguments == ["--list"]:
        for scenario, in_ci in SCENARIOS:
            print(f"{scenario.__name__:<24} {'ci ' if in_ci else '   '} {scenario.__doc__}")
        raise SystemExit(0)
    unknown = [name for name in arguments if name not in [*names, "--all"]]
    if unknown:
        raise SystemExit(f"no scenario {unknown[0]}; there are {', '.join(names)}")
    if "--all" in arguments:
        return [scenario for scenario, _ in SCENARIOS]
    return [s for s, in_ci in SCENARIOS if (s.__name__ in arguments if arguments else in_ci)]


def bill(bench):
    memory = cost.memory_gb(bench.stack.template)
    names = ("invocations.", "seconds.", "units.", "batches", "DynamoDB", "AmazonSQS", "AmazonSSM", "errors.")
    print(f"Calls of the run of {bench.run_users} users, its ticks included:")
    for name, number in sorted(bench.run_calls.items()):
        if name.startswith(names):
            print(f"  {name:<40} {number:10.1f}")
    print(cost.table("A million users:", cost.of_run(bench.run_calls, bench.run_users, memory)))
    metrics = sum(name.startswith("metric.") for name in bench.emulator.calls())
    print(f"  and ${cost.metrics_of_an_hour(metrics):.4f} an hour for {metrics} metrics, while a run lasts")
    gigabytes, dollars = cost.kept(bench.run_bytes, bench.run_users)
    print(f"  and {gigabytes:.2f} GB in the table for 90 days, ${dollars:.2f} a month")
    alarms = Path("infra/watch.yaml").read_text().count("Type: AWS::CloudWatch::Alarm")
    print(cost.table("A month without a run:", cost.idle(bench.tick_calls, memory, alarms)))


def main():
    # So that the processes go when this one is told to.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    todo = chosen([argument for argument in sys.argv[1:] if argument != "--built"])
    began = time.monotonic()
    sizes = stacks.sizes() if "--built" in sys.argv else stacks.build()
    print(f"built in {time.monotonic() - began:.0f} s: {', '.join(f'{k} {v / 1e6:.2f} MB' for k, v in sizes.items())}")
    bench = Bench()
    try:
        print(f"deployed in {bench.deploy():.1f} s: {len(bench.stack.resources())} resources", flush=True)
        for scenario in todo:
            begun = time.monotonic()
            print(f"{scenario.__name__}: {scenario.__doc__}", flush=True)
            said = scenario(bench)
            print(f"  ok in {time.monotonic() - begun:.0f} s: {said}", flush=True)
            denied = {name: n for name, n in bench.emulator.calls().items() if name.startswith("denied.")}
            if denied:
                raise AssertionError(f"a role lacks what its function does: {denied}")
        if bench.run_calls:
            bill(bench)
        print(f"deploy test: all good in {time.monotonic() - began:.0f} s")
    except BaseException:
        print(f"logs and state: {STATE}", file=sys.stderr)
        raise
    finally:
        bench.close()


if __name__ == "__main__":
    main()
