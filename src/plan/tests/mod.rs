//! Tests of plans from their text to their patches.

mod bombs;
mod cases;
mod explain;
mod field;
mod habits;
mod hints;
mod language;
mod reference;
mod refusals;
mod schema;
mod settings;
mod shipped;
mod stated;
mod types;
mod words;

use serde_json::{Value as Json, json};

use super::*;

/// The scheduled time of the tests' runs: 24 November 2016, 10:05 UTC.
const TODAY_S: i64 = 1_479_981_900;

/// Creates a plan with one attribute `x` from an expression and tables.
fn plan(kind: &str, value: &str, more: &str) -> Result<Plan, PlanError> {
    let value = Json::from(value);
    Plan::from_toml(
        "plan.toml",
        &format!("name = \"p\"\n{more}\n[set.custom_attributes.x]\ntype = \"{kind}\"\nvalue = {value}\n"),
    )
}

fn user(body: Json) -> User {
    let mut body = body;
    body["id"] = json!("5714dd359a3fd47136000001");
    User::new(body).unwrap()
}

/// Returns the new value of the only change.
fn new_value(plan: &Plan, body: Json) -> Option<Json> {
    let mut changes = plan.evaluate(&user(body)).patch?.changes;
    assert_eq!(changes.len(), 1);
    changes.pop().map(|change| change.new)
}

/// Returns the result of `value` for a user, as JSON; `None` if it is undefined.
fn result(kind: &str, value: &str, body: Json) -> Option<Json> {
    let plan = plan(kind, value, "tables.price = { starter = 49, \"Pro Plus\" = 99, \"3\" = 7 }")
        .unwrap_or_else(|e| panic!("{e}"));
    new_value(&plan.on_day_of(TODAY_S), body)
}

fn failure(kind: &str, value: &str, body: Json) -> &'static str {
    failed(kind, value, body).0
}

/// Returns the code and the message of a failed value.
#[track_caller]
fn failed(kind: &str, value: &str, body: Json) -> (&'static str, String) {
    let plan = plan(kind, value, "tables.price = { starter = 49 }").unwrap_or_else(|e| panic!("{e}"));
    let evaluation = plan.on_day_of(TODAY_S).evaluate(&user(body));
    assert_eq!(evaluation.patch, None, "{value}");
    let failed = evaluation.notes.iter().find_map(|note| match note {
        Note::Failed { code, message, .. } => Some((code.as_str(), message.clone())),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("{value}: {:?}", evaluation.notes))
}
