"""Scenarios with functions of two versions: an update and a rollback while a run goes on."""

import json
import subprocess
import time
from pathlib import Path

from ledger import wait_for
from scenarios import start, turned
from stack import THIS, ZIPS, Release
from truth import answers_are_recorded, check, complete, ended, nothing_waits

# The last version that writes format 1: the parent of "Keep parts in the ledger before they are in the
# queue". Its functions know that there may be a newer format, but not this one.
COMMIT = "c3410666"
EARLIER = Release("earlier", Path("target/deploy/earlier"), ZIPS.with_name(f"{ZIPS.name}-earlier"), ("scroll", "submit", "check"))
# Time that the earlier functions get with a newer run: more than a tick, and two receives of a message.
ROLLED_BACK_S = 100


def earlier(is_built):
    """Returns the earlier version. Builds it, unless `is_built`."""
    if not is_built:
        EARLIER.source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", COMMIT], check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", str(EARLIER.source)], check=True, input=archive)
        EARLIER.build()
    return EARLIER


def deploy(bench, release, **parameters):
    """Deploys a version, and waits until invocations of the one before have ended."""
    if bench.stack.release is release and parameters.items() <= bench.stack.parameters.items():
        return
    there = [pid for function in ("Scroll", "Submit", "Check") for pid in bench.emulator.functions(function)]
    bench.stack.update(release, **parameters)

    def gone():
        return not set(there) & {pid for f in ("Scroll", "Submit", "Check") for pid in bench.emulator.functions(f)}

    wait_for("the end of invocations of the version before", gone)


def updated_in_mid_run(bench):
    """Deploys this version over the earlier one during a run: the run ends in format 1, complete."""
    bench.world(2000, limit=400, faults=["slow-pages=2"])
    deploy(bench, EARLIER, IntercomApi="1.4")
    run = start(bench, "has-avatar")
    turned(bench, run, 5)
    wait_for("jobs", lambda: bench.intercom.state()["jobs"])
    deploy(bench, THIS)
    row = bench.ledger.row(run, "RUN")
    check((row["v"], row["state"]) == (1, "running"), f"not in mid-run: {row}")
    page, jobs = bench.ledger.row(run, "CURSOR")["page"], len(bench.ledger.jobs(run))
    row = ended(bench, run)
    complete(bench, row, "has-avatar", bench.intercom.state()["jobs"])
    check(row["v"] == 1, f"the run changed its format: {row}")
    nothing_waits(bench)
    return f"updated at page {page} after {jobs} jobs; complete in generation {row['generation']}"


def written(bench):
    """Returns the numbers of what was read from and written to the workspace."""
    state = bench.intercom.state()
    return len(state["jobs"]), state["items"], state["pages"], state["contacts"]["lists"], state["contacts"]["written"]


def roll_back(bench, run, state, version=2):
    """Deploys the earlier version for some time, during or after a run of this one: it leaves the
    run, of this format version, and a later start as they are."""
    # A parameter that the earlier version refuses would fail each invocation.
    deploy(bench, EARLIER, IntercomApi="1.4")
    row = bench.ledger.row(run, "RUN")
    check((row["v"], row["state"]) == (version, state), f"not in mid-run: {row}")
    second = json.loads(bench.stack.command("start", "plan-price", "--json"))["run"]

    def items():
        return sorted((i for i in bench.ledger.items() if i["pk"] != "BUDGET"), key=lambda i: (i["pk"], i["sk"]))

    stored, done, before = items(), written(bench), bench.emulator.calls()
    until = time.monotonic() + ROLLED_BACK_S
    while time.monotonic() < until:
        bench.tick()
        time.sleep(5)
    calls = bench.emulator.calls() - before
    changed = [item for item in items() if item not in stored] + [item for item in stored if item not in items()]
    check(not changed, f"the earlier version changed {changed}")
    check(written(bench) == done, f"the earlier version requested users: {done}, then {written(bench)}")
    for queue in ("Pages", "Patches"):
        found = bench.stack.dead_letters(queue, take=False)
        check(not found, f"dead letters of {queue}: {found}")
    failed = {name: n for name, n in calls.items() if name.startswith("errors.")}
    check(not failed, f"invocations failed: {failed}")
    check(calls["metric.LeftForNewer"] > 0, f"the earlier version met nothing: {calls}")
    check(bench.stack.depth("PagesQueueUrl") > 0, "a message of the pages queue was deleted")
    return second, calls["metric.LeftForNewer"]


