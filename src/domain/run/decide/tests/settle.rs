use serde_json::{Value, json};

use super::{NOW_MS, assert_decides, cursor, run};
use crate::domain::run::decide::{EarlierRun, Pauses, SettleFacts, TurnFacts, after_earlier_run, after_wait};
use crate::domain::run::{Accounts, Cursor, RunId, Totals};

const LIFE_MS: i64 = 600_000;
const PAUSES: Pauses = Pauses { parts_ms: 20_000, jobs_ms: 60_000 };
const FOUR_HOURS_MS: i64 = 4 * 3600 * 1000;
const LATER_MS: i64 = FOUR_HOURS_MS + NOW_MS;

fn accounts(parts_open: u64, jobs_open: u64, made_last_ms: i64) -> Accounts {
    let totals = Totals { patches: 25, ..Totals::default() };
    Accounts { parts_open, jobs_open, made_last_ms, totals, ..Accounts::default() }
}

fn settling(fields: Value) -> Cursor {
    cursor(super::merged(json!({"phase": "settling", "page": 7, "tally": {"users": 700, "patches": 20}}), fields))
}

fn lest(what: &str) -> String {
    format!("{what}, so that an older value cannot overwrite a newer one")
}

struct Row {
    name: &'static str,
    cursor: Value,
    accounts: Accounts,
    now_ms: i64,
    expected: &'static str,
    changed: Value,
}

fn assert_rows(rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        let (before, run) = (settling(row.cursor), run(json!({"count": 5_000})));
        let settle = SettleFacts { accounts: &row.accounts, job_life_ms: LIFE_MS, pauses: PAUSES };
        let decision = after_wait(before.clone(), &settle, &TurnFacts { run: &run, now_ms: row.now_ms });
        assert_decides(row.name, &before, &decision, row.expected, &row.changed);
    }
}

#[test]
fn a_generation_waits_for_the_parts_of_the_one_before() {
    let waits = lest("3 parts and 1 bulk job sent before must end first");
    let next_ms = NOW_MS + PAUSES.parts_ms;
    assert_rows([
        Row {
            name: "counted for the first time",
            cursor: json!({"waits_until_ms": 7}),
            accounts: accounts(3, 1, 0),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "not_before_ms": next_ms, "waits": waits,
                "waits_until_ms": null}),
        },
        Row {
            name: "fewer than before",
            cursor: json!({"parts_left": 4, "parts_left_ms": 7}),
            accounts: accounts(3, 1, 0),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "not_before_ms": next_ms, "waits": waits}),
        },
        Row {
            name: "as many as before, for just less than four hours",
            cursor: json!({"parts_left": 3, "parts_left_ms": NOW_MS + 1}),
            accounts: accounts(3, 1, 0),
            now_ms: LATER_MS,
            expected: "Waited",
            changed: json!({"not_before_ms": LATER_MS + PAUSES.parts_ms, "waits": waits}),
        },
        Row {
            name: "as many as before, for four hours",
            cursor: json!({"parts_left": 3, "parts_left_ms": NOW_MS, "generation": 2, "furthest": 9, "stalled": 2}),
            accounts: accounts(3, 0, 0),
            now_ms: LATER_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "cut":
                "0 pages may be lost, and three generations in a row got no further; 700 of 5000 users were read"}),
        },
        Row {
            name: "one of each",
            cursor: json!({}),
            accounts: accounts(1, 2, LATER_MS),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: json!({"parts_left": 1, "parts_left_ms": NOW_MS, "not_before_ms": next_ms,
                "waits": lest("1 part and 2 bulk jobs sent before must end first")}),
        },
    ]);
}

#[test]
fn a_generation_waits_for_the_jobs_of_the_one_before() {
    let made_ms = NOW_MS - 100_000;
    let over_ms = made_ms + LIFE_MS;
    let counted = |more: Value| super::merged(json!({"parts_left_ms": NOW_MS}), more);
    let next_ms = NOW_MS + PAUSES.jobs_ms;
    assert_rows([
        Row {
            name: "open jobs",
            cursor: json!({}),
            accounts: accounts(0, 2, made_ms),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"not_before_ms": next_ms, "waits_until_ms": over_ms,
                "waits": lest("2 bulk jobs sent before must end first")})),
        },
        Row {
            name: "open jobs that are over soon, and a scroll",
            cursor: json!({"called_ms": NOW_MS}),
            accounts: accounts(0, 1, NOW_MS - LIFE_MS + 10),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"not_before_ms": NOW_MS + 10, "waits_until_ms": NOW_MS + 65_000,
                "waits": lest("1 bulk job sent before must end first")})),
        },
        Row {
            name: "a job whose id was lost",
            cursor: json!({}),
            accounts: accounts(0, 0, made_ms),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"not_before_ms": over_ms, "waits_until_ms": over_ms,
                "waits": lest("a bulk job whose id was lost may set values yet; the next reading waits for it")})),
        },
        Row {
            name: "parts of a lost queue are not waited for, and a request may be",
            cursor: json!({"queue_lost": true}),
            accounts: accounts(18, 0, made_ms),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"parts_left": 18, "not_before_ms": over_ms, "waits_until_ms": over_ms,
                "waits": lest("a bulk request was under way when the process before this one ended, and whether Intercom \
                    took it is not known; the next reading waits until it can set no value any more")})),
        },
        Row {
            name: "open jobs of a lost queue after a clean stop",
            cursor: json!({"queue_lost": true}),
            accounts: accounts(0, 1, made_ms),
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"not_before_ms": next_ms, "waits_until_ms": over_ms,
                "waits": lest("1 bulk job sent before must end first")})),
        },
        Row {
            name: "open jobs of a lost queue, and a request that was under way",
            cursor: json!({"queue_lost": true}),
            accounts: Accounts {
                totals: Totals { jobs_possibly_lost: 1, ..Totals::default() },
                ..accounts(0, 1, made_ms)
            },
            now_ms: NOW_MS,
            expected: "Waited",
            changed: counted(json!({"not_before_ms": next_ms, "waits_until_ms": over_ms,
                "waits": lest("1 bulk job sent before must end first, and perhaps one whose id was lost")})),
        },
    ]);
}

