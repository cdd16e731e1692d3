//! One line of metrics for an invocation, in CloudWatch's embedded metric format.
//!
//! A function writes the line to standard output as bare JSON and CloudWatch Logs makes metrics of it: no call, no
//! permission, no agent. Lambda's log format `JSON` leaves it as it is, because it never encodes twice what is JSON
//! already, and counts a line without a `level` as `INFO`: an application log level above that would drop it.
//! Sources: "Specification: Embedded metric format" and "Using the embedded metric format with Lambda" in CloudWatch's
//! user guide, "Configuring JSON and plain text log formats" in Lambda's.

use serde_json::{Map, Value, json};

use crate::runtime::settings::STACK_NAME;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "intercom-bulk";
/// The one dimension: several stacks may live in an account.
pub const DIMENSION: &str = "Stack";

/// What a metric counts in, by CloudWatch's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Of a hundred.
    Percent,
}

/// A figure of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, one word for one thing in all steps.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// What it counts in.
    pub unit: Unit,
}

impl Metric {
    /// A number of things.
    pub const fn count(name: &'static str, value: u64) -> Self {
        Self { name, value, unit: Unit::Count }
    }

    /// A share.
    pub const fn percent(name: &'static str, value: u64) -> Self {
        Self { name, value, unit: Unit::Percent }
    }
}

/// The line of an invocation at `now_ms`, or none for one that found nothing to do: a metric is billed for each hour in
/// which it was written, and the two ticks of an idle stack would pay for all of them every hour.
pub fn line(stack: Option<&str>, now_ms: i64, metrics: &[Metric]) -> Option<Value> {
    if metrics.iter().all(|metric| metric.value == 0) {
        return None;
    }
    let told = metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit.name() }));
    let told: Vec<Value> = told.collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": told });
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({ "Timestamp": now_ms, "CloudWatchMetrics": [directive] }));
    line.insert(DIMENSION.to_owned(), stack.or(STACK_NAME.default).into());
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), metric.value.into())));
    Some(Value::Object(line))
}

impl Unit {
    const fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Percent => "Percent",
        }
    }
}

#[cfg(test)]
mod tests;
