//! Runs, plans, and what happened to single users.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::active::StoredPlan;
use super::error::conditional;
use super::items::{self, key, n, run_pk, s};
use super::{Key, Ledger, LedgerError};
use crate::domain::run::{Run, RunId, State};
use crate::domain::user::UserId;

/// Code and message of an error row are cut to so many characters.
const TEXT_MAX: usize = 300;

/// A user that ended in an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The user, or `page 12` where the page held something that is no user.
    pub user: String,
    /// Intercom's code, or ours.
    pub code: String,
    /// The message, free of personal data.
    pub message: String,
    /// Where it happened: a page, a part or a job.
    pub at: String,
    /// In which generation; 0 in rows of earlier versions.
    #[serde(default)]
    pub generation: u32,
}

impl ErrorRow {
    /// Whether it is of this generation or a later one; rows of earlier versions are of any.
    fn is_of(&self, generation: u32) -> bool {
        self.generation == 0 || self.generation >= generation
    }
}

/// Whether a company's name may be sent for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// For no other user was one sent in this generation.
    New,
    /// The same name was sent already.
    Same,
    /// Another name was sent in this run.
    Other,
}

#[derive(Serialize, Deserialize)]
struct Company {
    name: String,
    generation: u32,
    /// Whose: the answer to the write may be lost, and the write tried again finds its own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
}

impl Ledger {
    /// The run, read consistently.
    pub async fn run(&self, run: &RunId) -> Result<Option<Run>, LedgerError> {
        self.get(&key(run_pk(run), "RUN")).await
    }

    /// The run's own copy of its plan, as JSON.
    pub async fn plan_of(&self, run: &RunId) -> Result<serde_json::Value, LedgerError> {
        let stored: Option<StoredPlan> = self.get(&key(run_pk(run), "PLAN")).await?;
        plan_value(stored.map(|stored| stored.plan), run.as_str())
    }

    /// Stores a plan under its name, for starts by name.
    pub async fn put_plan(&self, name: &str, plan: &serde_json::Value) -> Result<(), LedgerError> {
        self.put(&key("PLANS", name), &StoredPlan { plan: plan.to_string() }).await
    }

    /// A stored plan.
    pub async fn stored_plan(&self, name: &str) -> Result<Option<serde_json::Value>, LedgerError> {
        let stored: Option<StoredPlan> = self.get(&key("PLANS", name)).await?;
        stored.map(|stored| plan_value(Some(stored.plan), name)).transpose()
    }

    /// Records users that ended in an error. The same error of the same place is one row.
    pub async fn record_errors(&self, run: &RunId, rows: &[ErrorRow]) -> Result<(), LedgerError> {
        for row in rows {
            let row = ErrorRow { code: cut(&row.code), message: cut(&row.message), ..row.clone() };
            self.put(&key(run_pk(run), format!("ERROR#{}#{}", row.user, row.at)), &row).await?;
        }
        Ok(())
    }

    /// Sets the run's deadline, unless it was changed since the run was read.
    pub async fn extend_deadline(&self, run: &Run, deadline_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(key(run_pk(&run.id), "RUN").attributes()))
            .update_expression("SET deadline_ms = :next")
            .condition_expression("deadline_ms = :was")
            .expression_attribute_values(":next", n(deadline_ms))
            .expression_attribute_values(":was", n(run.deadline_ms))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Adds to the run's running count of errors, for the limit that bounds them. Returns the count.
    pub async fn count_errors(&self, run: &RunId, errors: u64) -> Result<u64, LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(key(run_pk(run), "RUN").attributes()))
            .update_expression("ADD #errors :more")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#errors", "errors")
            .expression_attribute_values(":more", n(errors))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(|e| LedgerError::call("UpdateItem", e))?;
        let count = sent.attributes.and_then(|found| found.get("errors")?.as_n().ok()?.parse().ok());
        // Without it the limit would be open.
        count.ok_or_else(|| LedgerError::Missing { what: "count of errors", key: run.to_string() })
    }

    /// The users of a run that ended in an error, by id. Where the last generation saw everybody, what went wrong in the
    /// ones before it is over.
    pub async fn errors(&self, run: &Run) -> Result<Vec<ErrorRow>, LedgerError> {
        let found = self.query(&run_pk(&run.id), "ERROR#", usize::MAX).await?;
        let rows: Result<Vec<ErrorRow>, _> = found.into_iter().map(|item| items::read(item, "ERROR")).collect();
        let mut rows = rows?;
        if matches!(run.state, State::Complete | State::CompleteWithErrors) {
            rows.retain(|row| row.is_of(run.generation));
        }
        Ok(rows)
    }

    /// The users of a run's generation that are in error, each once: a part that is tried again meets the same errors again.
    pub async fn users_in_error(&self, run: &Run) -> Result<BTreeSet<String>, LedgerError> {
        let rows = self.errors(run).await?.into_iter().filter(|row| row.is_of(run.generation));
        Ok(rows.map(|row| row.user).collect())
    }

    /// Reserves a company's name for a user of the run: two users of one company must not name it differently.
    pub async fn reserve_company(
        &self,
        run: &RunId,
        generation: u32,
        (company, name): (&str, &str),
        user: &UserId,
    ) -> Result<Reserved, LedgerError> {
        let at = key(run_pk(run), format!("COMPANY#{company}"));
        let item = items::write(&at, &Company { name: name.to_owned(), generation, user: Some(user.clone()) })?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let sent = request
            .condition_expression("attribute_not_exists(pk) OR generation < :generation")
            .expression_attribute_values(":generation", n(generation))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Reserved::New),
            Err(e) => match e.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    let there: Option<Company> = self.get(&at).await?;
                    Ok(match there.filter(|there| there.name == name) {
                        Some(there) if there.user.as_ref() == Some(user) => Reserved::New,
                        Some(_) => Reserved::Same,
                        None => Reserved::Other,
                    })
                }
                _ => Err(LedgerError::call("PutItem", e)),
            },
        }
    }

    /// The runs that this ledger knows, newest first. Runs lie in partitions of their own, so this reads the list that
    /// [`Self::begin`] keeps.
    pub async fn runs(&self, most: usize) -> Result<Vec<RunId>, LedgerError> {
        let mut found = self.query("RUNS", "", usize::MAX).await?;
        found.reverse();
        found.truncate(most);
        let name = |item: &items::Item| RunId::parse(item.get("run")?.as_s().ok()?);
        Ok(found.iter().filter_map(name).collect())
    }
}

/// A run's place in the list of runs.
pub(super) fn place_among_the_runs(run: &Run) -> Key {
    key("RUNS", format!("{:015}#{}", run.started_ms, run.id))
}

/// What lies there.
pub(super) fn among_the_runs(run: &Run) -> items::Item {
    let mut item = place_among_the_runs(run).attributes();
    item.insert("run".to_owned(), s(&run.id));
    item
}

fn plan_value(text: Option<String>, name: &str) -> Result<serde_json::Value, LedgerError> {
    let missing = || LedgerError::Missing { what: "plan", key: name.to_owned() };
    serde_json::from_str(&text.ok_or_else(missing)?).map_err(|_| missing())
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}
