//! Refusals in a row. If Intercom refuses many users in a row alike, the run is at fault and not its
//! users: an attribute that does not exist, for instance.

use super::pieces::Item;
use crate::intercom::Error;
use crate::ledger::ErrorRow;

/// Users that are refused alike in a row before the run pauses.
const ALIKE_MAX: usize = 50;

/// The refusals in a row of an invocation. Their users count as refused when the row ends.
#[derive(Default)]
pub(super) struct Streaks {
    /// Code and message of the row.
    like: Option<(String, String)>,
    users: Vec<(Item, ErrorRow)>,
}

/// The state of the row after a refusal.
pub(super) enum Streak {
    /// The row goes on.
    Goes,
    /// The refusal is another one. These users of the row before are refused.
    Broken(Vec<(Item, ErrorRow)>),
    /// This many users were refused alike.
    Full(usize),
}

impl Streaks {
    /// Adds a refused user.
    pub(super) fn add(&mut self, item: Item, row: ErrorRow, error: &Error) -> Streak {
        let message = if let Error::Refused { message, .. } = error { message.to_string() } else { String::new() };
        let like = Some((error.code().to_owned(), message));
        let broken = if self.like == like { Vec::new() } else { std::mem::take(&mut self.users) };
        self.like = like;
        self.users.push((item, row));
        match self.users.len() {
            users if users >= ALIKE_MAX => Streak::Full(users),
            _ if broken.is_empty() => Streak::Goes,
            _ => Streak::Broken(broken),
        }
    }

    /// Ends the row, for instance because Intercom accepted a user. Returns its users.
    pub(super) fn end(&mut self) -> Vec<(Item, ErrorRow)> {
        self.like = None;
        std::mem::take(&mut self.users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::patch::Patch;
    use crate::domain::user::UserId;
    use crate::intercom::route;

    fn add(streaks: &mut Streaks, user: usize, message: &str) -> Streak {
        let patch = Patch { user: UserId::new(format!("u{user}")).unwrap(), changes: Vec::new() };
        let (code, at) = ("parameter_invalid".to_owned(), "part 1".to_owned());
        let row =
            ErrorRow { user: patch.user.to_string(), code: code.clone(), message: message.into(), at, generation: 1 };
        let error = Error::Refused {
            route: route::SUBMIT,
            status: 400,
            code: code.into(),
            message: message.into(),
            request_id: None,
            rate: None,
            retry_after_s: None,
        };
        streaks.add(Item { part: 0, user, patch }, row, &error)
    }

    #[test]
    fn fifty_alike_in_a_row_are_the_run_s_fault() {
        let mut streaks = Streaks::default();
        for user in 0..ALIKE_MAX - 1 {
            assert!(matches!(add(&mut streaks, user, "'a' does not exist"), Streak::Goes), "{user}");
        }
        assert!(matches!(add(&mut streaks, 50, "'a' does not exist"), Streak::Full(50)));
    }

    #[test]
    fn another_refusal_or_an_accepted_user_ends_the_row() {
        let mut streaks = Streaks::default();
        for user in 0..30 {
            add(&mut streaks, user, "'a' does not exist");
        }
        assert!(matches!(add(&mut streaks, 30, "not an option"), Streak::Broken(users) if users.len() == 30));
        for user in 31..70 {
            assert!(matches!(add(&mut streaks, user, "not an option"), Streak::Goes), "{user}");
        }
        assert_eq!(streaks.end().len(), 40);
        assert!(matches!(add(&mut streaks, 70, "not an option"), Streak::Goes));
        assert_eq!(streaks.end().len(), 1);
    }
}
