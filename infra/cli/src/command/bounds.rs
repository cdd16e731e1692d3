//! The options that select a run's users and its limits, and the start event that they produce.

use std::num::NonZeroU32;

use clap::Args;
use intercom_bulk::domain::run::{AtMost, Limits, PERCENT_MAX, RunId};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::runtime::event::StartEvent;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::CommandError;

/// The users of a run or a preview.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Only the first N users of the workspace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "users")]
    pub(super) limit: Option<u64>,
    /// Only this user (Intercom's id); repeatable
    #[arg(long = "user", id = "users", value_name = "ID", value_parser = user_id)]
    pub(super) users: Vec<String>,
}

/// The pace of a run or a preview.
#[derive(Debug, Args)]
pub(super) struct Pacing {
    /// Write at most this number of users per minute, for the webhooks and messages that each write
    /// triggers
    #[arg(long, value_name = "N", value_parser = per_minute)]
    pub(super) max_per_minute: Option<NonZeroU32>,
    /// Read the list of users at once. With API 2.x it may not show the writes of the last three minutes,
    /// so some users may be written again
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Bounds {
    #[command(flatten)]
    pub(super) scope: Scope,
    /// Change nothing if more than this number of users, or part of the users read, would change;
    /// nothing is sent before all users are read
    #[arg(long, value_name = "N|P%", value_parser = at_most)]
    max_changes: Option<AtMost>,
    /// Fail after more than this number of failed users, or part of the users read so far (of 100 at
    /// least); other users are changed by then
    #[arg(long, value_name = "N|P%", value_parser = at_most)]
    max_errors: Option<AtMost>,
    /// Continue although none of the first 1,000 users has an attribute that the plan reads
    #[arg(long)]
    accept_unseen: bool,
    /// Pause when the users of --limit are done; a resume goes on with all users
    #[arg(long, requires = "limit")]
    then_pause: bool,
    /// Create the custom attributes of the plan that the workspace does not have. API 1.x creates them with
    /// the first value
    #[arg(long)]
    create_attributes: bool,
    #[command(flatten)]
    pacing: Pacing,
}

impl Bounds {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            limit: self.scope.limit,
            max_changes: self.max_changes,
            max_errors: self.max_errors,
            dry_run: false,
            keep_changes: false,
            accept_unseen: self.accept_unseen,
            then_pause: self.then_pause,
            max_per_minute: self.pacing.max_per_minute,
            no_wait: self.pacing.no_wait,
            create_attributes: self.create_attributes,
        }
    }

    /// Returns the selected users as text.
    pub(super) fn whom(&self) -> String {
        match (self.scope.users.as_slice(), self.scope.limit) {
            ([], None) => "the whole workspace".to_owned(),
            ([], Some(1)) => "the first user of the workspace".to_owned(),
            ([], Some(limit)) => format!("the first {limit} users of the workspace"),
            ([user], _) => format!("the user {user}"),
            (users, _) => format!("these {} users", users.len()),
        }
    }

    /// Returns the start event of a plan (its name, or the plan itself) with these options.
    pub(super) fn start(&self, plan: &Value, at: Timestamp) -> Value {
        start(plan, at, &self.scope.users, &self.limits())
    }
}

/// Returns the start event of a plan. Without users it covers the whole workspace.
pub(super) fn start(plan: &Value, at: Timestamp, users: &[String], limits: &Limits) -> Value {
    let mut start = json!({ "plan": plan, "time": at.to_string(), "rails": limits });
    if !users.is_empty() {
        start["users"] = json!(users);
    }
    start
}

/// Returns the run of a start event. Refuses an event that the step would refuse, with the same
/// error.
pub(super) fn run_of(start: &Value) -> Result<RunId, CommandError> {
    let unnamed = || CommandError::Usage("a start names a plan and a time".to_owned());
    let start = StartEvent::read(start).map_err(|error| CommandError::Usage(error.to_string()))?;
    start.run().ok_or_else(unnamed)
}

/// Parses `--user`.
pub(super) fn user_id(text: &str) -> Result<String, String> {
    let id = UserId::new(text).map(|id| id.to_string());
    id.ok_or_else(|| {
        "expected Intercom's id of a user, such as 5714dd359a3fd47136000001, not an e-mail address or user_id; `preview` and \
         `errors` show ids"
            .to_owned()
    })
}

/// Parses a bound on users: `500` users, or `10%` of those read.
fn at_most(text: &str) -> Result<AtMost, String> {
    let wrong = |_| format!("\"{text}\" is neither a number of users nor a percentage such as 10%");
    match text.strip_suffix('%') {
        Some(percent) => match percent.parse().map_err(wrong)? {
            percent @ 0..=PERCENT_MAX => Ok(AtMost::Percent(percent)),
            _ => Err(format!("\"{text}\" is more than all users: a percentage is 0% to 100%")),
        },
        None => text.parse().map(AtMost::Users).map_err(wrong),
    }
}

/// Parses `--max-per-minute`: a number of users, at least 1.
pub(super) fn per_minute(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number of users per minute, such as 60"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_limits_name_the_accepted_values() {
        assert_eq!(at_most("500"), Ok(AtMost::Users(500)));
        assert_eq!(at_most("100%"), Ok(AtMost::Percent(100)));
        assert!(at_most("120%").unwrap_err().contains("0% to 100%"));
        assert!(at_most("many").unwrap_err().contains("10%"));
        assert_eq!(per_minute("60").map(NonZeroU32::get), Ok(60));
        assert!(["0", "1.5", "60/s"].iter().all(|text| per_minute(text).unwrap_err().contains("such as 60")));
    }
}
