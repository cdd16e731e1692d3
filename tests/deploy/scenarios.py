"""The scenarios for the deployed stack. Each leaves it idle, for the next."""

import json
import os
import signal
import threading
import time
from datetime import datetime, timedelta, timezone

from emulator import KILLS
from intercom import wanted, wrong_users
from ledger import wait_for
from stack import TOKEN_PARAMETER
from truth import answers_are_recorded, check, complete, ended, jobs_are_recorded, nothing_waits, told

# Recursive-loop detection stops a chain after this many invocations.
CHAIN_ALLOWED = 16


def settle(bench):
    """Waits until the runs before are settled."""

    def settled():
        waiting = [item for item in bench.ledger.items() if item["sk"].startswith("UNSETTLED#")]
        if waiting:
            bench.tick()
        return not waiting

    wait_for("the runs before to settle", settled, every=3.0)


def start(bench, plan, *flags):
    """Starts a run by a message to the pages queue, as the command does, and returns its id."""
    # The pages of a run wait for the jobs and requests of runs that were stopped.
    settle(bench)
    return json.loads(bench.stack.command("start", plan, *flags, "--json"))["run"]


def turned(bench, run, turns):
    """Waits until a run has read this many pages."""

    def look():
        row = bench.ledger.row(run, "CURSOR")
        return row and int(row["turn"]) >= turns

    wait_for(f"turn {turns} of {run}", look, every=0.2)


def reaches(bench, run, state):
    """Waits until a run is in this state. Ticks meanwhile, because a state may last for one tick only."""
    is_over = threading.Event()

    def tick():
        while not is_over.wait(3.0):
            bench.tick()

    threading.Thread(target=tick, daemon=True).start()
    try:
        wait_for(f"{run} {state}", lambda: bench.ledger.row(run, "RUN")["state"] == state, every=0.1)
    finally:
        is_over.set()


def rests(bench, run, state):
    """Pauses a run in this state for longer than its scroll lives, and resumes it. It sends nothing meanwhile."""
    reaches(bench, run, state)
    said = bench.stack.control("pause", run)
    check((said["did"], said["state"]) == ("paused", "paused"), f"control says {said} of a run that was {state}")
    # Requests under way are finished, and the ends of jobs are asked for.
    time.sleep(5)
    asked = bench.intercom.state()["requests"]
    time.sleep(25)
    bench.tick()
    more = {name: n - asked.get(name, 0) for name, n in bench.intercom.state()["requests"].items() if n > asked.get(name, 0)}
    check(not {name for name in more if "/jobs/" not in name}, f"requests of a run that was paused {state}: {more}")
    said = bench.stack.control("resume", run)
    check((said["did"], said["run"]) == ("resumed", run), f"control says {said}")


def rings(bench, alarm):
    """Checks that an alarm rings."""
    alarmed = bench.stack.aws["cloudwatch"].describe_alarms(StateValue="ALARM")["MetricAlarms"]
    names = [alarm["AlarmName"] for alarm in alarmed]
    check(f"{bench.stack.name} {alarm}" in names, f"alarms: {names}")


