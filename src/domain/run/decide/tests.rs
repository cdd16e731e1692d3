//! Tables of the decisions. A row names the relevant fields of cursor and run by their stored
//! names, and lists every field of the cursor that the decision changes.

mod earlier;
mod failure;
mod limits;
mod message;
mod page;
mod reading;
mod sample;
mod settle;

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::run::{EXCLUSIVE_LIFE_MS, RunId};

const NOW_MS: i64 = 1_000_000;
const DEADLINE_MS: i64 = 10_000_000;

/// A cursor before its first page, with these fields.
fn cursor(fields: Value) -> Cursor {
    let first = Cursor::first(RunId::of("p", 0), 0, EXCLUSIVE_LIFE_MS);
    serde_json::from_value(merged(serde_json::to_value(first).unwrap(), fields)).unwrap()
}

/// A run of all users, with these fields.
fn run(fields: Value) -> Run {
    let stored = json!({"v": 1, "run": "p.19700101T000000Z", "plan": "p", "state": "running", "generation": 1,
        "started_ms": 0, "deadline_ms": DEADLINE_MS});
    serde_json::from_value(merged(stored, fields)).unwrap()
}

fn merged(mut stored: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields} is no object") };
    for (name, value) in fields {
        let there = stored[&name].take();
        stored[&name] = if there.is_object() { merged(there, value) } else { value };
    }
    stored
}

/// The fields that differ, with their values in `after`; null where `after` does not have one.
fn changes(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return after.clone() };
    let mut changed = Map::new();
    for name in old.keys().chain(new.keys()) {
        if before[name] != after[name] {
            changed.insert(name.clone(), changes(&before[name], &after[name]));
        }
    }
    Value::Object(changed)
}

/// Asserts that the cursor changed in these fields only.
fn assert_changes(name: &str, before: &Cursor, after: &Cursor, expected: &Value) {
    let [before, after] = [before, after].map(|cursor| serde_json::to_value(cursor).unwrap());
    assert_eq!(changes(&before, &after), *expected, "{name}");
}

/// A decision in words: the action, and the state with its reason.
fn words(decision: &Decision) -> String {
    let action = format!("{:?}", decision.action);
    match &decision.commit {
        Commit::Turn => action,
        Commit::Generation => format!("{action}, generation"),
        Commit::State { state, reason: None } => format!("{action}, {state}"),
        Commit::State { state, reason: Some(reason) } => format!("{action}, {state}: {reason}"),
    }
}

/// Asserts a function's decision, in words and by the fields that it changed. An expected `…` at
/// the end leaves the rest of the words open.
fn assert_decides(name: &str, before: &Cursor, decision: &Decision, expected: &str, fields: &Value) {
    let words = words(decision);
    match expected.strip_suffix('…') {
        Some(begin) => assert!(words.starts_with(begin), "{name}: {words}"),
        None => assert_eq!(words, expected, "{name}"),
    }
    assert_changes(name, before, &decision.next, fields);
}

/// The same for a function that may continue, which is expected as `Continues`.
fn assert_flow(name: &str, before: &Cursor, flow: ControlFlow<Decision, Cursor>, expected: &str, fields: &Value) {
    match flow {
        ControlFlow::Break(decision) => assert_decides(name, before, &decision, expected, fields),
        ControlFlow::Continue(next) => {
            assert_eq!("Continues", expected, "{name}");
            assert_changes(name, before, &next, fields);
        }
    }
}

fn lease(until_ms: i64) -> Value {
    json!({"owner": "died", "message": "m", "until_ms": until_ms})
}

#[test]
fn crash_costs_a_page_or_a_generation() {
    let cut_off = "an invocation was cut off; the pages are begun again";
    let again = |called_ms: i64| json!({"claim": null, "called_ms": called_ms, "phase": "settling", "settling_since_ms": NOW_MS, "waits": cut_off});
    for (name, fields, listed, expected, changed) in [
        ("no lease", json!({"scroll": "s", "claims": 2}), false, "Continues", json!({})),
        (
            "settling requests no page",
            json!({"phase": "settling", "claim": lease(900_000), "claims": 1}),
            false,
            "Continues",
            json!({"claim": null}),
        ),
        (
            "first page",
            json!({"claim": lease(900_000), "called_ms": 5, "parts_left": 0}),
            false,
            "Regenerated",
            again(900_000),
        ),
        (
            "first page, called after the lease was read",
            json!({"claim": lease(900_000), "called_ms": 950_000}),
            false,
            "Regenerated",
            json!({"claim": null, "phase": "settling", "settling_since_ms": NOW_MS, "waits": cut_off}),
        ),
        (
            "list: nothing is called",
            json!({"claim": lease(900_000), "list_read": [3, 1], "waits_until_ms": 7, "parts_left": 2}),
            true,
            "Regenerated",
            json!({"claim": null, "phase": "settling", "settling_since_ms": NOW_MS, "waits": cut_off,
                "waits_until_ms": null, "parts_left": 0}),
        ),
        (
            "first page of a list",
            json!({"claim": lease(900_000), "called_ms": 7}),
            true,
            "Regenerated",
            json!({"claim": null, "phase": "settling", "settling_since_ms": NOW_MS, "waits": cut_off}),
        ),
        (
            "later page",
            json!({"claim": lease(900_000), "claims": 1, "scroll": "s", "page": 4, "pages_in_all": 9}),
            false,
            "Continues",
            json!({"claim": null, "called_ms": 900_000, "page": 5, "pages_in_all": 10, "idle_turns": 1, "holes": [5]}),
        ),
        (
            "a cursor of a version that counted no leases",
            json!({"claim": lease(900_000), "claims": 0, "scroll": "s"}),
            false,
            "Continues",
            json!({"claim": null, "called_ms": 900_000, "page": 1, "pages_in_all": 1, "idle_turns": 1, "holes": [1]}),
        ),
        (
            "three leases",
            json!({"claim": lease(900_000), "claims": 3, "scroll": "s"}),
            false,
            "Continues",
            json!({"claim": null, "called_ms": 900_000, "page": 3, "pages_in_all": 3, "idle_turns": 3, "holes": [1, 2, 3]}),
        ),
        (
            "no more gaps than the bound",
            json!({"claim": lease(900_000), "claims": 3, "scroll": "s", "page": 9, "holes": [1, 2, 3, 4, 5, 6, 7, 8, 9]}),
            false,
            "Continues",
            json!({"claim": null, "called_ms": 900_000, "page": 10, "pages_in_all": 1, "idle_turns": 1,
                "holes": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}),
        ),
    ] {
        let before = cursor(fields);
        let run = run(if listed { json!({"listed": 50}) } else { json!({}) });
        let facts = TurnFacts { run: &run, now_ms: NOW_MS };
        assert_flow(name, &before, after_crash(before.clone(), &facts), expected, &changed);
    }
}

