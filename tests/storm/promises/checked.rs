//! Promise 13: written values are checked, and a run that ends complete had none that Intercom does not
//! keep.

use intercom_bulk::domain::patch::Patch;
use intercom_bulk::domain::run::{READ_BACK_MAX, Run, State};
use intercom_simulator::{Fault, MergedWrite};

use crate::plans;
use crate::storm::Storm;

impl Storm {
    /// Returns whether Intercom stores a value of this story otherwise than written.
    pub(super) fn alters_values(&self) -> bool {
        self.story.options.faults.iter().any(|fault| matches!(fault, Fault::AlterAttribute { .. }))
    }

    /// Returns whether runs check written values after their writes. Otherwise each answer was compared.
    pub(super) fn checks_values(&self) -> bool {
        self.story.api.api().capabilities().write.has_jobs()
    }

    /// Returns whether a job does not name the users that it refused: they are read by id.
    pub(super) fn reads_users_of_jobs(&self) -> bool {
        self.checks_values() && !self.story.api.api().capabilities().write.names_refused()
    }

    /// Returns whether the check of a complete run may have missed a value: it read a part of the
    /// written users, or says why it did not read them.
    pub(super) fn may_be_unchecked(&self, run: &Run) -> bool {
        let written = run.totals.as_ref().map_or(0, |totals| totals.written);
        let says = run.reason.as_deref().is_some_and(|reason| {
            ["were not all checked", "differed at their only read"].iter().any(|words| reason.contains(words))
        });
        self.checks_values() && self.alters_values() && (written > READ_BACK_MAX as u64 || says)
    }

    /// Returns whether something else than the run's last generation may have set a value that was read
    /// back.
    fn may_change_since(&self, run: &Run) -> bool {
        let others = |fault: &Fault| matches!(fault, Fault::OthersWrite(_) | Fault::UsersChange);
        if self.writes_another_contact() {
            return true;
        }
        self.story.options.faults.iter().any(others) || !plans::agrees(&run.plan) || self.is_set_late(run)
    }

    /// Returns whether the write of a merged contact sets the values of the one that took its place.
    pub(crate) fn writes_another_contact(&self) -> bool {
        let are_written = self.story.options.contacts.merged_write == MergedWrite::Canonical;
        are_written && self.world.0.state().fired.get("gone-contact").is_some_and(|count| *count > 0)
    }

    /// Checks the counts of a run that just ended, and its sample: a user of it was in a job of the last
    /// generation, or is gone.
    pub(super) async fn values_were_checked(&self, run: &Run, has_no_errors: bool) {
        let is_complete = matches!(run.state, State::Complete | State::CompleteWithErrors);
        let Some(totals) = run.totals.as_ref().filter(|_| is_complete && !run.limits.dry_run && self.checks_values())
        else {
            return;
        };
        let wrong = |text: &str| self.weather.bug(format!("13: {} is {}, and {text}: {totals:?}", run.id, run.state));
        match &totals.read_back {
            // Users that failed are not read back. The users of earlier generations were read by the
            // last one.
            None if has_no_errors && totals.written > totals.written_before => wrong("no value was checked"),
            Some(read_back) if read_back.not_kept > 0 && run.state == State::Complete => wrong("a value was not kept"),
            Some(read_back) if read_back.users + read_back.unread == 0 => wrong("nobody was read back"),
            Some(read_back) if read_back.changed_since > 0 && !self.may_change_since(run) => {
                wrong("another value is there, which nothing set");
            }
            None | Some(_) => {}
        }
        let Ok(sample) = self.ledger.sample(&run.id, run.generation, usize::MAX).await else {
            return wrong("its sample cannot be read");
        };
        let taken = self.promises.memory().taken.get(&(run.id.to_string(), run.generation)).cloned();
        let taken = taken.unwrap_or_default();
        // A request for this user alone got a 404.
        let state = self.world.0.state();
        let is_gone = |patch: &Patch| {
            self.world.0.user(patch.user.as_str()).is_none() || self.is_said_to_be_gone(patch.user.as_str(), &state)
        };
        if let Some(patch) = sample.iter().find(|patch| !taken.contains(patch.user.as_str()) && !is_gone(patch)) {
            wrong(&format!("{} of its sample was in no job", patch.user));
        }
    }
}