def schedule_and_message(bench):
    """Runs 5,000 users by schedule while a second start waits: all are patched, all jobs end."""
    users = 5000
    bench.world(users)
    # Ticks only, for the monthly cost. The second of each, because the first starts the process.
    bench.tick()
    begun = bench.emulator.calls()
    bench.tick()
    before = bench.emulator.calls()
    bench.tick_calls = before - begun

    cpu = bench.cpu()
    soon = datetime.now(timezone.utc) + timedelta(seconds=5)
    bench.stack.update(StartCron=f"at({soon:%Y-%m-%dT%H:%M:%S})", PlanName="has-avatar")
    run = wait_for("the schedule's run", lambda: next(iter(bench.ledger.runs()), None))
    check(run.startswith("has-avatar."), f"the schedule started {run}")
    second = start(bench, "plan-price")

    row = ended(bench, run, tick=False)
    after_first = bench.emulator.calls()
    state = bench.intercom.state()
    firsts = set(bench.ledger.jobs(run))
    complete(bench, row, "has-avatar", [job for job in state["jobs"] if job["id"] in firsts])
    cursor = bench.ledger.row(run, "CURSOR")
    check(int(cursor["turn"]) > CHAIN_ALLOWED, f"a chain of {cursor['turn']} turns proves nothing")
    check(int(row["totals"]["users"]) == users, f"{row['totals']['users']} users seen")
    bench.run_calls, bench.run_users, bench.run_bytes = after_first - before, users, bench.ledger.bytes()
    bench.run_cpu = {function: used - cpu[function] for function, used in bench.cpu().items()}
    metrics = {name.removeprefix("metric."): n for name, n in bench.run_calls.items() if name.startswith("metric.")}
    expected = {"Users": users, "JobItems": int(row["totals"]["patches"]), "Jobs": len(firsts), "RunsComplete": 1}
    check(expected.items() <= metrics.items(), f"metrics {metrics}, expected {expected}")
    told = json.loads(bench.stack.command("status", "--run", run, "--json"))
    check((told["state"], told["users"], told["jobs_open"]) == ("complete", users, 0), f"the command says {told}")

    row = ended(bench, second)
    state = bench.intercom.state()
    complete(bench, row, "plan-price", [job for job in state["jobs"] if job["id"] not in firsts])
    nothing_waits(bench)
    told_jobs = {job["id"] for job in state["jobs"]}
    check(told_jobs == firsts | set(bench.ledger.jobs(second)), "a job of Intercom's is in neither run")
    check(state["second_scrolls"] == 0, "a second scroll was opened")
    check(state["over_limit"] == 0, f"{state['over_limit']} requests over the limit")
    again = start(bench, "has-avatar")
    row = ended(bench, again)
    check(row["state"] == "complete" and int(row["totals"]["jobs"]) == 0, f"a second run sends nothing, not {row['totals']}")
    return f"{cursor['turn']} turns in one chain, {len(state['jobs'])} jobs, run again: nothing to do"


def poison(bench):
    """Poison messages during a run: each becomes a dead letter; the run is not affected."""
    bench.world(600)
    # 200 receives would take two hours.
    bench.stack.receives("Pages", 3)
    run = start(bench, "has-avatar")
    turned(bench, run, 2)
    deadly = json.dumps({"plan": KILLS})
    bench.stack.send("Pages", deadly)
    bad = ["{", '{"v": -1}', "\U0001f4a5" * 1000]
    sent = {
        "Pages": [*bad, '{"plan": "no-such-plan"}', '{"plan": {"name": "x", "set": {}}, "ruls": 1}'],
        "Patches": [*bad, '{"v": 1, "run": "../x", "generation": 1, "origin": {"page": {"page": 1, "part": 0}}, "patches": []}'],
    }
    for queue, bodies in sent.items():
        for body in bodies:
            bench.stack.send(queue, body)
    row = ended(bench, run)
    complete(bench, row, "has-avatar", bench.intercom.state()["jobs"])
    for queue, bodies in sent.items():
        expected = len(bodies) + (queue == "Pages")
        wait_for(f"dead letters of {queue}", lambda q=queue, n=expected: bench.stack.depth(f"{q}DeadLettersUrl") >= n)
        found = [letter for letter in bench.stack.dead_letters(queue) if letter[0] != deadly]
        check(sorted(body for body, _ in found) == sorted(bodies), f"dead letters of {queue}: {[body[:20] for body, _ in found]}")
        check(all(reason for _, reason in found), f"without a reason: {found}")
    bench.stack.receives("Pages", 200)
    check(bench.emulator.calls()["errors.scroll"] >= 3, "the deadly message killed no function")
    nothing_waits(bench)
    return f"{sum(map(len, sent.values()))} dead letters, each with its reason, and one that killed scroll thrice"


