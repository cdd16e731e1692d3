//! An HTTP client for the SDK that calls a function instead of a network: AWS's JSON protocol.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::Sqs;

/// The reason of a refused call: SQS's code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused(pub(super) &'static str);

impl HttpConnector for Sqs {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sqs = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default();
            let body = request.body().bytes().ok_or_else(|| ConnectorError::user("the body is a stream".into()))?;
            let input: Value = serde_json::from_slice(body).map_err(|error| ConnectorError::user(error.into()))?;
            let (status, answer) = match sqs.call(operation, &input).await {
                Ok(answer) => (200, answer),
                Err(Refused(code)) => (400, json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": code})),
            };
            let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
            Ok(HttpResponse::new(status, SdkBody::from(answer.to_string())))
        })
    }
}

impl HttpClient for Sqs {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
