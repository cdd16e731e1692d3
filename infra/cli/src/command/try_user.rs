//! `try`: shows how a plan treats one user, and writes nothing.

use std::path::PathBuf;

use clap::Args;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::intercom::{CALL_TIMEOUT, Intercom};
use intercom_bulk::plan::{Evaluation, Explanation, Note, Plan, RuleOutcome};
use intercom_bulk_emulator::engine::machine_wall;
use serde_json::{Value, json};

use super::bounds::user_id;
use super::choice::Chooser;
use super::run::{connect, read_plan};
use super::{Access, CommandError};
use crate::changed::Changed;
use crate::output;

/// The exit code if a run would write the user, or the user fails.
const WOULD_CHANGE: u8 = 2;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk try [OPTIONS] --user <ID> <PLAN>")]
#[command(
    long_about = "Show how a plan treats one user: the values that it reads, the result of each rule, and the values \
    that a run would write.\n\n\
    Reads this user by id, and writes nothing. The list of users is not read, so no scroll is opened, and with API 2.x \
    the values are the present ones. The output has personal data of the user.\n\n\
    (absent) is a value that the user does not have; it can also be null."
)]
#[command(
    after_help = "Exit codes: 0 a run would leave the user as it is · 1 failed, or there is no such user · 2 a run would change \
    the user, or a rule fails · 64 wrong usage\n\
    Example: `try plans/plan-price.toml --user 5714dd359a3fd47136000001`. `preview` and `errors` show ids"
)]
pub(super) struct Try {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    /// The user (Intercom's id)
    #[arg(long, value_name = "ID", value_parser = user_id)]
    user: String,
    /// Print one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Try {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?.on_day_of(machine_wall()().div_euclid(1000));
        let user = UserId::new(self.user.as_str()).ok_or_else(|| CommandError::Usage("no id of a user".to_owned()))?;
        let intercom = self.client(&plan).await?;
        let found = intercom.user(&user, CALL_TIMEOUT).await;
        let found = found.map_err(|error| CommandError::intercom(intercom.api(), error))?.value;
        let found = found.map_err(|none| {
            CommandError::Step(format!(
                "Intercom returns no user {user}: {}. `preview` and `errors` show ids",
                none.said
            ))
        })?;
        let outside = plan.contacts().skip(&found);
        if let Some(list) = plan.cut_list(&found) {
            return Err(CommandError::Step(format!(
                "Intercom sends only the first items of user.{list}, which the plan reads: a run lists this user as list_cut"
            )));
        }
        let explained = plan.explain(&found);
        if self.json {
            output::json(&as_json(&self.user, outside, &explained));
        } else {
            for line in words(&plan, &self.user, outside, &explained) {
                output::line(&line);
            }
        }
        let fails = explained.evaluation.notes.iter().any(|note| matches!(note, Note::Failed { .. }));
        let changes = outside.is_none() && (explained.evaluation.patch.is_some() || fails);
        Ok(if changes { WOULD_CHANGE } else { 0 })
    }

    /// Returns a client of the API that a run of the plan would use.
    async fn client(&self, plan: &Plan) -> Result<Intercom, CommandError> {
        let (intercom, reached, _) = connect(&self.access)?;
        let mut chooser = Chooser::new(&intercom);
        let choice = chooser.looks(&self.access, &reached, plan).await?.choice;
        let lacking = plan.lacking_in(choice.version.api());
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            let words = format!("API {} does not have {lacking}: change the plan, or set INTERCOM_API", choice.version);
            return Err(CommandError::Usage(words));
        }
        Ok(intercom.of_version(choice.version))
    }
}

fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "(absent)".to_owned(), Value::to_string)
}

fn outcome_words(outcome: &RuleOutcome) -> String {
    match outcome {
        RuleOutcome::Holds => "true".to_owned(),
        RuleOutcome::Set { before, after } => format!("{} → {after}", value(before.as_ref())),
        RuleOutcome::Same => "unchanged".to_owned(),
        RuleOutcome::Skipped(reason) => format!("skipped ({})", reason.as_str()),
        RuleOutcome::Failed { code, message } => format!("failed ({}): {message}", code.as_str()),
    }
}

