//! Formats an invocation's metrics as one line of CloudWatch's embedded metric format.
//!
//! A function writes the line to standard output as JSON, and CloudWatch Logs extracts the metrics.
//! This needs no API call, permission or agent. Lambda's log format `JSON` keeps the line
//! unchanged, because it does not encode a line that is already JSON. Lambda treats a line without
//! `level` as `INFO`, so an application log level above `INFO` would drop the metrics.
//!
//! Sources: "Specification: Embedded metric format" and "Using the embedded metric format with
//! Lambda" in CloudWatch's user guide; "Configuring JSON and plain text log formats" in Lambda's.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::runtime::settings::STACK_NAME;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "intercom-bulk";
/// The only dimension. It separates several stacks in one account.
pub const DIMENSION: &str = "Stack";

/// The unit of a metric, with CloudWatch's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A number of items.
    Count,
    /// A share from 0 to 100.
    Percent,
}

/// A metric of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name. All steps use the same name for the same metric.
    pub name: &'static str,
    /// Its value.
    pub value: u64,
    /// Its unit.
    pub unit: Unit,
}

impl Metric {
    /// Creates a metric that counts items.
    pub const fn count(name: &'static str, value: u64) -> Self {
        Self { name, value, unit: Unit::Count }
    }

    /// Creates a metric in percent.
    pub const fn percent(name: &'static str, value: u64) -> Self {
        Self { name, value, unit: Unit::Percent }
    }
}

/// Returns an invocation's line at `now_ms` (Unix milliseconds), or `None` if all metrics are 0.
///
/// A metric is billed for each hour in which it is written. Without this rule, the two ticks of an
/// idle stack would incur the cost of all metrics every hour.
pub fn line(stack: Option<&str>, now_ms: i64, metrics: &[Metric]) -> Option<Value> {
    if metrics.iter().all(|metric| metric.value == 0) {
        return None;
    }
    let declared = metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit }));
    let declared: Vec<Value> = declared.collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": declared });
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({ "Timestamp": now_ms, "CloudWatchMetrics": [directive] }));
    line.insert(DIMENSION.to_owned(), stack.or(STACK_NAME.default).into());
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), metric.value.into())));
    Some(Value::Object(line))
}

#[cfg(test)]
mod tests;