#[test]
fn a_generation_begins_when_all_has_ended() {
    let made_ms = NOW_MS - LIFE_MS;
    let begun = json!({"phase": "turning", "generation": 2, "counted": 2, "furthest": 7, "page": 0, "not_before_ms": NOW_MS,
        "changed_before": 20, "tally": {"users": 0, "patches": 0}});
    let with = |more: Value| super::merged(begun.clone(), more);
    let bound = "20 generations were begun; 700 of 5000 users were read";
    assert_rows([
        Row {
            name: "at once",
            cursor: json!({"waits": "w", "waits_until_ms": 7}),
            accounts: accounts(0, 0, made_ms),
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"waits": null, "waits_until_ms": null})),
        },
        Row {
            name: "after the scroll",
            cursor: json!({"called_ms": NOW_MS}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"not_before_ms": NOW_MS + 65_000,
                "waits": "the scroll of the generation before must expire first"})),
        },
        Row {
            name: "at the scroll's last moment",
            cursor: json!({"called_ms": NOW_MS - 65_000}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"not_before_ms": NOW_MS})),
        },
        Row {
            name: "an excused one does not count",
            cursor: json!({"excused": true, "counted": 20}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: {
                let mut changed = with(json!({"counted": 20, "excused": null}));
                changed.as_object_mut().unwrap().remove("counted");
                changed
            },
        },
        Row {
            name: "jobs took fewer than was decided",
            cursor: json!({"changed_before": 10}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Regenerated, generation",
            changed: with(json!({"changed_before": 25})),
        },
        Row {
            name: "too many generations, after gaps",
            cursor: json!({"counted": 20, "holes": [3, 4]}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "parts_left_ms": NOW_MS, "cut": format!("2 pages may be lost, and {bound}")}),
        },
        Row {
            name: "too many generations, after a cut",
            cursor: json!({"counted": 20, "cut": "the scroll expired"}),
            accounts: accounts(0, 0, 0),
            now_ms: NOW_MS,
            expected: "Ended, draining",
            changed: json!({"phase": "ended", "parts_left_ms": NOW_MS, "cut": format!("the scroll expired, and {bound}")}),
        },
    ]);
}

#[test]
fn a_run_waits_for_the_jobs_of_the_one_that_was_stopped() {
    let stopped = RunId::of("q", 0);
    let waits = format!("jobs of {stopped}, which was stopped, may set values yet");
    let over = json!({"phase": "turning", "after": null, "waits": null, "waits_until_ms": null});
    for (name, called_ms, over_ms, changed) in [
        ("over", 0, NOW_MS, over),
        ("not over", 0, NOW_MS + 1, {
            json!({"not_before_ms": NOW_MS + 1, "waits_until_ms": NOW_MS + 1, "waits": waits})
        }),
        ("far from over", 0, NOW_MS + 90_000, {
            json!({"not_before_ms": NOW_MS + 60_000, "waits_until_ms": NOW_MS + 90_000, "waits": waits})
        }),
        ("a scroll is open, too", NOW_MS, NOW_MS + 10, {
            json!({"not_before_ms": NOW_MS + 10, "waits_until_ms": NOW_MS + 65_000, "waits": waits})
        }),
    ] {
        let before = settling(json!({"after": stopped, "called_ms": called_ms, "waits": "w", "waits_until_ms": 7}));
        let run = run(json!({}));
        let earlier = EarlierRun { run: stopped.clone(), over_ms };
        let decision = after_earlier_run(before.clone(), earlier, PAUSES, &TurnFacts { run: &run, now_ms: NOW_MS });
        assert_decides(name, &before, &decision, "Waited", &changed);
    }
}
