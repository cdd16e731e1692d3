//! Sends one signed request to an AWS API that no SDK client is linked for.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::CONTENT_TYPE;

use super::{ATTEMPT, Aws};
use crate::http::body;

/// Attempts at a call. All calls through this module are read-only or may be repeated.
const ATTEMPTS: u32 = 3;
/// Pause before the second attempt; it doubles before the third.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest accepted answer, in bytes. A stack description within CloudFormation's limits is
/// below 1 MB.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An API and its protocol.
#[derive(Clone, Copy, Debug)]
pub struct ServiceApi {
    /// Name in host names and signatures.
    pub service: &'static str,
    /// Media type of a request.
    pub content_type: &'static str,
    /// Value of the `x-amz-target` header, if the protocol has one: `AmazonSSM.GetParameter`.
    pub target: Option<&'static str>,
}

/// An answer with any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, which may hold a secret.
    pub body: Bytes,
    /// The answer of an invocation is a function's error.
    pub is_function_error: bool,
}

/// The path and the time-out of a call.
#[derive(Clone, Copy, Debug)]
struct Route<'a> {
    path: &'a str,
    timeout: Duration,
}

/// The path of the services whose operation is in a header or in the body.
const ROOT: Route<'static> = Route { path: "", timeout: ATTEMPT };
/// Lambda's Invoke API.
const LAMBDA: ServiceApi = ServiceApi { service: "lambda", content_type: "application/json", target: None };
/// The header that marks a 200 as a function's error.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// An error without an answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum CallError {
    #[error("no AWS credentials: {0}")]
    Credentials(#[from] aws_credential_types::provider::error::CredentialsError),
    #[error("the request cannot be signed: {0}")]
    Request(Box<dyn std::error::Error + Send + Sync>),
    #[error("{service} does not answer: {detail}")]
    Unreachable { service: &'static str, detail: String },
}

impl Aws {
    /// Sends a signed POST and retries transient failures. `now_ms` is the time of the signature.
    pub async fn call(&self, api: ServiceApi, sent: &Bytes, now_ms: i64) -> Result<Answer, CallError> {
        self.repeated(api, ROOT, sent, now_ms).await
    }

    /// Invokes a Lambda function with an event that may be repeated, and waits for its answer. The
    /// function's own time-out must be below `timeout`.
    pub async fn invoke(
        &self,
        function: &str,
        event: &Bytes,
        timeout: Duration,
        now_ms: i64,
    ) -> Result<Answer, CallError> {
        let path = format!("2015-03-31/functions/{function}/invocations");
        self.repeated(LAMBDA, Route { path: &path, timeout }, event, now_ms).await
    }

    async fn repeated(
        &self,
        api: ServiceApi,
        route: Route<'_>,
        sent: &Bytes,
        now_ms: i64,
    ) -> Result<Answer, CallError> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.once(api, route, sent, now_ms).await {
                Err(CallError::Unreachable { .. }) => {}
                Ok(answer) if answer.status >= 500 || throttled(&answer) => {}
                done => return done,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.once(api, route, sent, now_ms).await
    }

    async fn once(&self, api: ServiceApi, route: Route<'_>, sent: &Bytes, now_ms: i64) -> Result<Answer, CallError> {
        let service = api.service;
        let request = self.signed(api, route.path, sent, now_ms).await?;
        let called = async {
            let client = self.client.get().map_err(|error| error.to_string())?;
            let mut answer = client.execute(request).await.map_err(|error| causes(&error.without_url()))?;
            let body = body(&mut answer, BODY_BYTES_MAX).await.map_err(|error| causes(&error))?;
            self.client.answered();
            let is_function_error = answer.headers().contains_key(FUNCTION_ERROR);
            Ok(Answer { status: answer.status().as_u16(), body, is_function_error })
        };
        let answer = tokio::time::timeout(route.timeout, called).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", route.timeout.as_secs())));
        answer.map_err(|detail| CallError::Unreachable { service, detail })
    }

    async fn signed(
        &self,
        api: ServiceApi,
        path: &str,
        sent: &Bytes,
        now_ms: i64,
    ) -> Result<reqwest::Request, CallError> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| CallError::Request(error);
        let url = format!("{}/{path}", self.endpoint(api.service));
        let mut request = http::Request::post(&url).header(CONTENT_TYPE, api.content_type);
        if let Some(target) = api.target {
            request = request.header("x-amz-target", target);
        }
        let mut request = request.body(sent.clone()).map_err(|error| failed(error.into()))?;
        let identity = self.credentials.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(api.service)
            .time(UNIX_EPOCH + Duration::from_millis(now_ms.unsigned_abs()))
            .settings(SigningSettings::default());
        let parameters = parameters.build().map_err(|error| failed(error.into()))?.into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(sent));
        let signature = signable.and_then(|signable| sign(signable, &parameters));
        let (instructions, _) = signature.map_err(|error| failed(error.into()))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(|error| failed(error.without_url().into()))
    }
}

/// Returns whether the answer is a throttling error. The JSON and the query protocol name it
/// differently.
fn throttled(answer: &Answer) -> bool {
    let named = |name: &[u8]| answer.body.windows(name.len()).any(|part| part == name);
    answer.status == 429 || answer.status == 400 && (named(b"ThrottlingException") || named(b">Throttling<"))
}

/// Returns the chain of causes, which describes a call without an answer.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
