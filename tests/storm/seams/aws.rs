//! The network between the SDK and AWS.

use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::json;

use super::names::AwsCall;
use crate::accident::Accident;
use crate::await_point::Side;
use crate::storm::Storm;

/// The duration of a slow call: it may exceed an attempt's time-out (4 s).
const SLOW_MS: RangeInclusive<u64> = 1_500..=7_000;
/// The code of a throttled call, in DynamoDB and SQS.
const THROTTLED: &str = "ThrottlingException";

/// A service behind the weather.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) storm: Arc<Storm>,
    pub(crate) inner: SharedHttpClient,
}

#[derive(Clone, Debug)]
struct Line {
    storm: Arc<Storm>,
    inner: SharedHttpConnector,
}

impl HttpClient for Network {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Line { storm: self.storm.clone(), inner })
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let line = self.clone();
        HttpConnectorFuture::new(async move { line.carry(request).await })
    }
}

impl Line {
    async fn carry(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let (storm, who) = (&*self.storm, self.storm.current());
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body = request.body().bytes().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
        let call = AwsCall::read(target, body);
        let Some(who) = who else {
            // A call of Lambda's pollers.
            return storm.polled(&call, self.inner.call(request)).await;
        };
        storm.needs_its_role(who, target, body);
        let headers = storm.headers_received(who);
        let weather = &storm.weather;
        storm.pass(Some(who), &call.name, Side::Before).await;
        storm.sends_to_aws(&call);
        let by = Some(who);
        storm.travel(&storm.story.aws_ms).await;
        // Two slow attempts exceed the time of a call.
        let is_slow = weather.strikes(Accident::AwsSlow);
        if is_slow {
            storm.travel(&SLOW_MS).await;
        }
        let failure = self.not_done(&call);
        if is_slow || failure.is_some() {
            storm.promises.troubled(by);
            if call.names("CURSOR") {
                storm.promises.troubled_at_cursor(by);
            }
        }
        if let Some(failure) = failure {
            weather.note(|| format!("#{who} {}: {failure:?}", call.name));
            return failure.answer();
        }
        let answer = self.inner.call(request).await?;
        weather.note(|| format!("#{who} {} → {}", call.name, answer.status()));
        let answer = storm.done_by_aws(by, &call, headers, answer).await;
        if weather.strikes(Accident::AwsLost) {
            weather.note(|| format!("#{who} {}: done, and the answer is lost", call.name));
            storm.promises.troubled(by);
            if call.names("CURSOR") {
                storm.promises.troubled_at_cursor(by);
            }
            return Err(ConnectorError::io("the connection was reset".into()));
        }
        storm.travel(&storm.story.aws_ms).await;
        storm.pass(by, &call.name, Side::After).await;
        Ok(answer)
    }

    fn not_done(&self, call: &AwsCall) -> Option<Failure> {
        let weather = &self.storm.weather;
        match () {
            () if weather.aws_is_down() || weather.strikes(Accident::AwsUnsent) => Some(Failure::Unsent),
            () if weather.strikes(Accident::Throttled) => Some(Failure::Throttled),
            () if weather.strikes(Accident::AwsError) => Some(Failure::Error),
            () if weather.strikes(Accident::AwsDenied) => Some(Failure::Denied),
            () if call.operation == "TransactWriteItems" && weather.strikes(Accident::Conflict) => {
                Some(Failure::Conflict)
            }
            () => None,
        }
    }
}

/// The reason that a call was not carried out.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Unsent,
    Throttled,
    Error,
    Denied,
    Conflict,
}

impl Failure {
    fn answer(self) -> Result<HttpResponse, ConnectorError> {
        let (status, body) = match self {
            Self::Unsent => return Err(ConnectorError::io("the connection was refused".into())),
            Self::Throttled => (400, json!({"__type": THROTTLED, "message": "slow down"})),
            Self::Error => (500, json!({"__type": "InternalServerError", "message": "try again"})),
            Self::Denied => (400, json!({"__type": "AccessDeniedException", "message": "not authorized"})),
            Self::Conflict => (
                400,
                json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                    "message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
                    "CancellationReasons": [{"Code": "TransactionConflict", "Message": "another one is ongoing"}],
                }),
            ),
        };
        response(status, body.to_string().into_bytes())
    }
}

/// Returns an answer of AWS.
pub(crate) fn response(status: u16, body: Vec<u8>) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    Ok(HttpResponse::new(status, SdkBody::from(body)))
}
