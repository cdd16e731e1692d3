use serde_json::json;

use super::super::{NOW_MS, assert_decides, merged, run};
use super::{LIFE_MS, PAUSES, accounts, lest, settle_facts, settling};
use crate::domain::job::UNKNOWN_AFTER_MS;
use crate::domain::run::decide::{SettleFacts, TurnFacts, after_wait};

/// The time after which parts that do not end are void.
const FOUR_HOURS_MS: i64 = 4 * 3600 * 1000;
/// The time until each lease of a void part is in the ledger.
const SEEN_MS: i64 = 5_000;

/// Submit may lease a part between the last read of the accounts and the commit that voids it.
#[test]
fn first_page_waits_for_leases_of_void_parts() {
    let later_ms = NOW_MS + FOUR_HOURS_MS;
    let stuck = json!({"parts_left": 3, "parts_left_ms": NOW_MS});
    let void = json!({"generation": 2, "page": 0, "settling_since_ms": NOW_MS, "voided_ms": NOW_MS});
    let seen_ms = NOW_MS + SEEN_MS;
    let lease_ms = NOW_MS + 300_000;
    let lost = "a bulk request sent by 00:21 UTC has no known outcome, and its job may set values until 00:31 UTC; the \
                next reading waits for it";
    let job = "bulk job job_0, open since 00:16 UTC, must end first, at 06:16 UTC at the latest";
    for (name, cursor, accounts, now_ms, expected, changed) in [
        (
            "parts do not end",
            &stuck,
            accounts(3, 0, 0),
            later_ms,
            "Regenerated, generation",
            json!({"generation": 2, "counted": 2, "furthest": 7, "page": 0, "not_before_ms": later_ms + SEEN_MS,
                "settling_since_ms": later_ms, "voided_ms": later_ms, "parts_left": 0, "parts_left_ms": 0,
                "changed_before": 20, "tally": {"users": 0, "patches": 0},
                "waits": lest("3 parts without end are void: those under way must end first")}),
        ),
        (
            "before their leases are in the ledger",
            &void,
            accounts(0, 0, 0),
            seen_ms - 1,
            "Waited",
            json!({"not_before_ms": seen_ms, "waits_until_ms": seen_ms,
                "waits": lest("requests for parts that are void must end first")}),
        ),
        (
            "one of them is leased",
            &void,
            accounts(0, 0, lease_ms),
            seen_ms,
            "Waited",
            json!({"not_before_ms": lease_ms + LIFE_MS, "waits_until_ms": lease_ms + LIFE_MS, "waits": lest(lost)}),
        ),
        (
            "its job is open",
            &void,
            accounts(0, 1, 0),
            seen_ms,
            "Waited",
            json!({"not_before_ms": seen_ms + PAUSES.jobs_ms, "waits_until_ms": NOW_MS + UNKNOWN_AFTER_MS,
                "waits": lest(job)}),
        ),
        (
            "none of them is under way",
            &void,
            accounts(0, 0, 0),
            seen_ms,
            "Waited",
            json!({"phase": "turning", "not_before_ms": seen_ms, "settling_since_ms": 0, "voided_ms": null}),
        ),
    ] {
        let (before, run) = (settling(cursor.clone()), run(json!({"count": 5_000})));
        let settle = settle_facts(&accounts, None);
        let decision = after_wait(before.clone(), &settle, &TurnFacts { run: &run, now_ms });
        assert_decides(name, &before, &decision, expected, &changed);
    }
}

/// Intercom may have stored other values than those that were sent: users with an error count, too.
#[test]
fn next_generation_waits_for_the_list_if_anything_was_sent() {
    let visible_at_ms = |cursor: serde_json::Value, of_run: serde_json::Value| {
        let mut accounts = accounts(0, 0, 0);
        (accounts.totals.written, accounts.totals.errors) = (0, 25);
        let run = run(merged(json!({"count": 5_000, "api": "v2"}), of_run));
        let facts = TurnFacts { run: &run, now_ms: NOW_MS };
        let settle = SettleFacts { read_ms: NOW_MS + 3_000, ..settle_facts(&accounts, None) };
        after_wait(settling(cursor), &settle, &facts).next.visible_at_ms
    };
    let nothing = json!({"tally": {"users": 700, "patches": 0}});
    assert_eq!(visible_at_ms(json!({}), json!({})), NOW_MS + 183_000, "a request may end while the accounts are read");
    assert_eq!(visible_at_ms(nothing, json!({})), 0, "no user was to change");
    assert_eq!(visible_at_ms(json!({}), json!({"held_back": true})), 0, "nothing was sent");
    assert_eq!(visible_at_ms(json!({}), json!({"api": "v1"})), 0, "the scroll shows writes at once");
}