fn outcome_json(outcome: &RuleOutcome) -> Value {
    match outcome {
        RuleOutcome::Holds => json!({"result": "holds"}),
        RuleOutcome::Set { before: Some(before), after } => json!({"result": "set", "before": before, "after": after}),
        RuleOutcome::Set { before: None, after } => json!({"result": "set", "after": after}),
        RuleOutcome::Same => json!({"result": "unchanged"}),
        RuleOutcome::Skipped(reason) => json!({"result": "skipped", "reason": reason.as_str()}),
        RuleOutcome::Failed { code, message } => json!({"result": "failed", "code": code.as_str(), "message": message}),
    }
}

/// Returns the missed keys of tables as texts, such as `price["gold"]`.
fn missed(evaluation: &Evaluation) -> Vec<String> {
    let key = |note: &Note| match note {
        Note::MissedKey { table, key: Some(key) } => Some(format!("{table}[{key:?}]")),
        Note::MissedKey { table, key: None } => Some(format!("{table}[…]")),
        _ => None,
    };
    evaluation.notes.iter().filter_map(key).collect()
}

/// Returns the targets that would be written again after being written.
fn unsettled(explained: &Explanation) -> Vec<&str> {
    let again = |note: &Note| matches!(note, Note::Failed { code, .. } if code.as_str() == "never_settles");
    let found = explained.evaluation.notes.iter().filter(|note| again(note));
    found.filter_map(|note| if let Note::Failed { target, .. } = note { Some(target.as_str()) } else { None }).collect()
}

fn words(plan: &Plan, user: &str, outside: Option<&str>, explained: &Explanation) -> Vec<String> {
    let mut lines = vec![format!("Plan {} and user {user}:", plan.name())];
    if let Some(role) = outside {
        lines.push(format!("  The user is a {role}, and the plan is not about those: a run skips it."));
        return lines;
    }
    if !explained.reads.is_empty() {
        lines.push("  The plan reads:".to_owned());
        lines.extend(explained.reads.iter().map(|(path, found)| format!("    {path}: {}", value(found.as_ref()))));
    }
    lines.extend(explained.condition.iter().map(|outcome| format!("  where: {}", outcome_words(outcome))));
    if !explained.rules.is_empty() {
        lines.push("  Its rules give:".to_owned());
        lines.extend(
            explained.rules.iter().map(|(target, outcome)| format!("    {target}: {}", outcome_words(outcome))),
        );
    }
    let missed = missed(&explained.evaluation);
    lines.extend((!missed.is_empty()).then(|| format!("  Tables without a row: {}", missed.join(", "))));
    let unsettled = unsettled(explained);
    if !unsettled.is_empty() {
        lines.push(format!(
            "  A run writes nothing: {} would change again after each write, because the plan reads what it writes \
             (never_settles).",
            unsettled.join(", ")
        ));
    } else if let Some(patch) = &explained.evaluation.patch {
        lines.push("  A run would write:".to_owned());
        lines.extend(Changed::from(patch).words());
    } else {
        lines.push("  A run writes nothing.".to_owned());
    }
    lines
}

fn as_json(user: &str, outside: Option<&str>, explained: &Explanation) -> Value {
    let read = |(path, found): &(String, Option<Value>)| match found {
        Some(found) => json!({"path": path, "value": found}),
        None => json!({"path": path}),
    };
    let rule = |(target, outcome): &(String, RuleOutcome)| {
        let mut object = outcome_json(outcome);
        object["target"] = json!(target);
        object
    };
    let writes = explained.evaluation.patch.as_ref().filter(|_| outside.is_none()).map(Changed::from);
    json!({
        "user": user,
        "skipped_as": outside,
        "reads": explained.reads.iter().map(read).collect::<Vec<_>>(),
        "where": explained.condition.as_ref().map(outcome_json),
        "rules": explained.rules.iter().map(rule).collect::<Vec<_>>(),
        "missed": missed(&explained.evaluation),
        "never_settles": unsettled(explained),
        "writes": writes.map(|changed| changed.changes).unwrap_or_default(),
    })
}
