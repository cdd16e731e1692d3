use serde_json::json;

use super::settle::{PAUSES, lest, settling};
use super::{NOW_MS, assert_decides, run};
use crate::domain::run::decide::{
    Decision, EarlierRuns, StartWait, TurnAction, TurnFacts, after_earlier_runs, earlier_runs, is_long_wait,
};
use crate::domain::run::{RunId, Unsettled};

#[test]
fn a_run_waits_for_earlier_runs() {
    let over = json!({"phase": "turning", "after": null, "waits": null, "waits_until_ms": null});
    let earlier = |until_ms, due_ms| Some(EarlierRuns { why: "why".to_owned(), until_ms, due_ms });
    for (name, called_ms, earlier, changed) in [
        ("none", 0, None, over),
        ("a look is due soon", 0, earlier(NOW_MS + 90_000, NOW_MS + 10), {
            json!({"not_before_ms": NOW_MS + 10, "waits_until_ms": NOW_MS + 90_000, "waits": "why"})
        }),
        ("a look is overdue", 0, earlier(NOW_MS + 90_000, NOW_MS - 10), {
            json!({"not_before_ms": NOW_MS + 1, "waits_until_ms": NOW_MS + 90_000, "waits": "why"})
        }),
        ("a look is due later, and a release may come", 0, earlier(NOW_MS + 90_000, NOW_MS + 80_000), {
            json!({"not_before_ms": NOW_MS + 60_000, "waits_until_ms": NOW_MS + 90_000, "waits": "why"})
        }),
        ("a scroll is open, too", NOW_MS, earlier(NOW_MS + 10, NOW_MS + 10), {
            json!({"not_before_ms": NOW_MS + 10, "waits_until_ms": NOW_MS + 65_000, "waits": "why"})
        }),
    ] {
        let before =
            settling(json!({"after": RunId::of("q", 0), "called_ms": called_ms, "waits": "w", "waits_until_ms": 7}));
        let run = run(json!({}));
        let facts = TurnFacts { run: &run, now_ms: NOW_MS };
        let decision = after_earlier_runs(before.clone(), earlier.as_ref(), PAUSES, &facts);
        assert_decides(name, &before, &decision, "Waited", &changed);
    }
}

#[test]
fn the_run_that_is_settled_last_is_named() {
    let unsettled = |name: &str, until_ms, due_ms| {
        let stored =
            json!({"run": RunId::of(name, 0), "ended_ms": NOW_MS, "writes_until_ms": until_ms, "due_ms": due_ms});
        serde_json::from_value::<Unsettled>(stored).unwrap()
    };
    assert_eq!(earlier_runs(&[]), None);
    let runs = [unsettled("a", NOW_MS + 60_000, 5), unsettled("b", NOW_MS + 120_000, 3), unsettled("c", NOW_MS, 9)];
    let why = |name: &str, until: &str| {
        format!("requests of {}, which ended at 00:16 UTC, may take effect until {until} UTC", RunId::of(name, 0))
    };
    for (count, expected, until_ms, due_ms) in [
        (1, lest(&why("a", "00:17")), NOW_MS + 60_000, 5),
        (2, lest(&format!("{}; so may 1 more run", why("b", "00:18"))), NOW_MS + 120_000, 3),
        (3, lest(&format!("{}; so may 2 more runs", why("b", "00:18"))), NOW_MS + 120_000, 3),
    ] {
        assert_eq!(earlier_runs(&runs[..count]), Some(EarlierRuns { why: expected, until_ms, due_ms }));
    }
}

#[test]
fn a_wait_of_more_than_an_hour_is_long() {
    let hour_ms = 3600 * 1000;
    for (name, fields, action, long) in [
        ("an hour and a bit", json!({"settling_since_ms": 1}), TurnAction::Waited, true),
        ("an hour", json!({"settling_since_ms": 2}), TurnAction::Waited, false),
        (
            "the parts ended a moment ago",
            json!({"settling_since_ms": 1, "parts_left_ms": 2}),
            TurnAction::Waited,
            false,
        ),
        ("for parts", json!({"settling_since_ms": 1, "parts_left": 1}), TurnAction::Waited, false),
        (
            "for a request, not for the parts of a lost queue",
            { json!({"settling_since_ms": 1, "parts_left": 1, "queue_lost": true}) },
            TurnAction::Waited,
            true,
        ),
        ("a cursor of an earlier version", json!({}), TurnAction::Waited, false),
        ("it goes on", json!({"settling_since_ms": 1}), TurnAction::Regenerated, false),
        ("a page", json!({"settling_since_ms": 1, "phase": "turning"}), TurnAction::Waited, false),
    ] {
        let (run, decision) = (run(json!({})), Decision::turn(settling(fields), action));
        assert_eq!(is_long_wait(&decision, &TurnFacts { run: &run, now_ms: hour_ms + 2 }), long, "{name}");
    }
    let (resumed, waits) = (run(json!({"resumed_ms": 2})), settling(json!({"settling_since_ms": 1})));
    let facts = TurnFacts { run: &resumed, now_ms: hour_ms + 2 };
    assert!(!is_long_wait(&Decision::turn(waits, TurnAction::Waited), &facts), "it was paused until then");
}

#[test]
fn wait_of_a_start_is_long_after_an_hour_of_tries() {
    const MINUTE_MS: i64 = 60_000;
    for (name, before, now, since, is_long) in [
        ("the first try", None, 70, 70, false),
        ("just an hour", Some((10, 69)), 70, 10, false),
        ("a minute more", Some((9, 69)), 70, 9, true),
        ("it waited behind a run in between", Some((9, 55)), 70, 70, false),
        ("a try after an error", Some((9, 56)), 70, 9, true),
    ] {
        let wait = |(since, tried): (i64, i64)| StartWait { since_ms: since * MINUTE_MS, tried_ms: tried * MINUTE_MS };
        let tried = StartWait::tried(before.map(wait), now * MINUTE_MS);
        assert_eq!((tried, tried.is_long()), (wait((since, now)), is_long), "{name}");
    }
}
