//! The checks of a start: its plan, its users, and options that exclude each other.

use super::StartEvent;
use crate::domain::run::LIST_MAX;

impl StartEvent {
    /// Returns why the start is not accepted, if so.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.users {
            Some(users) if users.is_empty() => return Err("`users` must list at least one Intercom user id".to_owned()),
            Some(users) if users.len() > LIST_MAX => {
                let listed = users.len();
                return Err(format!(
                    "`users` lists {listed} users, but a start takes at most {LIST_MAX}: split the list"
                ));
            }
            _ => {}
        }
        if !(self.plan.is_string() || self.plan.is_object()) {
            return Err("`plan` must be a name or a plan".to_owned());
        }
        let checks = [self.limits.check(), self.check_retry(), self.check_saved(), self.check_undo()];
        checks.into_iter().collect::<Result<(), &str>>().map_err(ToOwned::to_owned)
    }

    fn check_saved(&self) -> Result<(), &'static str> {
        let others = self.users.is_some() || self.retry.is_some() || self.undo.is_some() || self.limits.limit.is_some();
        if self.saved.is_some() && (others || self.limits.dry_run) {
            return Err(
                "a saved preview takes neither `users`, `retry`, `undo`, `limit` nor `dry_run`: it has its users",
            );
        }
        Ok(())
    }
}
