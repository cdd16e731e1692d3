//! The line about the check of written values.

use intercom_bulk::domain::run::ReadBackTotals;

use crate::output::count;

/// For example `100 users read back: 97 as written, 2 changed since by something else, 1 deleted or
/// merged since`.
pub(crate) fn read_back(counted: &ReadBackTotals) -> String {
    let ReadBackTotals { users, kept, not_kept, changed_since, gone, unread } = *counted;
    let rest = [
        (not_kept, "not kept as written"),
        (changed_since, "changed since by something else"),
        (gone, "deleted or merged since"),
        (unread, "not read"),
    ];
    let rest = rest.iter().filter(|(users, _)| *users > 0).map(|(users, how)| format!("{users} {how}"));
    let words: Vec<String> = std::iter::once(format!("{kept} as written")).chain(rest).collect();
    format!("  {} read back: {}", count(u64::from(users), "user"), words.join(", "))
}
