//! The users that a retry reads, page by page.

use intercom_bulk::domain::run::{Retry, RetryPlace};

use super::*;

fn row(user: &str, code: &str, at: &str, generation: u32) -> ErrorRow {
    ErrorRow { user: user.to_owned(), code: code.to_owned(), message: String::new(), at: at.to_owned(), generation }
}

/// Returns all users of a retry, read in pages of this size, and the number of pages.
async fn all(ledger: &Ledger, first: &Run, retry: &Retry, most: usize) -> (Vec<String>, usize) {
    let cursor = Cursor::first(first.id.clone(), 0, EXCLUSIVE_LIFE_MS);
    let (mut users, mut after, mut pages) = (Vec::new(), None::<RetryPlace>, 0);
    loop {
        let page = ledger.retried_users((first, &cursor), retry, after.as_ref(), most).await.unwrap();
        assert!(page.users.len() <= most);
        pages += 1;
        users.extend(page.users.into_iter().map(|(user, _)| user.to_string()));
        if page.reached.is_none() {
            return (users, pages);
        }
        assert_ne!(page.reached, after, "each page goes on");
        after = page.reached;
    }
}

#[tokio::test]
async fn failed_users_are_read_once_each_by_key() {
    let (ledger, _) = ledger().await;
    let first = Run { state: State::CompleteWithErrors, generation: 2, ..run("p") };
    let retry = |code: Option<&str>| Retry { run: first.id.clone(), code: code.map(ToOwned::to_owned), unknown: false };
    let rows = [
        row("a", "x", "page 1", 2),
        row("a", "y", "page 7", 2),
        row("a", "x", "job 1", 2),
        row("a-b", "x", "page 1", 2),
        row("ab", "y", "page 1", 0),
        row("aB", "x", "page 1", 2),
        row("a_", "x", "page 1", 1),
        row("b", "y", "page 1", 3),
        row("unreadable-0", "unreadable_user", "page 3", 2),
        row("page 12", "unreadable_user", "page 12", 2),
    ];
    ledger.record_errors(&first.id, &rows, NOW_MS).await.unwrap();
    for most in 1..8 {
        let (mut users, _) = all(&ledger, &first, &retry(None), most).await;
        users.sort_unstable();
        assert_eq!(users, ["a", "a-b", "aB", "ab", "b"], "pages of {most}; a_ failed in an earlier generation");
        assert_eq!(all(&ledger, &first, &retry(Some("y")), most).await.0, ["a", "ab", "b"], "pages of {most}");
        assert_eq!(all(&ledger, &first, &retry(Some("z")), most).await.0, [""; 0]);
    }
    let incomplete = Run { state: State::Incomplete, ..first.clone() };
    assert!(all(&ledger, &incomplete, &retry(None), 3).await.0.contains(&"a_".to_owned()), "it was not read again");
    assert_eq!(
        (ledger.count_failed(&first, None).await.unwrap(), ledger.count_failed(&first, Some("y")).await.unwrap()),
        (5, 3)
    );
}

/// Rows with other codes fill whole pages, and users have two rows each.
#[tokio::test]
async fn one_code_among_many_rows_is_found() {
    let (ledger, _) = ledger().await;
    let first = Run { state: State::CompleteWithErrors, ..run("p") };
    let rare = |user: u32| if user.is_multiple_of(3_399) { "rare" } else { "usual" };
    let rows: Vec<ErrorRow> = (0..10_200)
        .flat_map(|user| {
            [row(&format!("u{user:06}"), "usual", "page 1", 1), row(&format!("u{user:06}"), rare(user), "page 2", 1)]
        })
        .collect();
    ledger.record_errors(&first.id, &rows, NOW_MS).await.unwrap();
    let retry = Retry { run: first.id.clone(), code: Some("rare".to_owned()), unknown: false };
    let (users, pages) = all(&ledger, &first, &retry, 20).await;
    assert_eq!(users, ["u000000", "u003399", "u006798", "u010197"]);
    assert!(pages > 1, "one request does not read them all");
}

/// Errors of an earlier generation, which the last one cured, fill whole requests before those that count.
#[tokio::test]
async fn users_behind_rows_that_do_not_count_are_read() {
    let (ledger, _) = ledger().await;
    let first = Run { state: State::CompleteWithErrors, generation: 2, ..run("p") };
    let cured = (0..20_400).map(|user| row(&format!("u{user:06}"), "x", "page 1", 1));
    let rows: Vec<ErrorRow> = cured.chain([row("z", "x", "page 1", 2)]).collect();
    ledger.record_errors(&first.id, &rows, NOW_MS).await.unwrap();
    let retry = Retry { run: first.id.clone(), code: None, unknown: false };
    let (users, pages) = all(&ledger, &first, &retry, 20).await;
    assert_eq!(users, ["z"]);
    assert!(pages > 1, "one request does not read them all");
}
