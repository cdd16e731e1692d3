use serde_json::{Value, json};

mod last_page;
mod same_page;

use super::{NOW_MS, assert_changes, assert_decides, assert_flow, cursor, run};
use crate::domain::run::decide::{
    AnswerFacts, Commit, Decision, PageFacts, TurnAction, TurnFacts, after_answer, after_end, after_page, needs_count,
    paths_unseen,
};
use crate::domain::run::{Cursor, Position, State, Tally};

const AGAIN: &str = "the first page was empty; it is asked for again";

struct Row {
    name: &'static str,
    cursor: Value,
    run: Value,
    unseen: &'static [&'static str],
    expected: &'static str,
    changed: Value,
}

fn row(name: &'static str, cursor: Value, run: Value, expected: &'static str, changed: Value) -> Row {
    Row { name, cursor, run, unseen: &[], expected, changed }
}

impl Row {
    fn unseen(self, unseen: &'static [&'static str]) -> Self {
        Self { unseen, ..self }
    }
}

/// The ends of the pages, by an empty page.
fn assert_ends(rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        let (before, run) = (cursor(row.cursor), run(row.run));
        let answer = AnswerFacts { next: None, is_end: true, digest: 1, unseen: row.unseen };
        let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
        assert_flow(row.name, &before, flow, row.expected, &row.changed);
    }
}

#[test]
fn an_answer_is_a_page_or_the_one_before() {
    let was = json!({"scroll": "s", "digest": 1, "page": 4, "exists_tries": 2, "unanswered": 3, "unanswered_since_ms": 7,
        "idle_turns": 1});
    let answered = |more: Value| {
        let mut changed = json!({"exists_tries": 0, "unanswered": 0, "unanswered_since_ms": 0});
        for (name, value) in more.as_object().unwrap() {
            changed[name] = value.clone();
        }
        changed
    };
    let gap = json!({"page": 5, "pages_in_all": 1, "idle_turns": 2, "holes": [5], "repeats": 1});
    let third = json!({"page": 5, "pages_in_all": 1, "idle_turns": 2, "holes": [5], "repeats": 3});
    for (name, repeats, scroll, digest, expected, changed) in [
        ("next page", 0, Some("t"), 2, "Continues", answered(json!({"scroll": "t"}))),
        ("a page without a parameter", 0, None, 2, "Continues", answered(json!({}))),
        ("the same page", 0, Some("s"), 1, "Gap", answered(gap)),
        ("the same page for the second time", 1, None, 1, "Gap", {
            answered(json!({"page": 5, "pages_in_all": 1, "idle_turns": 2, "holes": [5], "repeats": 2}))
        }),
        ("the same page for the third time", 2, None, 1, "Stopped, failed: Intercom sent the same page three…", {
            answered(third)
        }),
    ] {
        let before = Cursor { repeats, ..cursor(was.clone()) };
        let run = run(json!({"count": 5_000}));
        let next = scroll.map(position);
        let answer = AnswerFacts { next: next.as_ref(), is_end: false, digest, unseen: &["plan"] };
        let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
        assert_flow(name, &before, flow, expected, &changed);
    }
    // A first page has none before it.
    let before = cursor(json!({}));
    let next = position("s");
    let answer = AnswerFacts { next: Some(&next), is_end: false, digest: 1, unseen: &[] };
    let all = run(json!({}));
    let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &all, now_ms: NOW_MS });
    assert_flow("first page", &before, flow, "Continues", &json!({"scroll": "s"}));
    // A list moves on once the page is sent.
    let answer = AnswerFacts { next: Some(&Position::Ids { pages: 0, users: 9 }), ..answer };
    let list = run(json!({"listed": 50}));
    let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &list, now_ms: NOW_MS });
    assert_flow("first page of a list", &before, flow, "Continues", &json!({}));
}

