//! The request body of `POST /bulk/users`, and the reasons to refuse a whole request.

use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr};

use crate::upsert;
use crate::wire::Refusal;

/// The maximum number of items in a request (blog of 2016; `chunk(…, 100)` in clients' code).
pub(crate) const ITEMS_LIMIT: usize = 100;

/// The operation of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Method {
    /// Create or update.
    Post,
    Delete,
    /// Update, as a contact of 2.x.
    Put,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// One item: a user and the operation on it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) method: Method,
    pub(crate) data: Map<String, Value>,
}

/// A well-formed request.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) items: Vec<Item>,
    /// The job to append to.
    pub(crate) job: Option<String>,
}

/// Parses a request.
pub(crate) fn read(body: &[u8]) -> Result<Submission, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
    // Intercom answered a bare array with 422 in 2017 (thread 226 of the PHP client).
    let items = match body.get("items") {
        None | Some(Value::Null) => return Err(Refusal::ItemsMissing),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Refusal::ItemsNotArray),
    };
    if items.is_empty() {
        return Err(Refusal::ItemsEmpty);
    }
    if items.len() > ITEMS_LIMIT {
        return Err(Refusal::TooManyItems);
    }
    let job = match body.get("job") {
        None | Some(Value::Null) => None,
        Some(job) => {
            let id = job.get("id").and_then(Value::as_str);
            Some(id.ok_or(Refusal::FieldType { field: "job" })?.to_owned())
        }
    };
    let items = items.iter().map(item).collect::<Result<_, _>>()?;
    Ok(Submission { items, job })
}

fn item(item: &Value) -> Result<Item, Refusal> {
    let item = item.as_object().ok_or(Refusal::ItemNotObject)?;
    let method = item.get("method").and_then(Value::as_str).and_then(|method| method.parse().ok());
    let method = method.filter(|method| *method != Method::Put);
    let method = method.ok_or(Refusal::ItemMethod)?;
    if item.get("data_type").and_then(Value::as_str) != Some("user") {
        return Err(Refusal::ItemDataType);
    }
    let data = item.get("data").and_then(Value::as_object).filter(|data| upsert::identified(data));
    Ok(Item { method, data: data.ok_or(Refusal::Unidentified)?.clone() })
}
