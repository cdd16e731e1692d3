use serde_json::{Value, json};

use super::settle::{accounts, settle_facts, settling};
use super::{NOW_MS, assert_changes, assert_decides, cursor, run};
use crate::domain::run::decide::{
    Commit, Decision, PageFacts, TurnAction, TurnFacts, after_page, after_wait, must_count_failed, over_max_changes,
    over_max_errors, within_max_changes,
};
use crate::domain::run::{Cursor, Run, State, Tally};

/// A run whose parts are in the ledger before they are sent.
fn kept(fields: Value) -> Run {
    run(super::merged(json!({"v": 2}), fields))
}

fn page() -> Tally {
    Tally { users: 90, unreadable: 10, patches: 3, errors: 2, ..Tally::default() }
}

#[test]
fn a_page_over_max_changes_fails_the_run() {
    let first = json!({"tally": {"patches": 30, "errors": 5}});
    let later = json!({"changed_before": 10, "tally": {"patches": 20, "errors": 5}});
    let over = "Stopped, failed: it would change more than 32 users (max_changes); ";
    let nothing = format!("{over}nothing was written");
    let before = format!("{over}up to 10 users were changed before, and nothing was written since");
    let format_1 = format!("{over}nothing of this page was sent");
    let percent = || json!({"max_changes": {"percent": 10}});
    for (name, fields, run, expected) in [
        ("no limit", &first, kept(json!({"count": 5})), ""),
        ("as many", &first, kept(json!({"rails": {"max_changes": {"users": 33}}})), ""),
        ("one more", &first, kept(json!({"rails": {"max_changes": {"users": 32}}})), nothing.as_str()),
        ("with those of a generation before", &later, kept(json!({"rails": {"max_changes": {"users": 32}}})), &before),
        ("a percentage waits for the last page", &first, kept(json!({"count": 9, "rails": percent()})), ""),
        ("format 1: as many of the count", &later, run(json!({"count": 330, "rails": percent()})), ""),
        ("format 1: one more", &later, run(json!({"count": 329, "rails": percent()})), &format_1),
        ("format 1: of a list", &later, run(json!({"listed": 329, "rails": percent()})), &format_1),
        ("format 1: the count comes first", &later, run(json!({"count": 330, "listed": 9, "rails": percent()})), ""),
        ("format 1: no count", &later, run(json!({"rails": percent()})), ""),
    ] {
        let before = cursor(fields.clone());
        match over_max_changes(&before, &page(), &run) {
            Some(decision) => assert_decides(name, &before, &decision, expected, &json!({})),
            None => assert_eq!("", expected, "{name}"),
        }
    }
}

#[test]
fn a_percentage_is_of_the_users_read() {
    let percent = |percent: u8| json!({"count": 9_999, "rails": {"max_changes": {"percent": percent}}});
    let read = |changed_before: u64, patches: u64| {
        let tally = json!({"users": 320, "unreadable": 9, "patches": patches});
        json!({"changed_before": changed_before, "tally": tally})
    };
    let number = json!({"rails": {"max_changes": {"users": 1}}});
    let drains = Commit::State { state: State::Draining, reason: None };
    let over = "Stopped, failed: it would change 33 of 329 users, more than 10 % (max_changes); ";
    let nothing = format!("{over}nothing was written");
    let since = format!("{over}up to 3 users were changed before, and nothing was written since");
    for (name, fields, run, commit, expected) in [
        ("as many", read(0, 32), kept(percent(10)), &drains, "Ended, draining"),
        ("one more", read(0, 33), kept(percent(10)), &drains, nothing.as_str()),
        ("with those of a generation before", read(3, 30), kept(percent(10)), &drains, &since),
        ("all", read(0, 329), kept(percent(100)), &drains, "Ended, draining"),
        ("all, with those of a generation before", read(12, 329), kept(percent(100)), &drains, "Ended, draining"),
        ("none is allowed", read(0, 0), kept(percent(0)), &drains, "Ended, draining"),
        ("no user", json!({}), kept(percent(0)), &drains, "Ended, draining"),
        ("the pages go on", read(0, 33), kept(percent(10)), &Commit::Turn, "Ended"),
        ("a number is checked at each page", read(0, 33), kept(number), &drains, "Ended, draining"),
        ("format 1 checked each page", read(0, 33), run(percent(10)), &drains, "Ended, draining"),
    ] {
        let next = cursor(super::merged(json!({"phase": "ended"}), fields));
        let decision = Decision { next: next.clone(), commit: commit.clone(), action: TurnAction::Ended };
        assert_decides(name, &next, &within_max_changes(decision, &run), expected, &json!({}));
    }
}

