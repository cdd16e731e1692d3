use serde_json::json;

use super::run;
use crate::domain::run::Tally;
use crate::domain::run::decide::sample;

fn read(users: u64, leads: u64) -> Tally {
    Tally { users: users + leads, leads, ..Tally::default() }
}

#[test]
fn the_page_that_completes_the_sample_is_judged_once() {
    let of = |count: Option<u64>, listed: Option<u64>, limit: Option<u64>| {
        run(json!({"count": count, "listed": listed, "rails": {"limit": limit}}))
    };
    let (all, few, unknown) = (of(Some(5_000), None, None), of(Some(150), None, None), of(None, None, None));
    let (listed, limited, none) = (of(None, Some(1), None), of(Some(5_000), None, Some(50)), of(Some(0), None, None));
    let (one, part_of_few) = (of(Some(1), None, None), of(Some(150), None, Some(200)));
    for (run, before, users, complete) in [
        (&all, 900, 1_000, true),
        (&all, 800, 900, false),
        (&all, 1_000, 1_100, false),
        (&few, 0, 100, false),
        (&few, 100, 150, true),
        (&unknown, 950, 1_050, true),
        (&listed, 0, 1, false),
        (&listed, 990, 1_010, true),
        (&limited, 0, 50, false),
        (&none, 0, 100, false),
        (&none, 900, 1_000, true),
        (&one, 0, 1, true),
        (&part_of_few, 100, 150, false),
    ] {
        let is_complete = |users| sample::is_complete(run, &read(users, 0));
        assert_eq!(!is_complete(before) && is_complete(users), complete, "{before} {users}");
    }
    for (run, users, cut) in [
        (&all, 999, true),
        (&all, 1_000, false),
        (&few, 150, false),
        (&unknown, 3, true),
        (&unknown, 1, true),
        (&unknown, 0, false),
        (&listed, 1, false),
        (&limited, 50, false),
    ] {
        assert_eq!(sample::is_cut_short(run, &read(users, 0)), cut, "{users}");
    }
}

/// Intercom's count of contacts includes leads.
#[test]
fn leads_complete_a_small_workspace_and_no_sample() {
    let of = |count: u64| run(json!({"count": count}));
    for (count, users, leads, complete) in [
        (5_000, 0, 1_200, false),
        (5_000, 999, 1_200, false),
        (5_000, 1_000, 1_200, true),
        (337, 300, 36, false),
        (337, 300, 37, true),
        (37, 0, 37, true),
    ] {
        assert_eq!(sample::is_complete(&of(count), &read(users, leads)), complete, "{count} {users} {leads}");
    }
    assert!(!sample::is_cut_short(&of(5_000), &read(0, 1_200)), "no user was read");
    assert!(sample::is_cut_short(&of(5_000), &read(300, 1_200)));
    assert_eq!(sample::unseen(&of(37), &["user.x"], 0), None, "no user was read");
    assert!(sample::unseen(&of(37), &["user.x"], 1).is_some());
}
