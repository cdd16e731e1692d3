//! Adapter that gives the AWS SDK this crate's HTTP client. Requests and responses are buffered.
//! The SDK applies its own time-outs around it.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::http::{BodyError, Client, body};

/// The largest accepted response body, in bytes. DynamoDB sends at most 1 MB (4 MB for a
/// transaction), SQS at most 1 MiB for a batch.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The HTTP client, as the SDK's `HttpClient`.
#[derive(Clone, Debug)]
pub(super) struct Connector(Client);

impl Connector {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move { send(&client, request).await })
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

async fn send(sent_by: &Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let (parts, sent) = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
    let sent = sent.bytes().map(Bytes::copy_from_slice);
    let sent = sent.ok_or_else(|| ConnectorError::user("the body is a stream".into()))?;
    let request = reqwest::Request::try_from(http::Request::from_parts(parts, sent));
    let request = request.map_err(|error| ConnectorError::user(error.into()))?;
    let client = sent_by.get().map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut answer = client.execute(request).await.map_err(sort)?;
    let read = body(&mut answer, BODY_BYTES_MAX).await.map_err(|error| match error {
        BodyError::Broken(error) => sort(error),
        error @ BodyError::TooLarge { .. } => ConnectorError::other(error.into(), None),
    })?;
    sent_by.answered();
    let mut response = http::Response::new(SdkBody::from(read));
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// Sorts an error into time-out or I/O error; the SDK retries both.
fn sort(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
