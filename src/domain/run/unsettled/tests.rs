use serde_json::{Value, json};

use super::*;
use crate::domain::bucket::Width;
use crate::domain::run::{Lease, Totals};

const END_MS: i64 = 10 * 3600 * 1000;
const TIMES: SettleTimes =
    SettleTimes { request_ms: 85_000, unknown_life_ms: 960_000, look_first_ms: 60_000, look_most_ms: 300_000 };

fn ended(state: &str, fields: &Value) -> Run {
    let mut stored = json!({"v": 1, "run": "p.1", "plan": "p", "state": state, "generation": 1, "started_ms": 0,
        "ended_ms": END_MS, "deadline_ms": 0});
    stored.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(stored).unwrap()
}

fn cursor(change: impl FnOnce(&mut Cursor)) -> Cursor {
    let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
    change(&mut cursor);
    cursor
}

#[test]
fn last_change_is_before_the_end_or_before_it_was_settled() {
    let hours = |hours: i64| END_MS + hours * 3600 * 1000;
    let has_sent = cursor(|cursor| cursor.pages_in_all = 1);
    let complete = ended("complete", &json!({"totals": Totals::default()}));
    let cancelled = ended("cancelled", &json!({}));
    for (run, settled_ms, by_ms) in
        [(&complete, hours(1), END_MS), (&cancelled, hours(1), hours(1)), (&cancelled, hours(24), END_MS + OVER_MS)]
    {
        assert_eq!(run.changed_by_ms(&has_sent, settled_ms), by_ms, "{}", run.state);
    }
}

fn unsettled() -> Unsettled {
    Unsettled::at_end(&ended("cancelled", &json!({})), &cursor(|cursor| cursor.pages_in_all = 1)).unwrap()
}

fn open(made_ms: &[i64]) -> Option<OpenJobs> {
    let mut open = None;
    for (number, made_ms) in made_ms.iter().enumerate() {
        let job = JobId::new(format!("job_{number}")).unwrap();
        OpenJobs::add(&mut open, &job, &Bucket::of(*made_ms, Width::MINUTE), *made_ms);
    }
    open
}

#[test]
fn only_a_run_that_may_still_change_values_is_unsettled() {
    let read = |cursor: &mut Cursor| cursor.pages_in_all = 1;
    let counted = |lost: u64| json!({"totals": Totals { jobs_possibly_lost: lost, ..Totals::default() }});
    let keeps_parts = || ended("cancelled", &json!({"v": 2}));
    let leased = |cursor: &mut Cursor| {
        cursor.lease = Some(Lease { owner: "o".into(), message: "m".into(), until_ms: 7 });
    };
    let rows: Vec<(&str, Run, Cursor, bool)> = vec![
        ("stopped", ended("cancelled", &json!({})), cursor(read), true),
        ("complete", ended("complete", &counted(0)), cursor(read), false),
        ("complete, with a lost job", ended("complete", &counted(1)), cursor(read), true),
        ("incomplete, and counted", ended("incomplete", &counted(0)), cursor(read), false),
        ("before its first page", ended("cancelled", &json!({})), cursor(|_| {}), false),
        ("while its first page is read", ended("cancelled", &json!({})), cursor(leased), true),
        ("while its first page is read, and parts are sent after the commit", keeps_parts(), cursor(leased), false),
        ("after a crash at its first page, likewise", keeps_parts(), cursor(|cursor| cursor.settle(5)), false),
        ("after its first page", keeps_parts(), cursor(read), true),
        ("after a crash at its first page", ended("failed", &json!({})), cursor(|cursor| cursor.settle(5)), true),
        (
            "while it waits for an earlier run",
            ended("cancelled", &json!({})),
            cursor(|cursor| {
                cursor.settle(5);
                cursor.after = Some(RunId::of("q", 0));
            }),
            false,
        ),
        ("a dry run", ended("cancelled", &json!({"rails": {"dry_run": true}})), cursor(read), false),
    ];
    for (name, run, cursor, expected) in rows {
        assert_eq!(Unsettled::at_end(&run, &cursor).is_some(), expected, "{name}");
    }
}