def failed_start(bench):
    """A scheduled start of a missing plan becomes a dead letter. A failed tick does not."""
    bench.world(1)
    soon = datetime.now(timezone.utc) + timedelta(seconds=3)
    bench.stack.update(StartCron=f"at({soon:%Y-%m-%dT%H:%M:%S})", PlanName="no-such-plan")
    wait_for("the failed start", lambda: bench.stack.depth("PagesDeadLettersUrl") == 1)
    ((body, reason),) = bench.stack.dead_letters("Pages")
    check(json.loads(body)["plan"] == "no-such-plan" and "no-such-plan" in reason, f"kept: {body}, because {reason}")
    bench.stack.update(StartCron="")
    scroll = bench.stack.outputs["ScrollFunction"]
    before = bench.emulator.calls()
    bench.stack.aws["lambda"].invoke(FunctionName=scroll, InvocationType="Event", Payload='{"tock": {}}')
    wait_for("the failed tick", lambda: (bench.emulator.calls() - before)["errors.scroll"])
    time.sleep(5)
    check((bench.emulator.calls() - before)["errors.scroll"] == 1, "a failed tick is tried again")
    check(bench.stack.depth("PagesDeadLettersUrl") == 0, "a failed tick is a dead letter")
    return f"kept with its reason: {reason}"


def missing_token(bench):
    """A start without a token is redelivered until there is one. The tick works without it."""
    bench.world(200)
    bench.stack.aws["ssm"].delete_parameter(Name=TOKEN_PARAMETER)
    # New processes: a process that has read the token keeps it.
    bench.stack.update(QuotaPercent=79)
    for function, fails in (("Scroll", False), ("Check", True)):
        answer, error = bench.stack.invoke(function, '{"tick": {}}')
        check(bool(error) == fails, f"{function}: {answer}")
    before = bench.emulator.calls()
    run = start(bench, "has-avatar")
    wait_for("a start without a token", lambda: (bench.emulator.calls() - before)["errors.scroll"])
    bench.stack.put_token()
    complete(bench, ended(bench, run), "has-avatar", bench.intercom.state()["jobs"])
    nothing_waits(bench)
    bench.stack.update(QuotaPercent=80)
    return "complete, once the token was there"


def users_in_error(bench):
    """Intercom permanently refuses some users: each is listed, and an alarm rings."""
    bench.world(300, faults=["reject-user=5%"])
    row = ended(bench, start(bench, "has-avatar"))
    check(row["state"] == "complete_with_errors", f"{row['state']}: {row.get('reason')}")
    wrong = told(bench, row, "has-avatar")
    check(wrong > 0, "no user was refused")
    rings(bench, "a run left users in error")
    nothing_waits(bench)
    return f"{wrong} users failed, and are listed"