#[test]
fn an_empty_page_is_the_end_unless_users_are_missing() {
    let read = json!({"scroll": "s", "page": 50, "called_ms": 7, "waits": "w", "tally": {"users": 5_000}});
    let ended = json!({"phase": "ended", "scroll": null, "called_ms": 0, "waits": null});
    let again =
        json!({"scroll": null, "exists_tries": 0, "idle_turns": 3, "not_before_ms": NOW_MS + 65_000, "waits": AGAIN});
    let empty = json!({"scroll": "s", "exists_tries": 1, "idle_turns": 2, "called_ms": 7});
    let few = json!({"page": 3, "tally": {"users": 300}});
    let gaps =
        json!({"page": 3, "holes": [2, 3], "called_ms": 7, "scroll": "s", "tally": {"users": 100}, "parts_left": 1});
    let (many, list) = (json!({"count": 5_000}), json!({"listed": 3, "count": 9}));
    assert_ends([
        row("all pages read", read.clone(), many.clone(), "Ended, draining", ended.clone()),
        row("all pages read, by no count", read.clone(), json!({}), "Ended, draining", ended),
        row("first page empty", empty.clone(), many.clone(), "Waited", again.clone()),
        row("first page empty, one user", empty.clone(), json!({"count": 1}), "Waited", again.clone()),
        row(
            "first page empty too often",
            json!({"scroll": "s", "idle_turns": 3, "called_ms": 7}),
            many.clone(),
            "Stopped, failed: the scroll is empty although…",
            json!({"scroll": null}),
        ),
        row("empty workspace", json!({"called_ms": 7}), json!({"count": 0}), "Ended, draining", {
            json!({"phase": "ended", "called_ms": 0})
        }),
        row("workspace without a count", json!({}), json!({}), "Ended, draining", json!({"phase": "ended"})),
        row("empty list", json!({"called_ms": 7}), list, "Ended, draining", json!({"phase": "ended"})),
        row("gaps", gaps, many.clone(), "Regenerated", {
            json!({"phase": "settling", "settling_since_ms": NOW_MS, "scroll": null, "called_ms": 0, "parts_left": 0,
                "waits": "2 pages may be lost: the scroll is begun again"})
        })
        .unseen(&["plan"]),
        row(
            "limit leaves the scroll open",
            few.clone(),
            json!({"count": 5_000, "rails": {"limit": 500}}),
            "Ended, draining",
            json!({"phase": "ended"}),
        ),
        row(
            "after the canary the limit does not hold",
            json!({"page": 3, "called_ms": 7, "tally": {"users": 300}}),
            json!({"canary_ended": 1, "rails": {"limit": 500, "then_pause": true}}),
            "Ended, draining",
            json!({"phase": "ended", "called_ms": 0}),
        ),
        row(
            "limit: the scroll was called",
            json!({"page": 3, "called_ms": 7, "scroll": "s"}),
            json!({"rails": {"limit": 500}}),
            "Ended, draining",
            json!({"phase": "ended", "scroll": null}),
        ),
        row(
            "fewer users than counted, and a path unseen",
            few.clone(),
            many.clone(),
            "Stopped, paused: none of the first 300 users has plan, seats, which the plan reads…",
            json!({"phase": "settling", "settling_since_ms": NOW_MS, "excused": true}),
        )
        .unseen(&["plan", "seats"]),
        row("the sample was complete", read, many.clone(), "Ended, draining", {
            json!({"phase": "ended", "scroll": null, "called_ms": 0, "waits": null})
        })
        .unseen(&["plan"]),
        row("fewer users, all paths seen", few, many, "Ended, draining", json!({"phase": "ended"})),
    ]);
}

fn position(param: &str) -> Position {
    Position::Scroll { param: param.to_owned() }
}

fn page_facts<'a>(tally: &'a Tally, unseen: &'a [&'a str]) -> PageFacts<'a> {
    PageFacts { digest: 9, next: None, last: None, count: None, tally, paths_seen: 0b10, unseen, parts: 4 }
}

#[test]
fn the_page_that_completes_the_sample_needs_all_paths() {
    let tally = Tally { users: 100, patches: 7, ..Tally::default() };
    // A resume begins a new generation, because this page is not sent.
    let changed = json!({"attributes_seen": 3, "tally": {"users": 1_000, "patches": 9}, "phase": "settling",
        "settling_since_ms": NOW_MS, "excused": true});
    let paused = "Stopped, paused: none of the first 1000 users has plan, which…";
    for (name, users, of_run, unseen, expected) in [
        ("completes the sample", 900, json!({}), &["plan"][..], paused),
        ("all paths seen", 900, json!({}), &[], ""),
        ("accepted", 900, json!({"rails": {"accept_unseen": true}}), &["plan"], ""),
        ("before", 800, json!({}), &["plan"], ""),
        ("after", 1_000, json!({}), &["plan"], ""),
    ] {
        let before = cursor(json!({"attributes_seen": 1, "tally": {"users": users, "patches": 2}}));
        let run = run(of_run);
        match paths_unseen(&before, &page_facts(&tally, unseen), &TurnFacts { run: &run, now_ms: NOW_MS }) {
            Some(decision) => assert_decides(name, &before, &decision, expected, &changed),
            None => assert_eq!("", expected, "{name}"),
        }
    }
}

