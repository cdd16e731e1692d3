//! An HTTP client for the SDK that calls a function instead of a network.

use std::future::Future;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::Counts;

/// The header that names an operation in AWS's JSON protocol, like `DynamoDB_20120810.PutItem`.
pub(super) const TARGET: &str = "x-amz-target";

/// A service's answer: an HTTP status and a JSON document.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// Returns a success with `value` as its document.
    pub(super) fn ok(value: &Value) -> Self {
        Self { status: 200, body: value.to_string().into_bytes() }
    }

    /// Returns a refusal in the form of the JSON protocol.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({"__type": code, "message": message}).to_string().into_bytes() }
    }
}

/// An emulated service that speaks AWS's JSON protocol.
pub(super) trait Service: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Answers one call. `operation` is a name like `PutItem`, and `input` is an object.
    fn call(&self, operation: &str, input: Value) -> impl Future<Output = Reply> + Send;
}

/// A service as an HTTP client of the SDK.
#[derive(Clone, Debug)]
pub(super) struct InProcess<S> {
    service: S,
    counts: Counts,
}

impl<S: Service> InProcess<S> {
    pub(super) fn new(service: S, counts: &Counts) -> Self {
        Self { service, counts: counts.clone() }
    }

    /// Answers one request, given its target header and its body.
    pub(super) async fn answer(&self, target: &str, body: &[u8]) -> Reply {
        let operation = target.rsplit('.').next().unwrap_or_default();
        self.counts.add_call(operation);
        match serde_json::from_slice(body).map(Value::Object) {
            Ok(input) => self.service.call(operation, input).await,
            Err(error) => Reply::error(400, "SerializationException", &error.to_string()),
        }
    }
}

impl<S: Service> HttpConnector for InProcess<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get(TARGET).unwrap_or_default();
            let body = request.body().bytes().ok_or_else(|| ConnectorError::user("the body is a stream".into()))?;
            let reply = connector.answer(target, body).await;
            let status =
                StatusCode::try_from(reply.status).map_err(|error| ConnectorError::other(error.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(reply.body)))
        })
    }
}

impl<S: Service> HttpClient for InProcess<S> {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
