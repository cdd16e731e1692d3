use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::{DEADLINE_MS, assert_decides, cursor, run};
use crate::domain::run::Speed;
use crate::domain::run::decide::{TurnFacts, after_reading_time};

/// 100 users need a minute and the time until the last job is closed, which is half an hour.
const ENDS_MS: i64 = DEADLINE_MS - 2 * 60_000 - 30 * 60_000;

struct Row {
    name: &'static str,
    cursor: Value,
    queued: u64,
    now_ms: i64,
    cut: Option<&'static str>,
}

#[test]
fn reading_ends_in_time_for_what_is_queued() {
    let cut = "reading ended 31 min before the deadline, which 100 queued users need; 40 of 90 users were read";
    let after_a_cut = "the scroll expired before its end; reading ended 31 min before the deadline, which 100 queued users \
                       need; 40 of 90 users were read";
    for Row { name, cursor: fields, queued, now_ms, cut } in [
        Row { name: "in time", cursor: json!({}), queued: 100, now_ms: ENDS_MS, cut: None },
        Row { name: "too late for more", cursor: json!({}), queued: 100, now_ms: ENDS_MS + 1, cut: Some(cut) },
        Row { name: "nothing is queued", cursor: json!({}), queued: 0, now_ms: DEADLINE_MS, cut: None },
        Row {
            name: "between two generations",
            cursor: json!({"phase": "settling", "cut": "the scroll expired before its end"}),
            queued: 100,
            now_ms: ENDS_MS + 1,
            cut: Some(after_a_cut),
        },
    ] {
        let mut before = cursor(fields);
        before.tally.users = 40;
        let run = run(json!({"count": 90}));
        let speed = Speed { operations_per_10s: 1_000, max_per_minute: NonZeroU32::new(100) };
        let facts = TurnFacts { run: &run, now_ms };
        match after_reading_time(&before, queued, speed, &facts) {
            Some(decision) => {
                let changed = json!({"phase": "ended", "cut": cut});
                assert_decides(name, &before, &decision, "Ended, draining", &changed);
            }
            None => assert_eq!(cut, None, "{name}"),
        }
    }
}

/// All users are read, so the run is not cut. It goes on to the comparison with Intercom's count.
#[test]
fn list_that_was_read_to_its_end_is_not_cut() {
    let last_page = json!({"place": {"list": {"after": "a"}}, "users": [7], "unreadable": 0, "repeats": 1});
    let cut = "reading ended 29 min before the deadline, which 100 queued users need; 40 of 90 users were read";
    let is_cut = ("Ended, draining", json!({"phase": "ended", "cut": cut}));
    for (name, fields, expected) in [
        ("at the end", json!({"list": "end"}), None),
        (
            "the last page is requested again",
            json!({"list": {"after": "a"}, "last_page": last_page}),
            Some(("Turned", json!({"list": "end"}))),
        ),
        ("a page follows it by now", json!({"list": {"after": "b"}, "last_page": last_page}), Some(is_cut.clone())),
        ("between two generations", json!({"list": "end", "phase": "settling"}), Some(is_cut)),
    ] {
        let mut before = cursor(fields);
        before.tally.users = 40;
        let run = run(json!({"count": 90}));
        let speed = Speed { operations_per_10s: 1_000, max_per_minute: None };
        let facts = TurnFacts { run: &run, now_ms: DEADLINE_MS - 29 * 60_000 };
        match (after_reading_time(&before, 100, speed, &facts), expected) {
            (Some(decision), Some((words, changed))) => assert_decides(name, &before, &decision, words, &changed),
            (decision, expected) => assert_eq!((decision, expected), (None, None), "{name}"),
        }
    }
}
