//! The last page of a list, which is requested again.

use serde_json::json;

use super::super::{NOW_MS, assert_flow, cursor, merged, run};
use super::page_facts;
use crate::domain::run::decide::{
    AnswerFacts, Commit, Decision, PageFacts, TurnAction, TurnFacts, after_answer, after_page,
};
use crate::domain::run::{LastPage, Position, Tally};

/// The last page of a list is requested again after 30, 60 and 120 s while Intercom counts more users.
#[test]
fn last_page_is_requested_again_while_users_are_missing() {
    let tally = Tally { users: 100, ..Tally::default() };
    let place = Position::List { after: "WzFd".to_owned() };
    let cursor = cursor(json!({"page": 9, "list": {"after": "WzFd"}, "tally": {"users": 900}}));
    for (name, count, repeats, of_run, wait_ms) in [
        ("as many as counted", Some(1_000), 0, json!({}), None),
        ("more than counted", Some(999), 0, json!({}), None),
        ("no count", None, 0, json!({}), None),
        ("fewer", Some(1_001), 0, json!({}), Some(30_000)),
        ("fewer again", Some(1_001), 1, json!({}), Some(60_000)),
        ("fewer for the third time", Some(1_001), 2, json!({}), Some(120_000)),
        ("fewer to the end", Some(1_001), 3, json!({}), None),
        ("part of the workspace", Some(1_001), 0, json!({"rails": {"limit": 5_000}}), None),
    ] {
        let last = LastPage { place: place.clone(), users: vec![7], unreadable: 0, repeats };
        let facts = PageFacts { next: Some(&Position::ListEnd), last: Some(&last), count, ..page_facts(&tally, &[]) };
        let run = run(merged(json!({"api": "v2"}), of_run));
        let Decision { next, commit, action } =
            after_page(cursor.clone(), &facts, &TurnFacts { run: &run, now_ms: NOW_MS });
        assert_eq!((commit, action, next.count_at_end), (Commit::Turn, TurnAction::Turned, count), "{name}");
        let again = wait_ms.map(|_| LastPage { repeats: repeats + 1, ..last.clone() });
        assert_eq!(next.last_page, again, "{name}");
        assert_eq!(next.position, if again.is_some() { place.clone() } else { Position::ListEnd }, "{name}");
        assert_eq!(next.not_before_ms, wait_ms.map_or(0, |ms| NOW_MS + ms), "{name}");
        let waits = "Intercom counts 1001 users and listed 1000, so the last page is requested again";
        assert_eq!(next.waits.as_deref(), again.map(|_| waits), "{name}");
    }
    // The same page is not a repeated answer then, and the users on it are known.
    let last_page = json!({"place": {"list": {"after": "WzFd"}}, "users": [], "unreadable": 0, "repeats": 1});
    let asked_again =
        super::super::cursor(json!({"page": 9, "list": {"after": "WzFd"}, "digest": 1, "last_page": last_page}));
    let answer = AnswerFacts { next: Some(&Position::ListEnd), is_end: false, digest: 1, unseen: &[] };
    let run = run(json!({"api": "v2"}));
    let flow = after_answer(asked_again.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
    assert_flow("the last page again", &asked_again, flow, "Continues", &json!({}));
}

/// Another page may follow the last one when it is requested again. A user of it may have moved on, and the
/// run knows the users of that page until the page after it.
#[test]
fn users_of_the_last_page_are_known_on_the_next_one() {
    let place = |after: &str| Position::List { after: after.to_owned() };
    let tally = Tally { users: 1, ..Tally::default() };
    let run = run(json!({"api": "v2"}));
    let facts = TurnFacts { run: &run, now_ms: NOW_MS };
    let last = json!({"place": {"list": {"after": "a"}}, "users": [7], "unreadable": 0, "repeats": 1});
    let again = cursor(json!({"page": 9, "list": {"after": "a"}, "digest": 1, "last_page": last}));
    let next = |to: &str, cursor| {
        let next = place(to);
        let page = PageFacts { next: Some(&next), ..page_facts(&tally, &[]) };
        after_page(cursor, &page, &facts).next
    };
    let moved = next("b", again.clone());
    assert_eq!((&moved.position, &moved.last_page), (&place("b"), &again.last_page));
    // It is an answer like any other: an equal page is requested again.
    let same = AnswerFacts { next: Some(&place("c")), is_end: false, digest: moved.digest.unwrap(), unseen: &[] };
    assert!(after_answer(moved.clone(), &same, &facts).is_break());
    let after = next("c", moved);
    assert_eq!((after.position, after.last_page), (place("c"), None));
}