#[test]
fn a_page_that_was_sent_moves_the_cursor() {
    let tally = Tally { users: 100, patches: 7, ..Tally::default() };
    let was = json!({"page": 4, "pages_in_all": 9, "parts": 3, "digest": 8, "attributes_seen": 1, "repeats": 1,
        "idle_turns": 2, "waits": "w", "not_before_ms": 7, "scroll": "s", "called_ms": 5, "tally": {"users": 400},
        "interrupted": true});
    let turned = |more: Value| {
        let mut changed = json!({"page": 5, "pages_in_all": 10, "parts": 7, "digest": 9, "attributes_seen": 3, "repeats": 0,
            "idle_turns": 0, "waits": null, "not_before_ms": 0, "tally": {"users": 500, "patches": 7},
            "interrupted": null});
        for (name, value) in more.as_object().unwrap() {
            changed[name] = value.clone();
        }
        changed
    };
    let ended = json!({"phase": "ended", "scroll": null});
    let settles = json!({"phase": "settling", "settling_since_ms": NOW_MS, "scroll": null, "holes": [2],
        "waits": "1 pages may be lost: the scroll is begun again"});
    for (name, gaps, limits, expected, more) in [
        ("next page", json!([]), json!({}), "Turned", json!({})),
        ("below the limit", json!([]), json!({"limit": 501}), "Turned", json!({})),
        ("at the limit", json!([]), json!({"limit": 500}), "Ended, draining", ended),
        ("at the limit, with gaps", json!([2]), json!({"limit": 500}), "Regenerated", settles),
    ] {
        let mut before = cursor(was.clone());
        before.gaps = serde_json::from_value(gaps).unwrap();
        let run = run(json!({"rails": limits, "count": 5_000}));
        let facts = TurnFacts { run: &run, now_ms: NOW_MS };
        let decision = after_page(before.clone(), &page_facts(&tally, &["plan"]), &facts);
        let mut changed = turned(more);
        changed.as_object_mut().unwrap().remove("holes");
        assert_decides(name, &before, &decision, expected, &changed);
    }
    let (before, run) = (cursor(json!({"list_read": [1, 20]})), run(json!({"listed": 5_000})));
    let next = Position::Ids { pages: 2, users: 1 };
    let page = PageFacts { next: Some(&next), ..page_facts(&tally, &[]) };
    let decision = after_page(before, &page, &TurnFacts { run: &run, now_ms: NOW_MS });
    assert_eq!((decision.next.position, decision.action), (next, TurnAction::Turned), "next page of a list");
}

#[test]
fn the_end_is_compared_with_intercom_s_count() {
    let ended = |fields: Value| {
        let next = cursor(super::merged(json!({"phase": "ended"}), fields));
        Decision { next, commit: Commit::State { state: State::Draining, reason: None }, action: TurnAction::Ended }
    };
    let read = || json!({"tally": {"users": 4_800, "unreadable": 100}});
    let cut = |count: u64, read: u64| json!({"cut": format!("Intercom counts {count} users, and its list ended after {read}: start it again later")});
    let with_count = |count: u64| super::merged(read(), json!({"count_at_end": count}));
    for (name, fields, of_run, counts, changed) in [
        ("as many as counted", read(), json!({"count": 5_000}), false, json!({})),
        ("fewer", read(), json!({"count": 5_001}), true, cut(5_001, 4_900)),
        ("no count", read(), json!({}), true, json!({})),
        ("fewer by the count at the end", with_count(6_000), json!({}), false, cut(6_000, 4_900)),
        ("the count of the start was old", with_count(5_000), json!({"count": 6_000}), false, json!({})),
        ("limit", read(), json!({"count": 9_000, "rails": {"limit": 9}}), false, json!({})),
        ("list", read(), json!({"listed": 9_000, "count": 9_000}), false, json!({})),
    ] {
        let (decision, run) = (ended(fields), run(of_run));
        assert_eq!(needs_count(&decision, &run), counts, "{name}");
        let after = after_end(decision.clone(), &run);
        assert_eq!((&after.commit, after.action), (&decision.commit, decision.action), "{name}");
        assert_changes(name, &decision.next, &after.next, &changed);
    }
    let many = run(json!({"count": 9_000}));
    let turned = Decision { commit: Commit::Turn, ..ended(read()) };
    let paused = Decision { commit: Commit::State { state: State::Paused, reason: None }, ..ended(read()) };
    let turning = Decision { next: cursor(read()), ..ended(read()) };
    for other in [turned, paused, turning] {
        assert!(!needs_count(&other, &many), "{other:?}");
        assert_eq!(after_end(other.clone(), &many), other);
    }
}
