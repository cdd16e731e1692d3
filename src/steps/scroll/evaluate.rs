//! Evaluates the plan for the users of a page, and counts the results.

mod undo;

use std::collections::{BTreeSet, HashSet};

use self::undo::changes_of;
use super::by_id::Task;
use super::fetch::FetchedPage;
use crate::domain::patch::{Patch, Target};
use crate::domain::run::{CHANGED_SINCE_PREVIEW, Cursor, NAMED_ALREADY, Run, RunId, Tally};
use crate::domain::undo::StayingUser;
use crate::domain::user::{User, UserId};
use crate::ledger::{CompanyName, ErrorRow, Ledger, Reserved, UNREADABLE_USER};
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
    /// Users of an undo with values that stay.
    pub(super) staying: Vec<StayingUser>,
}

/// A company that already has the right name, according to a user of the page.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Agreed {
    company: String,
    name: String,
}

/// The evaluation of a page.
struct PageEvaluation<'a> {
    ledger: &'a Ledger,
    plan: &'a Plan,
    run: &'a RunId,
    generation: u32,
    /// The page, as error rows name it.
    page: String,
    done: Evaluated,
    agreed: BTreeSet<Agreed>,
    task: &'a Task,
}

/// Evaluates a page. A user whose evaluation fails becomes an error and does not affect other
/// users.
pub(super) async fn evaluate(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    plan: &Plan,
    page: &FetchedPage,
) -> Result<Evaluated, StepError> {
    let mut evaluation = PageEvaluation {
        ledger: &clients.ledger,
        plan,
        run: &run.id,
        generation: cursor.generation,
        page: page_name(cursor),
        done: Evaluated::default(),
        agreed: BTreeSet::new(),
        task: &page.task,
    };
    let room = run.limit().map_or(u64::MAX, |limit| limit.saturating_sub(cursor.tally.without_leads()));
    let before = clients.previous.of(&run.id);
    let mut met = HashSet::new();
    for user in &page.users {
        let tally = &mut evaluation.done.tally;
        // Evaluate, limit and count duplicate entries of a user once.
        if !met.insert(user.id()) {
            tally.doubles += 1;
            continue;
        }
        if tally.without_leads() >= room {
            break;
        }
        tally.users += 1;
        if let Task::Undo(made) = &page.task {
            evaluation.undo(user, changes_of(made, user.id()), run.api).await?;
            continue;
        }
        if let Some(role) = plan.contacts().skip(user) {
            if let Task::Approved(_) = &page.task {
                let message = format!("the user is a {role} now, and the plan is not about those");
                evaluation.fail(user.id().as_str(), CHANGED_SINCE_PREVIEW, message);
                continue;
            }
            tally.leads += 1;
            tally.skipped += 1;
            *tally.skip_reasons.entry(role.to_owned()).or_default() += 1;
            continue;
        }
        tally.set_again.users += u64::from(before.has(user.id()));
        if let Some(list) = plan.cut_list(user) {
            let message = format!("Intercom sends only the first items of user.{list}, which the plan reads");
            evaluation.fail(user.id().as_str(), "list_cut", message);
            continue;
        }
        evaluation.user(user).await?;
    }
    for index in 0..page.unreadable {
        let message = "an entry of the page has no usable id".to_owned();
        // Entries of several pages are several users.
        evaluation.fail(&format!("unreadable-{}-{index}", cursor.page + 1), UNREADABLE_USER, message);
    }
    // Users that are gone are no errors of an undo.
    let mut unreadable = u64::from(page.unreadable);
    for (user, why) in &page.unknown {
        match &page.task {
            Task::Undo(made) if why.is_unknown || why.is_gone => {
                evaluation.gone(user, changes_of(made, user));
                continue;
            }
            _ if why.is_unknown => evaluation.fail(user.as_str(), "not_found", unknown(user)),
            _ => evaluation.fail(user.as_str(), &why.code, why.said.clone()),
        }
        unreadable += 1;
    }
    let mut done = evaluation.done;
    for patch in &done.patches {
        done.tally.set_again.count(&before, patch);
    }
    done.tally.errors = done.errors.len() as u64;
    done.tally.unreadable = unreadable;
    Ok(done)
}

