use super::*;
use crate::domain::patch::Patch;
use crate::domain::user::UserId;
use crate::intercom::route;
use crate::steps::submit::pieces::Item;

fn tried(user: usize) -> TriedUser {
    let patch = Patch { user: UserId::new(format!("u{user}")).unwrap(), changes: Vec::new() };
    TriedUser { item: Item { part: 0, user, patch }, begun_ms: 1 }
}

fn add(streaks: &mut Streaks, user: usize, message: &str) -> Streak {
    add_about(streaks, user, message, None)
}

fn add_about(streaks: &mut Streaks, user: usize, message: &str, field: Option<&str>) -> Streak {
    let (tried, code, at) = (tried(user), "parameter_invalid".to_owned(), "part 1".to_owned());
    let row = ErrorRow {
        user: tried.item.patch.user.to_string(),
        code: code.clone(),
        message: message.into(),
        at,
        generation: 1,
    };
    let error = Error::Refused {
        route: route::SUBMIT,
        status: 400,
        code: code.into(),
        message: message.into(),
        field: field.map(Into::into),
        request_id: None,
        rate: None,
        retry_after_s: None,
    };
    streaks.add(tried, row, &error, "Create it.")
}

const MISSING: &str = "'a' does not exist";

#[test]
fn fifty_alike_in_a_row_are_the_run_s_fault() {
    let mut streaks = Streaks::default();
    for user in 0..49 {
        assert!(matches!(add(&mut streaks, user, MISSING), Streak::Goes), "{user}");
    }
    assert!(matches!(add(&mut streaks, 50, MISSING), Streak::Full(50)));
}

#[test]
fn refusals_of_one_field_are_alike_whatever_their_messages_say() {
    let mut streaks = Streaks::default();
    for user in 0..49 {
        let message = format!("{user} is not an option");
        assert!(matches!(add_about(&mut streaks, user, &message, Some("plan")), Streak::Goes), "{user}");
    }
    assert!(
        matches!(add_about(&mut streaks, 49, "x is not an option", Some("team")), Streak::Over(users) if users.len() == 49)
    );
    for user in 50..98 {
        add_about(&mut streaks, user, "y", Some("team"));
    }
    assert!(matches!(add_about(&mut streaks, 99, "z is not an option", Some("team")), Streak::Full(50)));
}

/// Answers that arrive after the decision to pause make no errors of the row's users.
#[test]
fn full_row_stays_open() {
    let mut streaks = Streaks::default();
    for user in 0..50 {
        add(&mut streaks, user, MISSING);
    }
    assert!(matches!(add(&mut streaks, 51, "not an option"), Streak::Goes), "another refusal");
    assert_eq!(streaks.end().len(), 0, "an accepted user");
    assert!(matches!(add(&mut streaks, 52, MISSING), Streak::Goes));
    assert!(streaks.row().is_none());
}

#[test]
fn another_refusal_or_an_accepted_user_ends_the_row() {
    let mut streaks = Streaks::default();
    for user in 0..30 {
        add(&mut streaks, user, MISSING);
    }
    assert!(matches!(add(&mut streaks, 30, "not an option"), Streak::Over(users) if users.len() == 30));
    for user in 31..70 {
        assert!(matches!(add(&mut streaks, user, "not an option"), Streak::Goes), "{user}");
    }
    assert_eq!(streaks.end().len(), 40);
    assert!(matches!(add(&mut streaks, 70, "not an option"), Streak::Goes));
    assert_eq!(streaks.end().len(), 1);
}

/// A follow-up part holds only users whom a bulk job refused, so no write of it is accepted.
#[test]
fn users_apart_fill_no_row() {
    let mut streaks = Streaks::without(vec![0]);
    for user in 0..200 {
        assert!(matches!(add(&mut streaks, user, MISSING), Streak::Over(users) if users.len() == 1), "{user}");
    }
    assert!(streaks.row().is_none() && streaks.end().is_empty());
    let mut of_other_parts = Streaks::without(vec![1]);
    assert!((0..50).any(|user| matches!(add(&mut of_other_parts, user, MISSING), Streak::Full(50))));
}

/// A run with a slow pace has few users in each invocation.
#[test]
fn row_goes_on_in_the_next_invocation() {
    let mut row = RefusedInARow::default();
    for invocation in 1..=5 {
        let mut streaks = Streaks::default();
        for user in 0..10 {
            add(&mut streaks, user, MISSING);
        }
        row = streaks.row().unwrap().after(&row, 7);
        assert_eq!(row.users, 10 * invocation);
        let reason = streaks.fill(&row);
        assert_eq!(reason.is_some(), invocation == 5, "{reason:?}");
        assert!(reason.is_none_or(|reason| reason.contains("50 users in a row") && reason.contains("Create it.")));
    }
    // Another invocation accepted a user, this one did, or the refusal is another one.
    let alone = |before: &[&str], message: &str, accepted: i64| {
        let mut streaks = Streaks::default();
        for message in before {
            add(&mut streaks, 0, message);
            streaks.end();
        }
        add(&mut streaks, 1, message);
        streaks.row().unwrap().after(&row, accepted).users
    };
    assert_eq!([alone(&[], MISSING, 8), alone(&[MISSING], MISSING, 7), alone(&[], "not an option", 7)], [1, 1, 1]);
    assert_eq!(alone(&[], MISSING, 7), 51);
}

#[test]
fn run_is_at_fault_if_none_of_its_first_users_exists() {
    let counts = |items: i64, gone: i64| Counts { items, gone, ..Counts::default() };
    let gone = |users: usize| {
        let mut gone = OnlyGone::default();
        for user in 0..users {
            assert_eq!(gone.add(tried(user)), []);
        }
        gone
    };
    for (here, before, accuses) in [
        (200, counts(0, 0), true),
        (199, counts(0, 0), false),
        (100, counts(100, 100), true),
        (200, counts(1, 0), false),
        (200, counts(500, 499), false),
    ] {
        assert_eq!(gone(here).accuses(&before).is_some(), accuses, "{here} {before:?}");
    }
    assert!(gone(200).are_many() && !gone(199).are_many());
    let mut other = gone(300);
    assert_eq!(other.end().len(), 300);
    assert_eq!(other.add(tried(1)).len(), 1, "a single user is gone");
    assert!(!other.is_all() && !other.are_many() && other.accuses(&counts(0, 0)).is_none());
}
