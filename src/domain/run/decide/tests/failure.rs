use PageFailure::{Busy, Expired, Fatal, MaybeConsumed, RateLimited, Repeat};
use serde_json::{Value, json};

use super::{NOW_MS, assert_decides, cursor, run};
use crate::domain::api::PageFailure;
use crate::domain::run::decide::{FailureFacts, TurnFacts, after_failure};

struct Row {
    name: &'static str,
    failure: PageFailure,
    cursor: Value,
    is_list: bool,
    expected: &'static str,
    changed: Value,
}

fn row(
    name: &'static str,
    failure: PageFailure,
    cursor: Value,
    is_list: bool,
    expected: &'static str,
    changed: Value,
) -> Row {
    Row { name, failure, cursor, is_list, expected, changed }
}

/// A wait after a request without an answer, the first in a row.
fn first_wait(until_ms: i64, why: &str) -> Value {
    json!({"not_before_ms": until_ms, "unanswered": 1, "unanswered_since_ms": NOW_MS, "waits": why})
}

fn assert_rows(rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        let before = cursor(row.cursor);
        let run = run(if row.is_list { json!({"listed": 50}) } else { json!({}) });
        let (limited_until_ms, said, reason) = (NOW_MS + 40_000, "said", "error. advice");
        let request = FailureFacts { failure: row.failure, limited_until_ms, said, reason };
        let decision = after_failure(before.clone(), &request, &TurnFacts { run: &run, now_ms: NOW_MS });
        assert_decides(row.name, &before, &decision, row.expected, &row.changed);
    }
}

#[test]
fn a_request_that_was_not_carried_out_is_repeated() {
    let limited = RateLimited;
    let (unsent, held) = (Repeat { answered: false }, Repeat { answered: true });
    assert_rows([
        row("429", limited, json!({}), false, "Waited", first_wait(NOW_MS + 40_000, "Intercom's rate limit")),
        row(
            "429 again, longer than the limiter says",
            limited,
            json!({"unanswered": 6, "unanswered_since_ms": 60_000}),
            false,
            "Waited",
            json!({"not_before_ms": NOW_MS + 300_000, "unanswered": 7,
                "waits": "Intercom's rate limit (7 tries since 1970-01-01T00:01Z)"}),
        ),
        row("not sent", unsent, json!({"scroll": "s"}), false, "Waited", {
            first_wait(NOW_MS + 5_000, "Intercom could not be reached")
        }),
        row(
            "not sent, for the second time",
            unsent,
            json!({"unanswered": 1, "unanswered_since_ms": 0}),
            false,
            "Waited",
            json!({"not_before_ms": NOW_MS + 10_000, "unanswered": 2,
                "waits": "Intercom could not be reached (2 tries since 1970-01-01T00:00Z)"}),
        ),
        row("held", held, json!({}), false, "Waited", {
            first_wait(NOW_MS + 5_000, "Intercom asked to come back later")
        }),
    ]);
}

#[test]
fn a_page_that_may_be_consumed_is_a_gap_only_of_an_open_scroll() {
    let no_answer = "Intercom did not answer";
    let lost = "the first page's answer was lost (said); its scroll must expire first";
    let gap = json!({"page": 5, "pages_in_all": 1, "idle_turns": 1, "holes": [5], "not_before_ms": 0, "waits": null,
        "unanswered": 0, "unanswered_since_ms": 0});
    let open =
        json!({"scroll": "s", "page": 4, "unanswered": 2, "unanswered_since_ms": 7, "not_before_ms": 9, "waits": "w"});
    assert_rows([
        row("list", MaybeConsumed, json!({}), true, "Waited", first_wait(NOW_MS + 5_000, no_answer)),
        row(
            "later page of a list",
            MaybeConsumed,
            json!({"list_read": [0, 7]}),
            true,
            "Waited",
            first_wait(NOW_MS + 5_000, no_answer),
        ),
        row("list, an answer that cannot be", Busy, json!({}), true, "Waited", first_wait(NOW_MS + 5_000, no_answer)),
        row("first page", MaybeConsumed, json!({"exists_tries": 2, "called_ms": 7}), false, "Waited", {
            let mut changed = first_wait(NOW_MS + 65_000, lost);
            changed["exists_tries"] = json!(0);
            changed
        }),
        row("first page, often", MaybeConsumed, json!({"unanswered": 6}), false, "Waited", {
            let waits = format!("{lost} (7 tries since 1970-01-01T00:00Z)");
            json!({"not_before_ms": NOW_MS + 300_000, "unanswered": 7, "waits": waits})
        }),
        row("later page", MaybeConsumed, open.clone(), false, "Gap", gap.clone()),
        row("an answer that cannot be", Busy, open, false, "Gap", gap),
        row(
            "second in a row",
            MaybeConsumed,
            json!({"scroll": "s", "page": 4, "idle_turns": 1}),
            false,
            "Gap",
            json!({"page": 5, "pages_in_all": 1, "idle_turns": 2, "holes": [5], "not_before_ms": NOW_MS + 5_000,
                "waits": "Intercom does not answer: pages may be lost"}),
        ),
    ]);
}

