//! Evaluates the plan for the users of a page, and counts the results.

use std::collections::{BTreeSet, HashSet};

use super::fetch::Page;
use crate::domain::patch::{Patch, Target};
use crate::domain::run::{Cursor, NAMED_ALREADY, Run, Tally};
use crate::domain::user::{User, UserId};
use crate::ledger::{ErrorRow, Reserved};
use crate::plan::{Note, Plan};
use crate::runtime::clients::{Clients, StepError};

/// Length of an Intercom user id, in hexadecimal digits.
const INTERCOM_ID_LENGTH: usize = 24;

/// The result of evaluating a page.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    /// Counts of users by result.
    pub(super) tally: Tally,
    /// Patches to send.
    pub(super) patches: Vec<Patch>,
    /// Errors of failed users.
    pub(super) errors: Vec<ErrorRow>,
    /// Paths of the plan that at least one user of the page has, one bit each.
    pub(super) paths_seen: u64,
    /// Companies that already have the right name, according to users of the page, with that name.
    agreed: BTreeSet<(String, String)>,
}

/// The location of an error: the page as text, and its generation.
type Place = (String, u32);

impl Evaluated {
    /// Counts a user once: as failed, to change, unchanged or skipped. `same_before` is the count
    /// of unchanged users before this one.
    fn count(&mut self, user: &User, patch: Option<Patch>, same_before: u64) {
        let failed = self.errors.last().is_some_and(|row| row.user == user.id().as_str());
        match (patch, failed) {
            (Some(patch), failed) => {
                self.tally.patches += 1;
                self.tally.partly += u64::from(failed);
                self.patches.push(patch);
            }
            (None, true) => self.tally.same = same_before,
            (None, false) => self.tally.skipped += u64::from(self.tally.same == same_before),
        }
    }

    /// Records an error of a user. Several errors of one user are joined in one row.
    fn fail(&mut self, user: &str, code: &str, message: String, (at, generation): &Place) {
        if let Some(row) = self.errors.last_mut().filter(|row| row.user == user) {
            row.message = format!("{}; {message}", row.message);
            return;
        }
        let (user, code, at) = (user.to_owned(), code.to_owned(), at.clone());
        self.errors.push(ErrorRow { user, code, message, at, generation: *generation });
    }
}

/// Evaluates a page. A user whose evaluation fails becomes an error and does not affect other
/// users.
pub(super) async fn evaluate(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    plan: &Plan,
    page: &Page,
) -> Result<Evaluated, StepError> {
    let at = (format!("page {}", cursor.page + 1), cursor.generation);
    let mut done = Evaluated::default();
    let room = run.limits.limit.map_or(u64::MAX, |limit| limit.saturating_sub(cursor.tally.users));
    let mut met = HashSet::new();
    for user in &page.users {
        // Evaluate, limit and count duplicate entries of a user once.
        if !met.insert(user.id()) {
            done.tally.doubles += 1;
            continue;
        }
        if done.tally.users >= room {
            break;
        }
        done.tally.users += 1;
        done.paths_seen |= plan.seen(user);
        let same_before = done.tally.same;
        let mut patch = decide(&mut done, plan, user, &at);
        agree(clients, run, cursor, (plan, user), patch.as_ref(), &mut done, &at).await?;
        if let Some(whole) = patch.take() {
            patch = companies(clients, run, cursor, whole, &mut done, &at).await?;
        }
        done.count(user, patch, same_before);
    }
    for index in 0..page.unreadable {
        let message = "an entry of the page has no usable id".to_owned();
        done.fail(&format!("unreadable-{index}"), "unreadable_user", message, &at);
    }
    for (user, why) in &page.unknown {
        if why.is_unknown {
            done.fail(user.as_str(), "not_found", unknown(user), &at);
        } else {
            done.fail(user.as_str(), &why.code, why.said.clone(), &at);
        }
    }
    done.tally.errors = done.errors.len() as u64;
    done.tally.unreadable = u64::from(page.unreadable) + page.unknown.len() as u64;
    Ok(done)
}

/// Returns the message for a listed user that Intercom does not have. If the id does not have the
/// form of Intercom's ids, the message explains the form.
fn unknown(user: &UserId) -> String {
    let id = user.as_str();
    let is_intercom_s = id.len() == INTERCOM_ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hint = "; this looks like your app's own id (user_id): list Intercom's id instead, 24 hexadecimal digits such as \
                5714dd359a3fd47136000001";
    format!("Intercom has no user with this id{}", if is_intercom_s { "" } else { hint })
}

/// Evaluates a user, counts the notes, and returns the patch if there is one.
fn decide(done: &mut Evaluated, plan: &Plan, user: &User, at: &Place) -> Option<Patch> {
    let evaluation = plan.evaluate(user);
    for note in evaluation.notes {
        match note {
            Note::Same if evaluation.patch.is_none() => done.tally.same += 1,
            Note::Same => {}
            Note::Skipped(reason) => *done.tally.skip_reasons.entry(reason.as_str().to_owned()).or_default() += 1,
            Note::MissedKey { table, key } => done.tally.miss(&table, key.as_deref()),
            Note::Failed { target, code, message } => {
                done.fail(user.id().as_str(), code.as_str(), format!("{target}: {message}"), at);
            }
        }
    }
    evaluation.patch
}

/// Reserves the names of companies that already have the right name, as a rename does. Otherwise
/// two users with different names for one company would rename it alternately, once per run.
async fn agree(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    (plan, user): (&Plan, &User),
    patch: Option<&Patch>,
    done: &mut Evaluated,
    at: &Place,
) -> Result<(), StepError> {
    let changes = patch.map(|patch| patch.changes.as_slice()).unwrap_or_default();
    for (company, name) in plan.company_names(user) {
        let renamed = changes.iter().any(|change| change.target == Target::CompanyName(company.clone()));
        let name = name.as_str().unwrap_or_default().to_owned();
        if renamed || !done.agreed.insert((company.clone(), name.clone())) {
            continue;
        }
        let found = clients.ledger.reserve_company(&run.id, cursor.generation, (&company, &name), user.id()).await?;
        if found == Reserved::Other {
            done.agreed.remove(&(company, name));
            named_differently(done, user.id(), at);
        }
    }
    Ok(())
}

fn named_differently(done: &mut Evaluated, user: &UserId, at: &Place) {
    let message = "another user of the company gave it another name in this run".to_owned();
    done.fail(user.as_str(), "company_named_differently", message, at);
}

/// Reserves the company names of a patch, so that each name is sent once per generation. If another
/// user has reserved the same name, the change is removed from the patch. If another user has
/// reserved a different name, this user becomes an error.
async fn companies(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    mut patch: Patch,
    done: &mut Evaluated,
    at: &Place,
) -> Result<Option<Patch>, StepError> {
    let mut kept = Vec::with_capacity(patch.changes.len());
    for change in patch.changes {
        let Target::CompanyName(company) = &change.target else {
            kept.push(change);
            continue;
        };
        let name = change.new.as_str().unwrap_or_default();
        match clients.ledger.reserve_company(&run.id, cursor.generation, (company, name), &patch.user).await? {
            Reserved::New => kept.push(change),
            Reserved::Same => *done.tally.skip_reasons.entry(NAMED_ALREADY.to_owned()).or_default() += 1,
            Reserved::Other => named_differently(done, &patch.user, at),
        }
    }
    patch.changes = kept;
    Ok((!patch.changes.is_empty()).then_some(patch))
}