#[test]
fn a_run_is_settled_when_jobs_leases_and_lost_jobs_are_over() {
    let minutes = |minutes: i64| END_MS + minutes * 60_000;
    let accounts =
        |made_ms: &[i64], made_last_ms| Accounts { open: open(made_ms), made_last_ms, ..Accounts::default() };
    let released = unsettled().released(END_MS + 1);
    // A request sent at the end takes effect within 85 s, and its job within 16 minutes.
    for (name, run, accounts, now_ms, expected) in [
        ("nothing is open", unsettled(), accounts(&[], 0), END_MS + 5_000, None),
        (
            "a lease may be missing yet",
            unsettled(),
            accounts(&[], 0),
            END_MS + 4_999,
            Some((minutes(1) + 4_999, 395_000)),
        ),
        ("a job", unsettled(), accounts(&[minutes(-9)], 0), minutes(300), Some((minutes(301), 0))),
        ("a lost job", unsettled(), accounts(&[], END_MS), minutes(16) - 1, Some((minutes(16), 85_000))),
        ("a lost job that is over", unsettled(), accounts(&[], END_MS), minutes(16), None),
        ("a lost job of long ago", unsettled(), accounts(&[], minutes(-30)), minutes(1), None),
        ("a lease", unsettled(), accounts(&[], minutes(5)), minutes(1), Some((minutes(2), 385_000))),
        ("released: a job is not waited for", released.clone(), accounts(&[END_MS], 0), minutes(1), None),
        (
            "released: a request is",
            released.clone(),
            accounts(&[], END_MS),
            minutes(1),
            Some((minutes(1) + 25_000, 85_000)),
        ),
        ("released: a lost job is not", released, accounts(&[], END_MS), END_MS + 85_000, None),
    ] {
        let looked = run.after_look(&ended("cancelled", &json!({})), &accounts, &TIMES, now_ms);
        let waits = match looked {
            Looked::Settled => None,
            Looked::Waits(next) => Some((next.due_ms, next.writes_until_ms - END_MS)),
        };
        assert_eq!(waits, expected, "{name}");
    }
}

#[test]
fn a_request_whose_answer_is_its_result_has_no_job() {
    let run = ended("cancelled", &json!({"api": "v2"}));
    assert_eq!((TIMES.life_ms(&run), TIMES.life_ms(&ended("cancelled", &json!({})))), (85_000, 960_000));
    let accounts = Accounts { made_last_ms: END_MS, ..Accounts::default() };
    let look = |after_ms| unsettled().after_look(&run, &accounts, &TIMES, END_MS + after_ms);
    let Looked::Waits(waits) = look(84_999) else { panic!("a request may still take effect") };
    assert_eq!(waits.why(), "requests of p.1, which ended at 10:00 UTC, may take effect until 10:01 UTC");
    assert_eq!(look(85_000), Looked::Settled);
    let lost = json!({"api": "v2", "totals": Totals { unknown_sent_ms: END_MS, ..Totals::default() }});
    let at_end = Unsettled::at_end(&ended("complete", &lost), &cursor(|cursor| cursor.pages_in_all = 1));
    assert!(at_end.is_some(), "a complete run with a lost answer");
}

#[test]
fn looks_become_rarer() {
    let mut run = Unsettled { jobs: open(&[END_MS]), ..unsettled() };
    let mut waits = Vec::new();
    for _ in 0..6 {
        run = run.looked(&TIMES, END_MS);
        waits.push((run.due_ms - END_MS) / 60_000);
    }
    assert_eq!(waits, [1, 2, 3, 4, 5, 5]);
}

#[test]
fn a_wait_names_job_run_since_and_until() {
    let jobs = |made_ms: &[i64]| Unsettled { jobs: open(made_ms), ..unsettled() };
    let lost = Unsettled { sent_ms: END_MS, lost_until_ms: END_MS + 960_000, writes_until_ms: END_MS, ..unsettled() };
    let after = END_MS + 60_000;
    for (run, expected) in [
        (jobs(&[END_MS]), "bulk job job_0, open since 10:00 UTC, of p.1 must end first, at 16:00 UTC at the latest"),
        (
            jobs(&[after, END_MS]),
            "2 bulk jobs (the oldest is job_1, open since 10:00 UTC) of p.1 must end first, at 16:01 UTC at the latest",
        ),
        (lost, "a request of p.1 whose outcome is unknown, sent by 10:00 UTC, may set values until 10:16 UTC"),
        (unsettled(), "requests of p.1, which ended at 10:00 UTC, may take effect until 10:06 UTC"),
        (
            jobs(&[END_MS]).released(END_MS),
            "requests of p.1, which ended at 10:00 UTC, may take effect until 10:06 UTC",
        ),
    ] {
        assert_eq!(run.why(), expected);
    }
}
