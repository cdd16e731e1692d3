//! Functions in another process, through Lambda's Invoke API: `cargo lambda watch`, SAM, an
//! emulator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{StatusCode, Uri};
use intercom_bulk::http::{Client, Https};
use serde_json::Value;

use crate::topology::Step;

/// The version of the Invoke API, part of its path.
const API: &str = "2015-03-31";
/// The header that marks a 200 as a function's error.
const FUNCTION_ERROR: &str = "x-amz-function-error";
/// The largest answer of a function (Lambda's limit for a synchronous invocation).
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;
/// The time limit of a connection. The time to compile a function is not part of it.
const CONNECT: Duration = Duration::from_secs(5);
const IDLE_MAX: Duration = Duration::from_secs(30);

/// The location of the functions.
#[derive(Clone, Debug)]
pub struct Lambda {
    address: String,
    client: Client,
    /// The functions have the template's names, as under SAM: `Scroll` for `scroll`.
    by_template: Arc<AtomicBool>,
}

/// An invocation without a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The failure and its reason.
    pub words: String,
    /// A server answered.
    pub answered: bool,
}

impl Lambda {
    /// Returns the functions at this address, such as `http://127.0.0.1:9000`.
    pub fn new(address: &str) -> Result<Self, String> {
        let address = address.trim_end_matches('/');
        let uri = address.parse::<Uri>().ok().filter(|uri| uri.path() == "/" && uri.query().is_none());
        if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
            return Err(format!("\"{address}\" is not an address of the form http://127.0.0.1:9000"));
        }
        let client = Https::default().client(CONNECT, IDLE_MAX);
        Ok(Self { address: address.to_owned(), client, by_template: Arc::default() })
    }

    /// Invokes a function and waits for its answer. The error is the function's or its server's.
    pub async fn invoke(&self, step: Step, event: Value) -> Result<Value, Failed> {
        let by_template = self.by_template.load(Ordering::Relaxed);
        match self.call(named(step, by_template), &event).await {
            // Unknown name: try the other form once, and keep it if it works.
            (StatusCode::NOT_FOUND, refused) => match self.call(named(step, !by_template), &event).await {
                (StatusCode::NOT_FOUND, _) => refused,
                (_, answer) => {
                    self.by_template.store(!by_template, Ordering::Relaxed);
                    answer
                }
            },
            (_, answer) => answer,
        }
    }

    async fn call(&self, name: &str, event: &Value) -> (StatusCode, Result<Value, Failed>) {
        match self.send(name, event).await {
            Ok((status, answer)) => (status, answer.map_err(|words| Failed { words, answered: true })),
            Err(words) => (StatusCode::BAD_GATEWAY, Err(Failed { words, answered: false })),
        }
    }

    /// Returns the status and its meaning, or the reason that there is none.
    async fn send(&self, name: &str, event: &Value) -> Result<(StatusCode, Result<Value, String>), String> {
        let address = &self.address;
        let client = self.client.get().map_err(|error| error.to_string())?;
        let url = format!("{address}/{API}/functions/{name}/invocations");
        let sent = client.post(url).header("content-type", "application/json").body(event.to_string()).send().await;
        let silent = |error: reqwest::Error| {
            let why = if error.is_connect() { "is anything running there?" } else { "it closed the connection" };
            format!("{name} does not answer at {address}: {why} ({error})", error = error.without_url())
        };
        let mut answer = sent.map_err(silent)?;
        let is_error = answer.headers().contains_key(FUNCTION_ERROR);
        let body = intercom_bulk::http::body(&mut answer, ANSWER_BYTES_MAX).await.map_err(|error| error.to_string())?;
        self.client.answered();
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let status = answer.status();
        if status.is_success() && !is_error {
            return Ok((status, Ok(value)));
        }
        let said = value["errorMessage"].as_str().or(value["Message"].as_str()).or(value["message"].as_str());
        Ok((status, Err(format!("{name}: {} ({status})", said.unwrap_or("no error message")))))
    }
}

/// Returns a function's name: its folder's name, or its logical id in template.yaml.
fn named(step: Step, by_template: bool) -> &'static str {
    match (step, by_template) {
        (_, false) => step.name(),
        (Step::Scroll, true) => "Scroll",
        (Step::Submit, true) => "Submit",
        (Step::Check, true) => "Check",
        (Step::Control, true) => "Control",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::Path;
    use axum::routing::post;
    use serde_json::json;
    use strum::VariantArray;
    use tokio::net::TcpListener;

    use super::*;

    /// Serves functions of these names. Any other name gets a 404, like SAM's.
    async fn serve(known: [&'static str; 4]) -> Lambda {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let lambda = Lambda::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let answer = async move |Path(name): Path<String>| {
            let status = if known.contains(&name.as_str()) { StatusCode::OK } else { StatusCode::NOT_FOUND };
            (status, json!({ "name": name, "Message": "not found" }).to_string())
        };
        let router = Router::new().route("/2015-03-31/functions/{name}/invocations", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        lambda
    }

    #[tokio::test]
    async fn functions_are_found_by_either_name() {
        for names in [["scroll", "submit", "check", "control"], ["Scroll", "Submit", "Check", "Control"]] {
            let lambda = serve(names).await;
            for (step, name) in Step::VARIANTS.iter().zip(names) {
                assert_eq!(lambda.invoke(*step, json!({})).await.unwrap()["name"], name);
            }
        }
        let error = serve(["a", "b", "c", "d"]).await.invoke(Step::Scroll, json!({})).await.unwrap_err();
        assert!(error.answered && error.words.contains("scroll: not found"), "{error:?}");
        let nothing = Lambda::new("http://127.0.0.1:1").unwrap().invoke(Step::Scroll, json!({})).await.unwrap_err();
        assert!(!nothing.answered && nothing.words.contains("is anything running there?"), "{nothing:?}");
    }
}
