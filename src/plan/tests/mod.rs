//! Plans from their text to their patches.

mod bombs;
mod language;
mod refusals;
mod settings;
mod shipped;
mod stated;

use serde_json::{Value as Json, json};

use super::*;

/// A plan with one attribute `x`, from expressions and tables alone.
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

/// The new value of the only change.
fn new_value(plan: &Plan, body: Json) -> Option<Json> {
    let mut changes = plan.evaluate(&user(body)).patch?.changes;
    assert_eq!(changes.len(), 1);
    changes.pop().map(|change| change.new)
}

/// What `value` gives for a user, as JSON; `None` where it is undefined.
fn result(kind: &str, value: &str, body: Json) -> Option<Json> {
    let plan = plan(kind, value, "tables.price = { starter = 49, \"Pro Plus\" = 99, \"3\" = 7 }")
        .unwrap_or_else(|e| panic!("{e}"));
    new_value(&plan, body)
}

fn failure(kind: &str, value: &str, body: Json) -> &'static str {
    let plan = plan(kind, value, "").unwrap_or_else(|e| panic!("{e}"));
    let evaluation = plan.evaluate(&user(body));
    assert_eq!(evaluation.patch, None);
    evaluation
        .notes
        .iter()
        .find_map(|note| match note {
            Note::Failed { code, .. } => Some(code.as_str()),
            _ => None,
        })
        .unwrap_or_else(|| panic!("{value}: {:?}", evaluation.notes))
}
