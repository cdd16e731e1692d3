//! DynamoDB by dynoxide. It stores tables in `SQLite` and answers a call in tens of microseconds.

use std::fmt;

use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Counts;
use super::connector::{Reply, Service};

/// The tables of one account.
#[derive(Clone)]
pub(super) struct Tables {
    database: Database,
    counts: Counts,
}

impl fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// DynamoDB's error for a query by an empty key. Dynoxide accepts such a query.
const EMPTY_KEY: &str = "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain \
                         an empty string value.";

/// The billing of an operation on items.
#[derive(Clone, Copy, PartialEq)]
enum Units {
    Read,
    Write,
}

impl Tables {
    pub(super) fn new(database: Database, counts: Counts) -> Self {
        Self { database, counts }
    }

    /// Runs the operations that the program uses. Dynoxide's dispatch is part of its socket server
    /// only.
    fn dispatch(&self, operation: &str, input: Value) -> Result<Value, DynoxideError> {
        let database = &self.database;
        match operation {
            "CreateTable" => run(input, |request| database.create_table(request)),
            "DeleteTable" => run(input, |request| database.delete_table(request)),
            "DescribeTable" => run(input, |request| database.describe_table(request)),
            "ListTables" => run(input, |request| database.list_tables(request)),
            "UpdateTimeToLive" => run(input, |request| database.update_time_to_live(request)),
            "DescribeTimeToLive" => run(input, |request| database.describe_time_to_live(request)),
            "PutItem" => run(input, |request| database.put_item(request)),
            "GetItem" => run(input, |request| database.get_item(request)),
            "UpdateItem" => run(input, |request| database.update_item(request)),
            "DeleteItem" => run(input, |request| database.delete_item(request)),
            "Query" if empty_key(&input) => Err(refused(EMPTY_KEY)),
            "Query" => run(input, |request| database.query(request)),
            "Scan" => run(input, |request| database.scan(request)),
            "BatchGetItem" => run(input, |request| database.batch_get_item(request)),
            "BatchWriteItem" => run(input, |request| database.batch_write_item(request)),
            "TransactGetItems" => run(input, |request| database.transact_get_items(request)),
            "TransactWriteItems" => run(input, |request| database.transact_write_items(request)),
            _ => Err(DynoxideError::UnsupportedCapability(operation.to_owned())),
        }
    }
}

impl Service for Tables {
    /// A call blocks its thread for less time than a transfer to another thread takes.
    async fn call(&self, operation: &str, mut input: Value) -> Reply {
        let units = units(operation);
        if let (Some(_), Some(fields)) = (units, input.as_object_mut()) {
            fields.entry("ReturnConsumedCapacity").or_insert_with(|| json!("TOTAL"));
        }
        let began = tokio::time::Instant::now();
        let answer = self.dispatch(operation, input);
        self.counts.billed().busy += began.elapsed();
        match answer {
            Ok(output) => {
                let consumed = capacity(output.get("ConsumedCapacity"));
                match units {
                    Some(Units::Read) => self.counts.billed().read_units += consumed,
                    Some(Units::Write) => self.counts.billed().write_units += consumed,
                    None => {}
                }
                Reply::ok(&output)
            }
            Err(error) => Reply { status: error.status_code(), body: error.to_json().into_bytes() },
        }
    }
}

/// Returns the billing of an operation. Operations on tables are free.
fn units(operation: &str) -> Option<Units> {
    match operation {
        "GetItem" | "Query" | "Scan" | "BatchGetItem" | "TransactGetItems" => Some(Units::Read),
        "PutItem" | "UpdateItem" | "DeleteItem" | "BatchWriteItem" | "TransactWriteItems" => Some(Units::Write),
        _ => None,
    }
}

/// Returns the consumed units: an object for one table, a list for several tables.
fn capacity(consumed: Option<&Value>) -> f64 {
    let one = |table: &Value| table["CapacityUnits"].as_f64().unwrap_or_default();
    match consumed {
        Some(Value::Array(tables)) => tables.iter().map(one).sum(),
        Some(table) => one(table),
        None => 0.0,
    }
}

/// Returns whether a query has an empty key value.
fn empty_key(query: &Value) -> bool {
    let condition = query["KeyConditionExpression"].as_str().unwrap_or_default();
    let asked: Vec<&str> = condition.split(|c: char| !c.is_alphanumeric() && !":_".contains(c)).collect();
    let values = query["ExpressionAttributeValues"].as_object();
    values.is_some_and(|values| values.iter().any(|(name, value)| value["S"] == "" && asked.contains(&name.as_str())))
}

fn run<Request: DeserializeOwned, Response: Serialize>(
    input: Value,
    act: impl FnOnce(Request) -> dynoxide::Result<Response>,
) -> dynoxide::Result<Value> {
    let request = serde_json::from_value(input).map_err(|error| refused(&error.to_string()))?;
    serde_json::to_value(act(request)?).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// Parses a refusal: dynoxide returns `VALIDATION…:message`, with a prefix for its own dispatch.
fn refused(error: &str) -> DynoxideError {
    let message = match error.split_once(':') {
        Some((mark, message)) if mark.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') => message,
        _ => error,
    };
    DynoxideError::ValidationException(message.to_owned())
}