/// Returns the name of the cursor's next page in error rows.
pub(super) fn page_name(cursor: &Cursor) -> String {
    format!("page {}", cursor.page + 1)
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

impl PageEvaluation<'_> {
    /// Evaluates a user: adds its patch and errors, and counts the result.
    async fn user(&mut self, user: &User) -> Result<(), StepError> {
        self.done.paths_seen |= self.plan.seen(user);
        let same_before = self.done.tally.same;
        let mut patch = self.patch(user);
        self.agree(user, patch.as_ref()).await?;
        if let Some(whole) = patch.take() {
            patch = self.companies(whole).await?;
        }
        if let Task::Approved(approved) = self.task
            && let Some(difference) = approved.difference(user, patch.as_ref())
        {
            patch = None;
            self.fail(user.id().as_str(), CHANGED_SINCE_PREVIEW, difference);
        }
        self.count(user, patch, same_before);
        Ok(())
    }

    /// Evaluates the plan, counts the notes, and returns the patch if there is one.
    fn patch(&mut self, user: &User) -> Option<Patch> {
        let evaluation = self.plan.evaluate(user);
        for note in evaluation.notes {
            let tally = &mut self.done.tally;
            match note {
                Note::Same if evaluation.patch.is_none() => tally.same += 1,
                Note::Same => {}
                Note::Skipped(reason) => *tally.skip_reasons.entry(reason.as_str().to_owned()).or_default() += 1,
                Note::MissedKey { table, key } => tally.miss(&table, key.as_deref()),
                Note::Failed { target, code, message } => {
                    self.fail(user.id().as_str(), code.as_str(), format!("{target}: {message}"));
                }
            }
        }
        evaluation.patch
    }

    /// Counts a user once: as failed, to change, unchanged or skipped. `same_before` is the count
    /// of unchanged users before this one.
    fn count(&mut self, user: &User, patch: Option<Patch>, same_before: u64) {
        let Evaluated { tally, patches, errors, .. } = &mut self.done;
        let failed = errors.last().is_some_and(|row| row.user == user.id().as_str());
        match (patch, failed) {
            (Some(patch), failed) => {
                tally.patches += 1;
                tally.partly += u64::from(failed);
                patches.push(patch);
            }
            (None, true) => tally.same = same_before,
            (None, false) => tally.skipped += u64::from(tally.same == same_before),
        }
    }

    /// Records an error of a user. Several errors of one user are joined in one row.
    fn fail(&mut self, user: &str, code: &str, message: String) {
        if let Some(row) = self.done.errors.last_mut().filter(|row| row.user == user) {
            row.message = format!("{}; {message}", row.message);
            return;
        }
        self.done.errors.push(ErrorRow {
            user: user.to_owned(),
            code: code.to_owned(),
            message,
            at: self.page.clone(),
            generation: self.generation,
        });
    }

    /// Reserves the names of companies that already have the right name, as a rename does.
    /// Otherwise two users with different names for one company would rename it alternately, once
    /// per run.
    async fn agree(&mut self, user: &User, patch: Option<&Patch>) -> Result<(), StepError> {
        let changes = patch.map(|patch| patch.changes.as_slice()).unwrap_or_default();
        for (company, name) in self.plan.company_names(user) {
            let renamed = changes.iter().any(|change| change.target == Target::CompanyName(company.clone()));
            let name = name.as_str().unwrap_or_default().to_owned();
            let agreed = Agreed { company, name };
            if renamed || !self.agreed.insert(agreed.clone()) {
                continue;
            }
            if self.reserve(&agreed.company, &agreed.name, user.id()).await? == Reserved::Other {
                self.agreed.remove(&agreed);
                self.named_differently(user.id());
            }
        }
        Ok(())
    }

    /// Reserves the company names of a patch, so that each name is sent once per generation. If
    /// another user has reserved the same name, the change is removed from the patch. If another
    /// user has reserved a different name, this user becomes an error.
    async fn companies(&mut self, mut patch: Patch) -> Result<Option<Patch>, StepError> {
        let mut kept = Vec::with_capacity(patch.changes.len());
        for change in patch.changes {
            let Target::CompanyName(company) = &change.target else {
                kept.push(change);
                continue;
            };
            let name = change.new.as_str().unwrap_or_default();
            match self.reserve(company, name, &patch.user).await? {
                Reserved::New => kept.push(change),
                Reserved::Same => *self.done.tally.skip_reasons.entry(NAMED_ALREADY.to_owned()).or_default() += 1,
                Reserved::Other => self.named_differently(&patch.user),
            }
        }
        patch.changes = kept;
        Ok((!patch.changes.is_empty()).then_some(patch))
    }

    async fn reserve(&self, company: &str, name: &str, user: &UserId) -> Result<Reserved, StepError> {
        let name = CompanyName { company, name };
        Ok(self.ledger.reserve_company(self.run, self.generation, name, user).await?)
    }

    fn named_differently(&mut self, user: &UserId) {
        let message = "another user of the company gave it another name in this run".to_owned();
        self.fail(user.as_str(), "company_named_differently", message);
    }
}