#[test]
fn a_canary_is_compared_with_the_users_that_it_read() {
    let limits = json!({"limit": 100, "then_pause": true, "max_changes": {"percent": 3}});
    let run = kept(json!({"rails": limits, "held_back": true, "count": 5_000}));
    let before = cursor(json!({"page": 0}));
    for (patches, expected) in [(3, "Ended, draining"), (4, "Stopped, failed: it would change 4 of 100 users…")] {
        let tally = Tally { users: 100, patches, ..Tally::default() };
        let facts = PageFacts {
            digest: 9,
            next: None,
            last: None,
            count: None,
            tally: &tally,
            paths_seen: 0,
            unseen: &[],
            parts: 1,
        };
        let decision = after_page(before.clone(), &facts, &TurnFacts { run: &run, now_ms: NOW_MS });
        let decided = within_max_changes(decision.clone(), &run);
        assert_changes("the cursor stays", &decision.next, &decided.next, &json!({}));
        assert_decides("canary", &decided.next, &decided, expected, &json!({}));
    }
}

#[test]
fn max_errors_counts_users() {
    let before = cursor(json!({"tally": {"users": 400, "errors": 5}}));
    let counts = |errors: u64, most: Value| {
        must_count_failed(&before, &page(), &kept(json!({"errors": errors, "rails": {"max_errors": most}})))
    };
    for (errors, most, expected) in [
        (0, Value::Null, false),
        (4, json!(11), false),
        (5, json!(11), true),
        (0, json!(6), true),
        // 500 users are read with this page.
        (3, json!({"percent": 2}), false),
        (4, json!({"percent": 2}), true),
    ] {
        assert_eq!(counts(errors, most.clone()), expected, "{errors} {most}");
    }
    let over = |cursor: &Cursor, failed, most: Value| {
        over_max_errors(cursor, &page(), failed, &kept(json!({"rails": {"max_errors": most}})))
    };
    let failed = over(&before, 7, json!(6)).unwrap();
    assert_decides("max_errors", &before, &failed, "Stopped, failed: more than 6 users are in error…", &json!({}));
    let share = "Stopped, failed: 11 of 500 users are in error, more than 2 % (max_errors)…";
    assert_decides("share", &before, &over(&before, 11, json!({"percent": 2})).unwrap(), share, &json!({}));
    for (failed, most) in [(6, json!(6)), (7, Value::Null), (10, json!({"percent": 2}))] {
        assert_eq!(over(&before, failed, most.clone()), None, "{failed} {most}");
    }
}

#[test]
fn a_generation_that_was_held_back_is_void() {
    let run = run(json!({"v": 2, "held_back": true, "count": 5_000, "rails": {"max_changes": {"users": 30}}}));
    let facts = TurnFacts { run: &run, now_ms: NOW_MS };
    for (name, fields, expected, changed) in [
        (
            "its parts are not waited for, and its patches not counted",
            json!({"changed_before": 2, "parts": 3, "holes": [4]}),
            "Regenerated, generation",
            json!({"phase": "turning", "generation": 2, "counted": 2, "furthest": 7, "page": 0, "not_before_ms": NOW_MS,
                "parts": 0, "holes": null, "settling_since_ms": 0, "tally": {"users": 0, "patches": 0}}),
        ),
        (
            "the last one allowed is sent",
            json!({"counted": 20, "holes": [4]}),
            "Ended, draining",
            json!({"phase": "ended", "parts_left": 3, "parts_left_ms": NOW_MS,
                "cut": "1 pages may be lost, and 20 generations were begun; 700 of 5000 users were read"}),
        ),
    ] {
        let before = settling(fields);
        let accounts = accounts(3, 0, 0);
        let settle = settle_facts(&accounts, None);
        let decision = after_wait(before.clone(), &settle, &facts);
        assert_decides(name, &before, &decision, expected, &changed);
    }
}
