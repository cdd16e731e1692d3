//! Names of external calls in traces and await points.

use std::sync::OnceLock;

use serde_json::Value;

/// A call to AWS, read from its request.
#[derive(Clone, Debug)]
pub(crate) struct AwsCall {
    /// For example `PutItem`.
    pub(crate) operation: String,
    /// The operation and the kind of item or queue, for example `PutItem CURSOR`.
    pub(crate) name: String,
    pub(crate) body: String,
    parsed: OnceLock<Value>,
}

impl AwsCall {
    /// Parses a request from its target header and its body.
    pub(crate) fn read(target: &str, body: &str) -> Self {
        let operation = target.rsplit('.').next().unwrap_or_default();
        let about = if target.starts_with("DynamoDB") { item(body) } else { queue(body) };
        Self {
            operation: operation.to_owned(),
            name: format!("{operation} {about}"),
            body: body.to_owned(),
            parsed: OnceLock::new(),
        }
    }

    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.operation.as_str(), "GetItem" | "Query" | "BatchGetItem" | "TransactGetItems")
    }

    /// Returns whether the request's keys include an item of this kind.
    pub(crate) fn names(&self, kind: &str) -> bool {
        values(&self.body, "sk").any(|sk| kind_of(sk) == kind)
    }

    /// Returns whether a whole cursor is written. A lease, a resend and an end write parts of it.
    pub(crate) fn commits_cursor(&self) -> bool {
        self.names("CURSOR") && self.body.contains("\"scroll_life_ms\":")
    }

    /// Returns whether a turn is leased, or its lease given back.
    pub(crate) fn leases_cursor(&self) -> bool {
        self.names("CURSOR") && self.body.contains("claims = ") && !self.commits_cursor()
    }

    /// Returns the sort keys in the request.
    pub(crate) fn sort_keys(&self) -> impl Iterator<Item = &str> {
        values(&self.body, "sk")
    }

    /// Returns a number of the first written item that has it, or 0: an attribute, or a value of an
    /// expression.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let request = self.parsed.get_or_init(|| serde_json::from_str(&self.body).unwrap_or_default());
        let of_transaction = request["TransactItems"].as_array().into_iter().flatten();
        let writes = of_transaction.flat_map(|item| [&item["Put"], &item["Update"]]).chain([request]);
        let mut numbers = writes
            .flat_map(|write| [&write["Item"][name]["N"], &write["ExpressionAttributeValues"][name]["N"]])
            .filter_map(|number| number.as_str()?.parse().ok());
        numbers.next().unwrap_or(0)
    }

    /// Returns the gaps of the written cursor.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = u64> {
        let gaps = self.body.split_once("\"holes\":{\"L\":[").and_then(|(_, rest)| rest.split(']').next());
        gaps.unwrap_or_default().split('"').filter_map(|number| number.parse().ok())
    }

    /// Returns the token of a transaction. AWS carries out one transaction of a token.
    pub(crate) fn token(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("\"ClientRequestToken\":\"")?;
        rest.split('"').next()
    }

    /// Returns the run of the request's partition.
    pub(crate) fn run(&self) -> Option<&str> {
        values(&self.body, "pk").find_map(|pk| pk.strip_prefix("RUN#"))
    }
}

/// Returns the texts of an attribute, in the SDK's form: `"sk":{"S":"…"}`.
fn values<'a>(body: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mark = format!("\"{name}\":{{\"S\":\"");
    let mut rest = body;
    std::iter::from_fn(move || {
        let at = rest.find(&mark)? + mark.len();
        let text = rest[at..].split('"').next()?;
        rest = &rest[at..];
        Some(text)
    })
}

fn kind_of(key: &str) -> &str {
    key.split('#').next().unwrap_or_default()
}

/// Returns the kind of the first item in a request.
fn item(body: &str) -> String {
    let pk = values(body, "pk").chain(values(body, ":pk")).next().map(kind_of);
    let sk = values(body, "sk").chain(values(body, ":sk")).next().map(kind_of);
    match (pk, sk) {
        (Some("RUN" | "BUCKET"), Some(sk)) if !sk.is_empty() => sk.to_owned(),
        (Some(pk), _) => pk.to_owned(),
        (None, _) => "due".to_owned(),
    }
}

fn queue(body: &str) -> String {
    let url = body.split("\"QueueUrl\":\"").nth(1).and_then(|rest| rest.split('"').next());
    url.and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned()
}
