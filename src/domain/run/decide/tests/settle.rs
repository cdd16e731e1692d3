mod void;

use serde_json::{Value, json};

use super::{NOW_MS, assert_decides, cursor, run};
use crate::domain::bucket::{Bucket, Width};
use crate::domain::job::{JobId, UNKNOWN_AFTER_MS};
use crate::domain::run::decide::{EarlierRuns, Pauses, SettleFacts, TurnFacts, after_wait};
use crate::domain::run::{Accounts, Cursor, OpenJobs, Totals};

pub(super) const LIFE_MS: i64 = 600_000;
pub(super) const PAUSES: Pauses = Pauses { parts_ms: 20_000, jobs_ms: 60_000, jobs_most_ms: 300_000 };
const FOUR_HOURS_MS: i64 = 4 * 3600 * 1000;
const LATER_MS: i64 = FOUR_HOURS_MS + NOW_MS;

/// Accounts with open parts and jobs (the first is made at `NOW_MS`, each next one a minute later),
/// and a request with an unknown outcome at a time other than 0.
pub(super) fn accounts(parts_open: u64, jobs_open: u64, made_last_ms: i64) -> Accounts {
    let totals = Totals { patches: 28, written: 25, ..Totals::default() };
    Accounts { parts_open, open: open_jobs(jobs_open), made_last_ms, totals, ..Accounts::default() }
}

fn open_jobs(count: u64) -> Option<OpenJobs> {
    let mut open = None;
    for number in 0..count as i64 {
        let (job, made_ms) = (JobId::new(format!("job_{number}")).unwrap(), NOW_MS + number * 60_000);
        OpenJobs::add(&mut open, &job, &Bucket::of(made_ms, Width::MINUTE), made_ms);
    }
    open
}

/// The time at which check closes the last of so many jobs at the latest.
fn closed_ms(jobs: i64) -> i64 {
    NOW_MS + (jobs - 1) * 60_000 + UNKNOWN_AFTER_MS
}

pub(super) fn settling(fields: Value) -> Cursor {
    cursor(super::merged(
        json!({"phase": "settling", "page": 7, "settling_since_ms": NOW_MS, "tally": {"users": 700, "patches": 20}}),
        fields,
    ))
}

pub(super) fn lest(what: &str) -> String {
    format!("{what}, so that an older value cannot overwrite a newer one")
}

/// The accounts are read in no time.
pub(super) fn settle_facts<'a>(accounts: &'a Accounts, earlier: Option<&'a EarlierRuns>) -> SettleFacts<'a> {
    SettleFacts { accounts, read_ms: NOW_MS, earlier, unknown_life_ms: LIFE_MS, pauses: PAUSES }
}

struct Row {
    name: &'static str,
    cursor: Value,
    accounts: Accounts,
    earlier: Option<EarlierRuns>,
    now_ms: i64,
    expected: &'static str,
    changed: Value,
}

fn assert_rows(rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        let (before, run) = (settling(row.cursor), run(json!({"count": 5_000})));
        let earlier = row.earlier.as_ref();
        let settle = settle_facts(&row.accounts, earlier);
        let decision = after_wait(before.clone(), &settle, &TurnFacts { run: &run, now_ms: row.now_ms });
        assert_decides(row.name, &before, &decision, row.expected, &row.changed);
    }
}

#[test]
fn a_generation_waits_for_the_parts_of_the_one_before() {
    let waits = lest("3 parts sent before and bulk job job_0, open since 00:16 UTC, must end first");
    let next_ms = NOW_MS + PAUSES.parts_ms;
    assert_rows([
        Row {
            name: "counted for the first time",
            cursor: json!({"waits_until_ms": 7}),
            accounts: accounts(3, 1, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "not_before_ms": next_ms, "waits": waits,
                "waits_until_ms": null}),
        },
        Row {
            name: "fewer than before",
            cursor: json!({"parts_left": 4, "parts_left_ms": 7}),
            accounts: accounts(3, 1, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "not_before_ms": next_ms, "waits": waits}),
        },
        Row {
            name: "as many as before, for just less than four hours",
            cursor: json!({"parts_left": 3, "parts_left_ms": NOW_MS + 1}),
            accounts: accounts(3, 1, 0),
            earlier: None,
            now_ms: LATER_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": LATER_MS + PAUSES.parts_ms, "waits": waits}),
        },
        Row {
            name: "as many as before, for four hours",
            cursor: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "generation": 2, "furthest": 9, "stalled": 2}),
            accounts: accounts(3, 0, 0),
            earlier: None,
            now_ms: LATER_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "cut":
                "0 pages may be lost, and three generations in a row got no further; 700 of 5000 users were read"}),
        },
        Row {
            name: "one of each",
            cursor: json!({}),
            accounts: accounts(1, 2, LATER_MS),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 1, "parts_left_ms": NOW_MS, "not_before_ms": next_ms,
                "waits": lest("1 part sent before and 2 bulk jobs (the oldest is job_0, open since 00:16 UTC) must end first")}),
        },
    ]);
}

