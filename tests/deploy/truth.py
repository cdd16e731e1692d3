"""Compares the end of a run in the ledger with the workspace and the queues."""

from intercom import wrong_users
from ledger import bucket_of, wait_for

ENDED = ("complete", "complete_with_errors", "incomplete", "failed", "cancelled")
# The ids of rows with results of single requests begin with this.
OF_ANSWERS = "put_"


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def ended(bench, run, tick=True):
    """Waits until a run has ended; returns its row. Also ticks, which saves the minute between two
    ticks."""

    def look():
        row = bench.ledger.row(run, "RUN")
        if row and row["state"] in ENDED:
            return row
        if tick:
            bench.tick()
        return None

    return wait_for(f"the end of {run}", look, every=3 if tick else 1)


def jobs_are_recorded(bench, run, jobs, lost=0):
    """Every job that Intercom answered with is under its minute; up to this many are possibly
    lost. Results of single requests are no jobs of Intercom."""
    rows = {job: row for job, row in bench.ledger.jobs(run).items() if not job.startswith(OF_ANSWERS)}
    answered = {job["id"]: job for job in jobs if job["answered"]}
    check(set(rows) <= set(answered), f"jobs that Intercom did not make: {set(rows) - set(answered)}")
    missing = len(answered) - len(rows)
    check(missing <= lost, f"jobs at Intercom: {len(answered)}, in the ledger: {len(rows)}, possibly lost: {lost}")
    for job, row in rows.items():
        # A job that is created just before a minute's end may be recorded just after it.
        minutes = {bucket_of(answered[job]["created_at"]), bucket_of(answered[job]["created_at"] + 2)}
        check(row["bucket"] in minutes, f"{job} is in {row['bucket']}, made in {minutes}")
        check(row["pk"] == f"BUCKET#{row['bucket']}", f"{job} lies under {row['pk']}")
    return rows


def nothing_waits(bench):
    """Both queues and both dead-letter queues are empty."""
    for queue in ("PagesQueueUrl", "PatchesQueueUrl"):
        wait_for(f"an empty {queue}", lambda q=queue: bench.stack.depth(q) == 0)
    for queue in ("PagesDeadLettersUrl", "PatchesDeadLettersUrl"):
        check(bench.stack.depth(queue) == 0, f"messages in {queue}: {bench.stack.dead_letters(queue[:-len('DeadLettersUrl')], take=False)}")


def answers_are_recorded(bench, row, written):
    """Every answer of a run that writes users one by one is in a job, under its minute."""
    jobs = bench.ledger.jobs(row["run"])
    users = sum(int(job["users"]) for job in jobs.values())
    check(users == written, f"users written: {written}, in jobs: {users}")
    for job in jobs.values():
        minute = bucket_of(int(job["made_ms"]) / 1000)
        check((job["bucket"], job["pk"]) == (minute, f"BUCKET#{minute}"), f"{job['job']} of {minute} lies under {job['pk']}")
    return jobs


def complete(bench, row, plan, jobs=None):
    """The run says `complete`, and every user has the value. `jobs` are those of Intercom, if it
    makes any."""
    check(row["state"] == "complete", f"{row['run']} ended {row['state']}: {row.get('reason')}")
    rows = bench.ledger.jobs(row["run"]) if jobs is None else jobs_are_recorded(bench, row["run"], jobs)
    check(all(job.get("end") == "completed" for job in rows.values()), "a job did not end as completed")
    wrong = wrong_users(plan, bench.intercom.users())
    check(not wrong, f"{len(wrong)} users do not hold what {plan} gives them, {wrong[:3]} among them")
    parts = bench.ledger.parts(row["run"])
    check(all(part.get("end") in ("done", "dropped") for part in parts), "a part has no end")
    totals = row["totals"]
    check(int(totals["jobs"]) == len(rows), f"the run counts {totals['jobs']} jobs of {len(rows)}")
    check(int(totals["errors"]) == 0, f"{totals['errors']} errors in a complete run")


def told(bench, row, plan):
    """Users without the value are reported, and `complete` means that there are none."""
    wrong = wrong_users(plan, bench.intercom.users())
    if row["state"] == "complete":
        check(not wrong, f"complete, and {len(wrong)} users are not")
    elif row["state"] == "complete_with_errors":
        listed = {error["user"] for error in bench.ledger.errors(row["run"])}
        check(set(wrong) <= listed, f"{len(set(wrong) - listed)} users are neither done nor listed")
    else:
        check(row.get("reason"), f"{row['state']} without a reason")
    return len(wrong)
