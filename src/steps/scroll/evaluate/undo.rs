//! The evaluation of a user of an undo: the values to restore, and those that stay.

use std::collections::{BTreeSet, HashMap};

use super::PageEvaluation;
use crate::domain::api::Api;
use crate::domain::patch::Target;
use crate::domain::undo::{Made, StayingUser, StayingValue, Stays, UndoneUser, undo_user};
use crate::domain::user::{User, UserId};
use crate::intercom::shows_alike;
use crate::plan::present;
use crate::runtime::clients::StepError;

impl PageEvaluation<'_> {
    /// Decides about a user: adds its patch, and counts the values that stay.
    pub(super) async fn undo(&mut self, user: &User, made: &[Made], api: Api) -> Result<(), StepError> {
        let same_before = self.done.tally.same;
        let alike = |target: &Target, one: &_, other: &_| shows_alike(api, target, one, other);
        let UndoneUser { patch, stays } = undo_user(user.id(), made, |target| present(user, target), alike);
        self.stay(user.id(), stays.into_iter().map(|(target, why)| StayingValue { target, why }).collect());
        let patch = match patch {
            Some(patch) => self.companies(patch).await?,
            None => None,
        };
        self.count(user, patch, same_before);
        Ok(())
    }

    /// Counts a user that Intercom does not have any more.
    pub(super) fn gone(&mut self, user: &UserId, made: &[Made]) {
        let targets: BTreeSet<&Target> = made.iter().map(|made| &made.change.target).collect();
        let why = Stays::Gone;
        self.stay(user, targets.into_iter().map(|target| StayingValue { target: target.clone(), why }).collect());
        self.done.tally.users += 1;
        self.done.tally.skipped += 1;
    }

    /// Adds values of a user that stay. Each reason counts once.
    fn stay(&mut self, user: &UserId, stays: Vec<StayingValue>) {
        let reasons: BTreeSet<Stays> = stays.iter().map(|value| value.why).collect();
        for why in reasons {
            *self.done.tally.skip_reasons.entry(why.word().to_owned()).or_default() += 1;
        }
        if !stays.is_empty() {
            self.done.staying.push(StayingUser { user: user.clone(), stays });
        }
    }
}

/// Returns the changes of a user that are undone.
pub(super) fn changes_of<'m>(made: &'m HashMap<UserId, Vec<Made>>, user: &UserId) -> &'m [Made] {
    made.get(user).map(Vec::as_slice).unwrap_or_default()
}
