//! A page of a list that Intercom sends again, or that names its own place as the next one.

use serde_json::json;

use super::super::{NOW_MS, assert_flow, cursor, merged, run};
use crate::domain::run::Position;
use crate::domain::run::decide::{AnswerFacts, TurnFacts, after_answer};

/// The position of a list is kept, so the same page is requested five times more, after 10 to 160 s.
/// Then the reading ends, and the run says that its list was cut.
#[test]
fn page_that_stays_repeated_is_requested_five_times_more() {
    let was = json!({"page": 4, "list": {"after": "here"}, "digest": 1, "tally": {"users": 600}});
    let (own, next) = (Position::List { after: "here".to_owned() }, Position::List { after: "next".to_owned() });
    let run = run(json!({"api": "v2", "count": 900}));
    for (name, place, digest) in [("the page before", &next, 1), ("its own place", &own, 2)] {
        for (repeats, wait_ms) in [(0, 10_000), (1, 20_000), (2, 40_000), (3, 80_000), (4, 160_000)] {
            let before = cursor(merged(was.clone(), json!({"repeats": repeats})));
            let answer = AnswerFacts { next: Some(place), is_end: false, digest, unseen: &[] };
            let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
            let waits = "Intercom sent the same page, or its own place, again";
            let changed = json!({"repeats": repeats + 1, "not_before_ms": NOW_MS + wait_ms, "waits": waits});
            assert_flow(name, &before, flow, "Waited", &changed);
        }
        let before = cursor(merged(was.clone(), json!({"repeats": 5})));
        let answer = AnswerFacts { next: Some(place), is_end: false, digest, unseen: &[] };
        let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
        let cut = "Intercom sent the same page or its own place 6 times in a row; 600 of 900 users were read";
        assert_flow(name, &before, flow, "Ended, draining", &json!({"repeats": 6, "phase": "ended", "cut": cut}));
    }
    // A page that differs and names another place is read.
    let before = cursor(was);
    let answer = AnswerFacts { next: Some(&next), is_end: false, digest: 2, unseen: &[] };
    let flow = after_answer(before.clone(), &answer, &TurnFacts { run: &run, now_ms: NOW_MS });
    assert_flow("the next page", &before, flow, "Continues", &json!({}));
}
