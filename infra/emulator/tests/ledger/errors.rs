//! Errors of users: counted within bounds, and forgotten with their page.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::{Run, State};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::ledger::ErrorRow;

use super::{NOW_MS, error, ledger, run};

/// More rows than one query returns.
const USERS: u64 = 7_000;

#[tokio::test]
async fn failed_users_are_counted_up_to_the_limit() {
    let (ledger, account) = ledger().await;
    let run = Run { generation: 2, ..run("p") };
    let name = |user: u64| format!("{user:06}");
    let rows = |generation, at: &str, users: std::ops::Range<u64>| -> Vec<ErrorRow> {
        users.map(|user| ErrorRow { generation, at: at.to_owned(), ..error(&name(user)) }).collect()
    };
    ledger.record_errors(&run.id, &rows(2, "part 1", 0..USERS), NOW_MS).await.unwrap();
    ledger.record_errors(&run.id, &rows(2, "page 1", 0..USERS / 2), NOW_MS).await.unwrap();
    ledger.record_errors(&run.id, &rows(1, "part 1", USERS..USERS + 9), NOW_MS).await.unwrap();
    let none = BTreeSet::new;
    assert_eq!(ledger.users_in_error(&run, none(), u64::MAX).await.unwrap(), USERS, "each once, of this generation");
    let more: BTreeSet<String> = [name(1), name(USERS + 1), "page 7".to_owned()].into();
    assert_eq!(ledger.users_in_error(&run, more.clone(), u64::MAX).await.unwrap(), USERS + 2, "two are new");
    let queries = || account.counts.so_far().calls["Query"];
    let before = queries();
    assert_eq!(ledger.users_in_error(&run, more, 100).await.unwrap(), 101);
    assert_eq!(queries() - before, 1, "the rest is not read");

    let before = queries();
    let mut read = Vec::new();
    let some = |row: ErrorRow| {
        read.push(row);
        read.len() < 3
    };
    ledger.each_error(&run, some).await.unwrap();
    let read: Vec<(&str, &str)> = read.iter().map(|row| (row.user.as_str(), row.at.as_str())).collect();
    assert_eq!(read, [("000000", "page 1"), ("000000", "part 1"), ("000001", "page 1")]);
    assert_eq!(queries() - before, 1, "the rest is not read");

    let user = UserId::new(name(1)).unwrap();
    let of_user = async |run: &Run| {
        let found = ledger.errors_of(run, &user).await.unwrap();
        found.into_iter().map(|row| row.at).collect::<Vec<String>>()
    };
    assert_eq!(of_user(&run).await, ["page 1", "part 1"]);
    let ended = Run { state: State::Complete, generation: 3, ..run.clone() };
    assert_eq!(of_user(&ended).await, [""; 0], "the last generation read all users");

    ledger.forget_errors(&run.id, 2, "page 1").await.unwrap();
    assert_eq!(of_user(&run).await, ["part 1"]);
    assert_eq!(ledger.errors(&run).await.unwrap().len() as u64, USERS + 9);
}