#[test]
fn a_generation_waits_for_the_jobs_of_the_one_before() {
    let sent_ms = NOW_MS - 100_000;
    let over_ms = sent_ms + LIFE_MS;
    let next_ms = NOW_MS + PAUSES.jobs_ms;
    let two = "2 bulk jobs (the oldest is job_0, open since 00:16 UTC) must end first, at 06:17 UTC at the latest";
    let one = "bulk job job_0, open since 00:16 UTC, must end first, at 06:16 UTC at the latest";
    assert_rows([
        Row {
            name: "open jobs, until check closes them",
            cursor: json!({}),
            accounts: accounts(0, 2, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": next_ms, "waits_until_ms": closed_ms(2), "waits": lest(two)}),
        },
        Row {
            name: "a job that is open for longer than a job lives",
            cursor: json!({}),
            accounts: accounts(0, 1, 0),
            earlier: None,
            now_ms: NOW_MS + 2 * LIFE_MS,
            expected: "Waited",
            // A tenth of the time so far.
            changed: json!({"not_before_ms": next_ms + 2 * LIFE_MS + 60_000, "waits_until_ms": closed_ms(1), "waits": lest(one)}),
        },
        Row {
            name: "a job whose id was lost",
            cursor: json!({}),
            accounts: accounts(0, 0, sent_ms),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": over_ms, "waits_until_ms": over_ms,
                "waits": lest("a bulk request sent by 00:15 UTC has no known outcome, and its job may set values until \
                    00:25 UTC; the next reading waits for it")}),
        },
        Row {
            name: "a job whose id was lost, and a scroll",
            cursor: json!({"called_ms": NOW_MS}),
            accounts: accounts(0, 0, NOW_MS - LIFE_MS + 10),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": NOW_MS + 10, "waits_until_ms": NOW_MS + 65_000,
                "waits": lest("a bulk request sent by 00:06 UTC has no known outcome, and its job may set values until \
                    00:16 UTC; the next reading waits for it")}),
        },
        Row {
            name: "parts of a lost queue are not waited for, and a request may be",
            cursor: json!({"queue_lost": true}),
            accounts: accounts(18, 0, sent_ms),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 18, "parts_left_ms": NOW_MS, "not_before_ms": over_ms,
                "waits_until_ms": over_ms,
                "waits": lest("a bulk request was under way at 00:15 UTC, when the process before this one ended, and \
                    whether Intercom took it is not known; the next reading waits until 00:25 UTC, when it can set no \
                    value any more")}),
        },
        Row {
            name: "open jobs of a lost queue, and a request that was under way",
            cursor: json!({"queue_lost": true}),
            accounts: accounts(0, 1, sent_ms),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": next_ms, "waits_until_ms": closed_ms(1),
                "waits": lest(&format!("{one}, and a request whose outcome is unknown is waited for until 00:25 UTC"))}),
        },
        Row {
            name: "an earlier run",
            cursor: json!({}),
            accounts: accounts(0, 0, 0),
            earlier: Some(EarlierRuns { why: "why".to_owned(), until_ms: NOW_MS + 9, due_ms: NOW_MS + 3 }),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": NOW_MS + 3, "waits_until_ms": NOW_MS + 9, "waits": "why"}),
        },
    ]);
}

#[test]
fn a_generation_begins_when_all_has_ended() {
    let made_ms = NOW_MS - LIFE_MS;
    let begun = json!({"phase": "turning", "generation": 2, "counted": 2, "furthest": 7, "page": 0, "not_before_ms": NOW_MS,
        "settling_since_ms": 0, "changed_before": 20, "tally": {"users": 0, "patches": 0}});
    let with = |more: Value| super::merged(begun.clone(), more);
    let bound = "20 generations were begun; 700 of 5000 users were read";
    assert_rows([
        Row {
            name: "at once",
            cursor: json!({"waits": "w", "waits_until_ms": 7}),
            accounts: accounts(0, 0, made_ms),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"waits": null, "waits_until_ms": null})),
        },
        Row {
            name: "after the scroll",
            cursor: json!({"called_ms": NOW_MS}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"not_before_ms": NOW_MS + 65_000,
                "waits": "the scroll of the generation before must expire first"})),
        },
        Row {
            name: "at the scroll's last moment",
            cursor: json!({"called_ms": NOW_MS - 65_000}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"not_before_ms": NOW_MS})),
        },
        Row {
            name: "an excused one does not count",
            cursor: json!({"excused": true, "counted": 20}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: {
                let mut changed = with(json!({"counted": 20, "excused": null}));
                changed.as_object_mut().unwrap().remove("counted");
                changed
            },
        },
        Row {
            name: "Intercom wrote fewer than was decided",
            cursor: json!({"changed_before": 10}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"changed_before": 25})),
        },
        Row {
            name: "too many generations, after gaps",
            cursor: json!({"counted": 20, "holes": [3, 4]}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "cut": format!("2 pages may be lost, and {bound}")}),
        },
        Row {
            name: "too many generations, after a cut",
            cursor: json!({"counted": 20, "cut": "the scroll expired"}),
            accounts: accounts(0, 0, 0),
            earlier: None,
            now_ms: NOW_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "cut": format!("the scroll expired, and {bound}")}),
        },
    ]);
}