#[test]
fn another_scroll_is_waited_for_three_times() {
    let why = "another scroll is open in the workspace (possibly our own of before)";
    let wait = |tries: u32, ms: i64| json!({"exists_tries": tries, "not_before_ms": NOW_MS + ms, "waits": why});
    let long = |tries: u32| json!({"exists_tries": tries, "scroll_life_ms": 600_000});
    assert_rows([
        row("first", Busy, json!({"idle_turns": 3}), false, "Waited", wait(1, 65_000)),
        row("second", Busy, json!({"exists_tries": 1}), false, "Waited", wait(2, 130_000)),
        row("third", Busy, json!({"exists_tries": 2}), false, "Waited", wait(3, 300_000)),
        row("first, by the setting", Busy, long(0), false, "Waited", wait(1, 600_000)),
        row("third, by the setting", Busy, long(2), false, "Waited", wait(3, 1_800_000)),
        row("is an answer", Busy, json!({"unanswered": 3, "unanswered_since_ms": 7}), false, "Waited", {
            let mut changed = wait(1, 65_000);
            changed["unanswered"] = json!(0);
            changed["unanswered_since_ms"] = json!(0);
            changed
        }),
        row(
            "fourth",
            Busy,
            json!({"exists_tries": 3}),
            false,
            "Stopped, failed: another program holds the workspace's only scroll…",
            json!({}),
        ),
    ]);
}

#[test]
fn an_expired_scroll_is_begun_again() {
    let changed = |called_ms: Value, excused: Value| {
        let mut changed = json!({"scroll": null, "phase": "settling", "settling_since_ms": NOW_MS, "parts_left": 0,
            "cut": "the scroll expired before its end", "waits": "the scroll expired before its end: it is begun again"});
        for (name, value) in [("called_ms", called_ms), ("excused", excused)] {
            if !value.is_null() {
                changed[name] = value;
            }
        }
        changed
    };
    assert_rows([
        row(
            "no gaps: none is open",
            Expired,
            json!({"scroll": "s", "called_ms": 900_000, "parts_left": 4}),
            false,
            "Regenerated",
            changed(json!(0), Value::Null),
        ),
        row(
            "gaps: one may be open",
            Expired,
            json!({"scroll": "s", "called_ms": 900_000, "holes": [2], "parts_left": 4}),
            false,
            "Regenerated",
            changed(Value::Null, Value::Null),
        ),
        row(
            "excused by an outage",
            Expired,
            json!({"scroll": "s", "unanswered": 9, "unanswered_since_ms": 900_000, "parts_left": 4}),
            false,
            "Regenerated",
            changed(Value::Null, json!(true)),
        ),
    ]);
}

#[test]
fn a_refused_request_fails_the_run() {
    let failed = "Stopped, failed: error. advice";
    assert_rows([
        row("first page", Fatal, json!({"called_ms": 7}), false, failed, json!({"called_ms": 0})),
        row("later page", Fatal, json!({"called_ms": 7, "scroll": "s"}), false, failed, json!({})),
        row("no scroll to expire", Expired, json!({"called_ms": 7}), false, failed, json!({"called_ms": 0})),
        row("list", Fatal, json!({"called_ms": 7}), true, failed, json!({})),
    ]);
}
