//! The functions' roles in template.yaml: the AWS calls that IAM allows for each step.
//!
//! IAM has fewer actions than the SDK has operations: a batch of messages needs `sqs:SendMessage`,
//! and a transaction needs the actions of its entries.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

const TEMPLATE: &str = include_str!("../../template.yaml");
/// The functions' logical ids in the template, by step.
const FUNCTIONS: [(&str, &str); 4] =
    [("scroll", "Scroll"), ("submit", "Submit"), ("check", "Check"), ("control", "Control")];

/// An action on a resource of the template, like `dynamodb:Query on Ledger/index/due`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Access {
    pub(crate) action: String,
    pub(crate) resource: String,
}

impl Access {
    pub(crate) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into() }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

/// All roles, by step.
#[derive(Clone, Debug)]
pub(crate) struct Roles(BTreeMap<&'static str, BTreeSet<Access>>);

impl Roles {
    /// Reads the template's roles.
    pub(crate) fn of_the_template() -> Self {
        Self(FUNCTIONS.into_iter().map(|(step, function)| (step, role(TEMPLATE, function))).collect())
    }

    /// Returns the permissions of a step.
    pub(crate) fn of(&self, step: &str) -> &BTreeSet<Access> {
        &self.0[step]
    }

    /// Returns the permissions that a call needs and the step's role lacks.
    pub(crate) fn lacks(&self, step: &str, needed: &BTreeSet<Access>) -> Vec<Access> {
        needed.difference(self.of(step)).cloned().collect()
    }
}

/// Returns the statements of a function's role.
fn role(template: &str, function: &str) -> BTreeSet<Access> {
    let (_, after) = template.split_once(&format!("\n  {function}Role:\n")).expect("the function has a role");
    let lines =
        after.lines().take_while(|line| line.starts_with("   ")).filter(|line| !line.trim_start().starts_with('#'));
    let block = lines.collect::<Vec<_>>().join("\n");
    let mut allowed = BTreeSet::new();
    for statement in block.split("Effect: Allow").skip(1) {
        // The trust policy is a statement without a resource.
        let Some((actions, resources)) = statement.split_once("Resource:") else { continue };
        let actions = words(actions).filter(|word| word.contains(':') && !word.ends_with(':'));
        for action in actions {
            allowed.extend(arns(resources).map(|resource| Access::new(action, resource)));
        }
    }
    allowed
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "[]{},\"".contains(c)).filter(|word| !word.is_empty())
}

/// Returns a statement's resources by logical id: `!GetAtt Pages.Arn` and
/// `"${Ledger.Arn}/index/due"`.
fn arns(text: &str) -> impl Iterator<Item = String> {
    text.match_indices(".Arn").map(|(at, _)| {
        let name = text[..at].rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        let rest = text[at + ".Arn".len()..].strip_prefix('}').unwrap_or_default();
        let path: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        format!("{name}{path}")
    })
}

/// Returns the permissions for an SDK call, given its target header (`DynamoDB_20120810.PutItem`)
/// and body.
pub(crate) fn needed(target: &str, body: &[u8]) -> BTreeSet<Access> {
    // Bodies can be large and frequent, so parse them only if the target is not enough.
    let parsed = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or_default();
    match operation {
        _ if service == "AmazonSQS" => {
            let operation = operation.strip_suffix("Batch").unwrap_or(operation);
            BTreeSet::from([Access::new(format!("sqs:{operation}"), queue(body))])
        }
        "TransactWriteItems" => {
            let body = parsed();
            let entries = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
            entries.map(|(verb, _)| Access::new(format!("dynamodb:{verb}Item"), "Ledger")).collect()
        }
        "Query" => BTreeSet::from([Access::new("dynamodb:Query", table(&parsed()))]),
        _ => BTreeSet::from([Access::new(format!("dynamodb:{operation}"), "Ledger")]),
    }
}

/// There is one table, under any name that a test uses.
fn table(request: &Value) -> String {
    request["IndexName"].as_str().map_or_else(|| "Ledger".to_owned(), |index| format!("Ledger/index/{index}"))
}

/// Returns the queue's logical id for `pages-dead-letters` and so on. Its URL is the first text
/// with `"QueueUrl":"`, because a message's own quotation marks are escaped.
fn queue(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(body);
    let url = body.split_once("\"QueueUrl\":\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    let name = url.rsplit('/').next().unwrap_or_default();
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').filter(|word| !word.is_empty()).map(capital).collect()
}