def reports(bench):
    """Returns a function that returns the events of the stack so far, from a queue behind a rule."""
    name, aws = "reports", bench.stack.aws
    url = aws["sqs"].create_queue(QueueName=name)["QueueUrl"]
    arn = aws["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["intercom-bulk"], "detail": {"stack": [bench.stack.name]}}
    aws["events"].put_rule(Name=name, EventPattern=json.dumps(pattern))
    aws["events"].put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    found = []

    def received():
        got = aws["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        found.extend(json.loads(message["Body"]) for message in got)
        for message in got:
            aws["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    return received


def retried(bench):
    """Retries the failed users of a run by an event, after half are cured, and undoes that by an event."""
    received = reports(bench)
    refusal = "parameter_invalid:the value is invalid"
    bench.world(600, faults=[f"item-error=12%:{refusal}"])
    run = start(bench, "has-avatar")
    row = ended(bench, run)
    check(row["state"] == "complete_with_errors", f"{row['state']}: {row.get('reason')}")
    failed = {error["user"] for error in bench.ledger.errors(run)}
    check(len(failed) > 20, f"{len(failed)} users failed")
    settle(bench)
    # The users as before the run: each write is the retry's.
    bench.world(600, faults=[f"item-error=6%:{refusal}"])
    before = {user["id"]: user for user in bench.intercom.users()}
    check(failed <= set(before), "another workspace")
    said = bench.stack.control("retry", run)
    check(said["did"] == "requested", f"control says {said}")
    retry = said["run"]
    wait_for("the retry", lambda: bench.ledger.row(retry, "RUN"))
    again = bench.stack.control("retry", run)
    check((again["did"], again["run"]) == ("nothing", retry), f"control says {again}")
    row = ended(bench, retry)
    check(row["state"] == "complete_with_errors", f"{row['state']}: {row.get('reason')}")
    still = {error["user"] for error in bench.ledger.errors(retry)}
    after = {user["id"]: user for user in bench.intercom.users()}
    changed = {user for user, now in after.items() if now["custom_attributes"] != before[user]["custom_attributes"]}
    check(changed == failed - still, f"{len(changed - failed)} others changed, {len(failed - still - changed)} did not")
    check(changed and still, f"{len(changed)} users cured, {len(still)} not")
    for user in changed:
        attribute, value = wanted("has-avatar", before[user])
        check(after[user]["custom_attributes"][attribute] == value, f"{user} has another value")
    jobs_are_recorded(bench, retry, bench.intercom.state()["jobs"])
    told = json.loads(bench.stack.command("status", "--run", retry, "--json"))
    numbers = [told[key] for key in ("users", "written", "failed", "unchanged", "skipped", "pending")]
    check(numbers == [len(failed), len(changed), len(still), 0, 0, 0], f"the command says {told}")
    errors = [json.loads(line) for line in bench.stack.command("errors", "--run", retry, "--json", code=2).splitlines()]
    check({error["user"] for error in errors} == still, f"`errors` lists {errors}")
    changes = [json.loads(line) for line in bench.stack.command("changes", retry, "--json").splitlines()]
    check({change["user"] for change in changes} == changed, f"`changes` lists {changes}")
    runs = [json.loads(line)["run"] for line in bench.stack.command("history", "--json").splitlines()]
    check({run, retry} <= set(runs), f"`history` lists {runs}")
    nothing_waits(bench)

    # One event for each end, put by the role of check.
    events = {}
    wait_for("the events", lambda: bench.tick() or len(received()) >= 2)
    for event in received():
        events.setdefault(event["detail"]["run"], []).append(event)
    check({run: len(all) for run, all in events.items()} == {run: 1, retry: 1}, f"events: {events}")
    (event,) = events[retry]
    check((event["source"], event["detail-type"]) == ("intercom-bulk", "Run Ended"), f"the event is {event}")
    detail = event["detail"]
    counts = (detail["state"], detail["users"], detail["counts"]["written"], detail["counts"]["failed"])
    check(counts == ("complete_with_errors", len(failed), len(changed), len(still)), f"the event is {event}")

    # The undo of the retry, with the roles of the functions: first its preview.
    settle(bench)
    preview = json.loads(bench.stack.command("undo", retry, "--json"))["run"]
    row = ended(bench, preview)
    would = int(bench.ledger.row(preview, "CURSOR")["tally"]["patches"])
    check((row["state"], would) == ("complete", len(changed)), f"the preview of {would}: {row}")
    check(bench.intercom.users() == list(after.values()), "a preview changed a user")
    undo = bench.stack.control("undo", retry)["run"]
    row = ended(bench, undo)
    check(row["state"] == "complete", f"{row['state']}: {row.get('reason')}")
    for user in bench.intercom.users():
        value, was = (of["custom_attributes"].get(attribute) for of in (user, before[user["id"]]))
        check(value == was, f"{user['id']} has {value} after the undo, and had {was}")
    nothing_waits(bench)
    # A start would write the values again, so the plan is held until somebody stores it again.
    code, said = bench.stack.refused("start", "has-avatar")
    check(code == 64 and "--unhold" in said, f"a start of a held plan: {code} {said}")
    bench.stack.command("put", "plans/has-avatar.toml")
    return f"{len(failed)} users failed, {len(changed)} cured and written, {len(still)} failed again; 2 events; undone"


def too_many_errors(bench):
    """Intercom refuses more users than max_errors: submit counts them and ends the run."""
    bench.world(600, faults=["bad-item=5%"])
    run = start(bench, "has-avatar", "--max-errors", "4")
    # Without ticks from the test, so that submit notices first.
    row = ended(bench, run, tick=False)
    check((row["state"], "max_errors" in row["reason"]) == ("failed", True), f"{row['state']}: {row.get('reason')}")
    wrong = told(bench, row, "has-avatar")
    check(len(bench.ledger.errors(run)) > 4, "no user is listed")
    jobs_are_recorded(bench, run, bench.intercom.state()["jobs"])
    nothing_waits(bench)
    return f"failed, with {wrong} users without the value"


def stopped_by_hand(bench):
    """Cancels a reading and a draining run as in OPERATIONS.md: each ends at once without more jobs."""
    told = []
    for state in ("running", "draining"):
        # With the limit of 2016, so that submit is far behind the pages.
        bench.world(1500, limit=83, latency_ms=300 if state == "running" else 20)
        run = start(bench, "has-avatar")
        wait_for(f"jobs of a run that is {state}", lambda: bench.intercom.state()["jobs"])
        wait_for(f"{run} {state}", lambda: bench.ledger.row(run, "RUN")["state"] == state, every=0.2)
        said = json.loads(bench.stack.command("cancel", run, "--reason", "a test", "--json"))
        check((said["did"], said["state"]) == ("cancelled", "cancelled"), f"the command says {said}")
        row = ended(bench, run, tick=False)
        jobs = len(bench.intercom.state()["jobs"])
        check(row["reason"] == "cancelled by an operator: a test", row["reason"])
        # Each of submit's two instances had one request in flight.
        nothing_waits(bench)
        more = len(bench.intercom.state()["jobs"]) - jobs
        check(more <= 2, f"{more} jobs after the end")
        wrong = len(wrong_users("has-avatar", bench.intercom.users()))
        check(wrong > 0, f"stopped too late to matter: {row}")
        told.append(f"{state}: {jobs} jobs, {more} after the stop")
    return "; ".join(told)


def paused_and_resumed(bench):
    """Pauses a run in each phase for longer than its scroll lives, by events: starts wait, and a resume finishes it."""
    bench.world(600, limit=166, latency_ms=600)
    run = start(bench, "has-avatar")
    wait_for("jobs", lambda: bench.intercom.state()["jobs"])
    said = bench.stack.control("pause", run)
    check((said["did"], said["state"]) == ("paused", "paused"), f"control says {said}")
    jobs = len(bench.intercom.state()["jobs"])
    second = start(bench, "plan-price")
    # Its parts and turns are deleted, not returned; the start waits in the ledger.
    nothing_waits(bench)
    time.sleep(25)
    bench.tick()
    check(bench.ledger.row(second, "RUN") is None, "a start replaced a run that an operator paused")
    more = len(bench.intercom.state()["jobs"]) - jobs
    check(more <= 2, f"{more} jobs of a paused run")
    told = json.loads(bench.stack.command("status", "--run", run, "--json"))
    check((told["state"], told["starts_behind"]) == ("paused", 1), f"the command says {told}")
    again = bench.stack.control("pause")
    check((again["did"], again["state"]) == ("nothing", "paused"), f"control says {again}")
    said = json.loads(bench.stack.command("resume", "--json"))
    check(said["did"] == "resumed", f"the command says {said}")
    for state in ("draining", "verifying"):
        rests(bench, run, state)
    row = ended(bench, run)
    firsts = set(bench.ledger.jobs(run))
    state = bench.intercom.state()
    complete(bench, row, "has-avatar", [job for job in state["jobs"] if job["id"] in firsts])
    wait_for("the start behind it", lambda: bench.tick() or bench.ledger.row(second, "RUN"), every=3.0)
    said = bench.stack.control("cancel")
    check((said["did"], said["run"]) == ("cancelled", second), f"control says {said}")
    # Whether its jobs are closed by then or not.
    said = bench.stack.control("release", second)
    check((said["state"], said["run"]) == ("cancelled", second), f"control says {said}")
    nothing_waits(bench)
    return f"{jobs} jobs before the pause, {more} after it; complete in generation {row['generation']}"


def killed_scroll(bench):
    """The scroll function's process is killed during its turns: the run resumes by itself."""
    bench.world(1500, faults=["slow-page=8:6"])
    run = start(bench, "has-avatar")
    # Seven pages are read. The eighth takes six seconds: its process dies before the answer.
    turned(bench, run, 7)
    time.sleep(1)
    victims = bench.emulator.functions("Scroll")
    check(victims, "there is no process to kill")
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    row = ended(bench, run)
    complete(bench, row, "has-avatar", bench.intercom.state()["jobs"])
    nothing_waits(bench)
    check(int(row["generation"]) >= 2, "a page was lost, and no generation read its users")
    return f"killed {len(victims)} at page 8; complete in generation {row['generation']}"


def revoked_token(bench):
    """The token is revoked during a run: the run fails at once, with the remedy as its reason."""
    # Otherwise check polls the jobs of the run before with the same token, which these requests use up.
    settle(bench)
    bench.world(2000, faults=["token-revoked-after=14"])
    run = start(bench, "has-avatar")
    row = ended(bench, run)
    check(row["state"] == "failed", f"{row['state']}: {row.get('reason')}")
    check("token" in row["reason"].lower() or "401" in row["reason"], row["reason"])
    wrong = told(bench, row, "has-avatar")
    jobs_are_recorded(bench, run, bench.intercom.state()["jobs"])
    check(wrong > 0, "the token was revoked too late to matter")
    rings(bench, "a run is not complete")
    nothing_waits(bench)
    return f"failed: {row['reason']}"


def outage(bench):
    """Intercom does not answer for 20 s: a page may be lost; a new generation finds its users.

    The outage is longer than a page's time limit and shorter than a submission's, whose outcome is
    known after six minutes.
    """
    bench.world(2000)
    run = start(bench, "has-avatar")
    turned(bench, run, 5)
    bench.intercom.freeze()
    time.sleep(20)
    bench.intercom.thaw()
    row = ended(bench, run)
    wrong = told(bench, row, "has-avatar")
    # Frozen requests are carried out after the thaw, but their answers are lost.
    lost = int(row["totals"]["jobs_possibly_lost"]) if row.get("totals") else 0
    jobs_are_recorded(bench, run, bench.intercom.state()["jobs"], lost)
    nothing_waits(bench)
    return f"{row['state']} in generation {row['generation']}, {wrong} users without the value, {lost} jobs possibly lost"


def contacts(bench):
    """Runs on API 2.17: one write per user; a pause in mid-run keeps the position."""
    users = 1500
    bench.stack.update(IntercomApi="2.17")
    bench.world(users, limit=800, latency_ms=300)
    run = start(bench, "has-avatar")
    turned(bench, run, 4)
    said = bench.stack.control("pause", run)
    check((said["did"], said["state"]) == ("paused", "paused"), f"control says {said}")
    # A write begins at most 2 s after the pause, and the page under way is finished.
    time.sleep(3)
    before = bench.intercom.state()["contacts"]
    told = json.loads(bench.stack.command("status", "--run", run, "--json"))
    check((told["state"], told["users"] < users, told["to_send"] > 0) == ("paused", True, True), f"the command says {told}")
    nothing_waits(bench)
    after = bench.intercom.state()["contacts"]
    check(after == before, f"a paused run requests: {before}, then {after}")
    said = bench.stack.control("resume")
    check((said["did"], said["run"]) == ("resumed", run), f"control says {said}")
    row = ended(bench, run)
    state = bench.intercom.state()
    check(not state["jobs"], f"bulk jobs of API 2.x: {state['jobs']}")
    complete(bench, row, "has-avatar")
    jobs = answers_are_recorded(bench, row, state["contacts"]["written"])
    check(row["generation"] == 1, f"generation {row['generation']} began after a pause")
    seen = state["contacts"]
    # The count of contacts is a list of one.
    check(seen["listed_distinct"] == users and seen["listed"] < users + 10, f"pages were read again: {seen}")
    told = json.loads(bench.stack.command("status", "--run", run, "--json"))
    numbers = (told["state"], told["users"], told["written"], told["failed"], told["jobs_open"])
    check(numbers == ("complete", users, seen["written"], 0, 0), f"the command says {told}")
    listed = [json.loads(line) for line in bench.stack.command("jobs", "--run", run, "--json").splitlines()]
    check({job["job"] for job in listed} == set(jobs), "the command lists other jobs")
    nothing_waits(bench)
    bench.stack.update(IntercomApi="1.4")
    return f"{before['written']} writes before the pause of {seen['written']}, one generation, {len(jobs)} jobs"


def preview(bench):
    """Runs on Preview: users whom a bulk job does not write are read by id, and written one by one."""
    bench.stack.update(IntercomApi="preview")
    bench.world(1000, faults=["item-limited=5%"])
    run = start(bench, "has-avatar")
    row = ended(bench, run)
    state = bench.intercom.state()
    check(row["state"] == "complete", f"{run} ended {row['state']}: {row.get('reason')}")
    check(told(bench, row, "has-avatar") == 0, "users lack the value")
    bulk = jobs_are_recorded(bench, run, state["jobs"])
    with_errors = [job for job in bulk.values() if job.get("end") == "completed_with_errors"]
    single = [job for job in bench.ledger.jobs(run) if job not in bulk]
    check(with_errors and single, f"bulk jobs with errors: {len(with_errors)}, results of single requests: {single}")
    written = int(row["totals"]["written"])
    check(written == state["contacts"]["written"], f"written: {written}, at Intercom: {state['contacts']['written']}")
    check(state["contacts"]["listed_distinct"] == 1000, f"contacts: {state['contacts']}")
    nothing_waits(bench)
    bench.stack.update(IntercomApi="1.4")
    return f"{len(bulk)} bulk jobs, {len(with_errors)} with errors, and {len(single)} sets of single requests"


def updated_stack(bench):
    """The stack is deployed with another parameter during a run."""
    bench.world(3000)
    run = start(bench, "has-avatar")
    turned(bench, run, 5)
    bench.stack.update(QuotaPercent=50)
    settings = bench.stack.aws["lambda"].get_function_configuration(FunctionName=bench.stack.outputs["ScrollFunction"])
    check(settings["Environment"]["Variables"]["INTERCOM_QUOTA_PERCENT"] == "50", "the parameter did not arrive")
    row = ended(bench, run)
    complete(bench, row, "has-avatar", bench.intercom.state()["jobs"])
    nothing_waits(bench)
    bench.stack.update(QuotaPercent=80)
    return f"complete in generation {row['generation']}"


def deleted_stack(bench):
    """The stack is deleted: functions and queues are removed, the table keeps its items."""
    items = len(bench.ledger.items())
    bench.stack.delete()
    check(len(bench.ledger.items()) >= items, "the table lost items")
    left = bench.stack.aws["lambda"].list_functions()["Functions"]
    check(not left, f"functions are left: {[function['FunctionName'] for function in left]}")
    queues = bench.stack.aws["sqs"].list_queues().get("QueueUrls", [])
    check(not queues, f"queues are left: {queues}")
    schedules = bench.stack.aws["scheduler"].list_schedules()["Schedules"]
    check(not schedules, "schedules are left")
    return f"the table stays, with {items} items"


# Lanes run concurrently, each with its stack and its emulator, because scenarios mostly wait. The
# order within a lane goes from an idle stack to an idle stack. Each lane takes less than four minutes.
# Runs on API 2.x and Preview come first, because a list is read three minutes after the ledger's last write.
LANES = [
    [schedule_and_message, deleted_stack],
    [stopped_by_hand, revoked_token],
    [outage, failed_start],
    [paused_and_resumed, too_many_errors],
    [retried, killed_scroll, users_in_error],
    [contacts, updated_stack, poison],
    [preview, missing_token],
]
