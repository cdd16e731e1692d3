//! Lambda's side of a function: a Runtime API that serves one event and accepts one answer.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

/// The end of the invocation.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The function answered.
    Response(Value),
    /// The function failed.
    Error(Value),
}

/// An event, and the receiver of its answer.
pub(crate) struct Runtime {
    shared: Shared,
    answers: Mutex<mpsc::UnboundedReceiver<Answer>>,
}

#[derive(Clone)]
struct Shared {
    event: Arc<Mutex<Option<String>>>,
    answers: mpsc::UnboundedSender<Answer>,
}

impl Runtime {
    /// Creates a Runtime API with this one event.
    pub(crate) fn with(event: &Value) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let event = Arc::new(Mutex::new(Some(event.to_string())));
        Self { shared: Shared { event, answers: sender }, answers: Mutex::new(answers) }
    }

    /// Returns its routes (Lambda's guide to custom runtimes).
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(end))
            .with_state(self.shared.clone())
    }

    /// Waits for the function's answer.
    pub(crate) async fn answer(&self) -> Answer {
        self.answers.lock().await.recv().await.expect("the sender lives as long")
    }
}

/// Returns the event. A further poll gets no answer.
async fn next(State(shared): State<Shared>) -> Response {
    let Some(event) = shared.event.lock().await.take() else { return std::future::pending().await };
    #[expect(clippy::disallowed_methods, reason = "the deadline that a real process is given")]
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + Duration::from_mins(2);
    let headers = [
        ("lambda-runtime-aws-request-id", "11111111-2222-3333-4444-555555555555".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:check".to_owned()),
    ];
    (headers, event).into_response()
}

async fn end(State(shared): State<Shared>, Path((_, end)): Path<(String, String)>, body: String) -> &'static str {
    let value = serde_json::from_str(&body).unwrap_or(Value::Null);
    let answer = if end == "response" { Answer::Response(value) } else { Answer::Error(value) };
    let _ = shared.answers.send(answer);
    "{}"
}