def rolled_back(bench):
    """Rolls back during a run and updates again: nothing is lost, and the run ends complete."""
    bench.world(2000, limit=400, faults=["slow-pages=2"])
    deploy(bench, THIS, IntercomApi="1.4")
    run = start(bench, "has-avatar")
    # The first start after an update waits until submit and check have reported their format.
    turned(bench, run, 5)
    wait_for("jobs", lambda: bench.intercom.state()["jobs"])
    second, left = roll_back(bench, run, "running")
    firsts = len(bench.intercom.state()["jobs"])
    deploy(bench, THIS)
    row = ended(bench, run)
    mine = set(bench.ledger.jobs(run))
    complete(bench, row, "has-avatar", [job for job in bench.intercom.state()["jobs"] if job["id"] in mine])
    later = ended(bench, second)
    complete(bench, later, "plan-price", [job for job in bench.intercom.state()["jobs"] if job["id"] not in mine])
    nothing_waits(bench)
    return f"{firsts} jobs before the rollback of {len(mine)}, {left} times left to the newer version; complete in generation {row['generation']}"


def rolled_back_contacts(bench):
    """Rolls back during a run on API 2.17 and updates again: it goes on at its page."""
    users = 3000
    bench.world(users, limit=400, latency_ms=1000)
    deploy(bench, THIS, IntercomApi="2.17")
    run = start(bench, "has-avatar")
    turned(bench, run, 5)
    wait_for("writes", lambda: bench.intercom.state()["contacts"]["written"])
    second, left = roll_back(bench, run, "running", version=3)
    before = bench.intercom.state()["contacts"]
    # A run keeps its API, whatever the parameter says.
    deploy(bench, THIS)
    row = ended(bench, run)
    complete(bench, row, "has-avatar")
    seen = bench.intercom.state()["contacts"]
    answers_are_recorded(bench, row, seen["written"])
    check(row["generation"] == 1, f"generation {row['generation']} began after the update")
    check(seen["listed_distinct"] == users and seen["listed"] < users + 160, f"pages were read again: {seen}")
    complete(bench, ended(bench, second), "plan-price", bench.intercom.state()["jobs"])
    nothing_waits(bench)
    return f"{before['written']} writes before the rollback of {seen['written']}, {left} times left to the newer version, one generation"


def started_after_a_rollback(bench):
    """Starts a run after a rollback, behind an ended run: the start waits for the newer version.

    The earlier version cannot know whether the jobs of the run before have ended.
    """
    bench.world(200)
    deploy(bench, THIS, IntercomApi="1.4")
    run = start(bench, "has-avatar")
    complete(bench, ended(bench, run), "has-avatar", bench.intercom.state()["jobs"])
    mine = set(bench.ledger.jobs(run))
    second, left = roll_back(bench, run, "complete")
    check(bench.ledger.row(second, "RUN") is None, "the earlier version began a run")
    deploy(bench, THIS)
    row = ended(bench, second)
    complete(bench, row, "plan-price", [job for job in bench.intercom.state()["jobs"] if job["id"] not in mine])
    nothing_waits(bench)
    return f"the start was left {left} times to the newer version"


# As in scenarios.py.
LANES = [[updated_in_mid_run, rolled_back], [rolled_back_contacts, started_after_a_rollback]]