#[test]
fn bounds_end_the_pages() {
    let past = DEADLINE_MS + 1;
    let gaps: Vec<u32> = (1..=10).collect();
    for (name, fields, of_run, now_ms, expected, changed) in [
        (
            "within all",
            json!({"idle_turns": 49, "holes": gaps[..9], "pages_in_all": 1}),
            json!({}),
            NOW_MS,
            "",
            json!({}),
        ),
        ("at the deadline", json!({}), json!({}), DEADLINE_MS, "", json!({})),
        (
            "past the deadline",
            json!({}),
            json!({}),
            past,
            "Stopped, incomplete: past its deadline, with pages left to turn; 0 users were read",
            json!({}),
        ),
        (
            "past the deadline, after a wait",
            json!({"waits": "why", "tally": {"users": 40}}),
            json!({"count": 100}),
            past,
            "Stopped, incomplete: past its deadline, with pages left to turn; 40 of 100 users were read; the last: why",
            json!({}),
        ),
        (
            "past the deadline, settling",
            json!({"phase": "settling", "waits": "why"}),
            json!({}),
            past,
            "Stopped, incomplete: past its deadline, before its last generation; 0 users were read; the last: why",
            json!({}),
        ),
        (
            "settling has no other bound",
            json!({"phase": "settling", "idle_turns": 99, "holes": gaps, "pages_in_all": 9_999_999}),
            json!({"listed": 10}),
            NOW_MS,
            "",
            json!({}),
        ),
        ("as many pages as are allowed", json!({"pages_in_all": 120}), json!({"listed": 10}), NOW_MS, "", json!({})),
        (
            "too many pages",
            json!({"pages_in_all": 121}),
            json!({"listed": 10}),
            NOW_MS,
            "Stopped, failed: 121 pages are far more than the workspace has users for",
            json!({}),
        ),
        (
            "each generation may read as many",
            json!({"pages_in_all": 240, "generation": 2}),
            json!({"listed": 10}),
            NOW_MS,
            "",
            json!({}),
        ),
        (
            "too many pages in two generations",
            json!({"pages_in_all": 241, "generation": 2}),
            json!({"listed": 10}),
            NOW_MS,
            "Stopped, failed: 241 pages…",
            json!({}),
        ),
        (
            "idle turns",
            json!({"idle_turns": 50, "waits": "why", "holes": gaps}),
            json!({}),
            NOW_MS,
            "Ended, draining",
            json!({"phase": "ended", "cut": "50 turns in a row brought no page; the last: why; 0 users were read"}),
        ),
        (
            "gaps",
            json!({"holes": gaps, "parts_left": 3, "waits_until_ms": 7}),
            json!({}),
            NOW_MS,
            "Regenerated",
            json!({"phase": "settling", "settling_since_ms": NOW_MS, "parts_left": 0, "waits_until_ms": null,
                "waits": "10 pages may be lost: the scroll is begun again"}),
        ),
    ] {
        let before = cursor(fields);
        let run = run(of_run);
        match bounds(&before, &TurnFacts { run: &run, now_ms }) {
            Some(decision) => assert_decides(name, &before, &decision, expected, &changed),
            None => assert_eq!("", expected, "{name}"),
        }
    }
}

#[test]
fn another_turn_follows_until_the_pages_or_the_run_end() {
    let (turns, ended) = (cursor(json!({})), cursor(json!({"phase": "ended"})));
    for (next, commit, goes_on) in [
        (&turns, Commit::Turn, true),
        (&ended, Commit::Turn, false),
        (&turns, Commit::Generation, true),
        (&ended, Commit::State { state: State::Running, reason: None }, true),
        (&turns, Commit::State { state: State::Paused, reason: None }, false),
        (&ended, Commit::State { state: State::Draining, reason: None }, false),
    ] {
        let decision = Decision { next: next.clone(), commit, action: TurnAction::Waited };
        assert_eq!(decision.goes_on(), goes_on, "{decision:?}");
    }
}

#[test]
fn waits_count_as_idle_or_have_a_bound_of_their_own() {
    let before = cursor(json!({"idle_turns": 4}));
    let until = json!({"not_before_ms": 5, "waits": "why"});
    let idle = merged(until.clone(), json!({"idle_turns": 5}));
    let spent = json!({"not_before_ms": 5, "waits": "the rate limit's window is spent", "spent_since_ms": 3});
    assert_decides("bounded", &before, &Decision::wait(before.clone(), 5, "why"), "Waited", &until);
    assert_decides("idle", &before, &Decision::idle(before.clone(), 5, "why"), "Waited", &idle);
    assert_decides("spent", &before, &Decision::spent(before.clone(), 3, 5), "Waited", &spent);
}
