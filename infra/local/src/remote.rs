//! Functions that run elsewhere, by Lambda's Invoke API: `cargo lambda watch`, `sam local start-lambda`, an emulator.

use std::time::Duration;

use http::Uri;
use intercom_bulk::https::{Client, Https};
use serde_json::Value;

use crate::wiring::Step;

/// The version of the Invoke API, which stands in its path.
const API: &str = "2015-03-31";
/// The header that tells that a 200 holds a function's error.
const FUNCTION_ERROR: &str = "x-amz-function-error";
/// The longest answer of a function (Lambda's limit for a synchronous invocation).
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
/// How long connecting may take. A function that must be compiled first is waited for after that.
const CONNECT: Duration = Duration::from_secs(5);
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Where the functions are.
#[derive(Clone, Debug)]
pub struct Lambda {
    address: String,
    client: Client,
}

impl Lambda {
    /// The functions behind this address, such as `http://127.0.0.1:9000`.
    pub fn new(address: &str) -> Result<Self, String> {
        let address = address.trim_end_matches('/');
        let uri = address.parse::<Uri>().ok().filter(|uri| uri.path() == "/" && uri.query().is_none());
        if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
            return Err(format!("\"{address}\" is no address of the form http://127.0.0.1:9000"));
        }
        Ok(Self { address: address.to_owned(), client: Https::default().client(CONNECT, IDLE_MAX) })
    }

    /// Invokes a function and waits for its answer; the error is what the function, or whoever runs it, said.
    pub async fn invoke(&self, step: Step, event: Value) -> Result<Value, String> {
        let (name, address) = (step.name(), &self.address);
        let client = self.client.get().map_err(|error| error.to_string())?;
        let url = format!("{address}/{API}/functions/{name}/invocations");
        let sent = client.post(url).header("content-type", "application/json").body(event.to_string()).send().await;
        let silent = |error: reqwest::Error| {
            let why = if error.is_connect() { "is anything running there?" } else { "it closed the connection" };
            format!("{name} does not answer at {address}: {why} ({error})", error = error.without_url())
        };
        let mut answer = sent.map_err(silent)?;
        let is_error = answer.headers().contains_key(FUNCTION_ERROR);
        let body =
            intercom_bulk::https::body(&mut answer, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if answer.status().is_success() && !is_error {
            return Ok(value);
        }
        let said = value["errorMessage"].as_str().or(value["Message"].as_str()).or(value["message"].as_str());
        Err(format!("{name}: {} ({})", said.unwrap_or("no error message"), answer.status()))
    }
}
