//! AWS access from a function's environment: credentials, region, and endpoints (which may be an
//! emulator's).
//!
//! Lambda, `cargo lambda watch` and SAM local set these variables. Reading them without
//! `aws-config` saves a fifth of a function's size: profiles, single sign-on, instance metadata and
//! the STS client are left out. A caller that needs those passes their result to [`Aws::with`].
//!
//! * `connector`: the SDK's HTTP client on top of ours, so that there is one TLS configuration.
//! * `signed`: one signed request to an API that no SDK client is linked for.
//! * `parameter`: a secret in Parameter Store.
//! * `event_bus`: an event for EventBridge.

mod connector;
mod event_bus;
mod parameter;
mod signed;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};

pub use event_bus::{BusEvent, EVENT_SOURCE, EventBus, EventBusError};
pub use parameter::{Parameter, ParameterError};
pub(crate) use signed::causes;
pub use signed::{Answer, CallError, ServiceApi};

use connector::Connector;

use crate::http::{Client, Https};

/// Connect time-out. A small function needs most of a second for a TLS handshake.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest idle time after which a connection is reused. The SDK retries a request that a dead
/// connection lost.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// Time-out of one attempt at a call.
const ATTEMPT: Duration = Duration::from_secs(4);
/// Time-out of a call, including the SDK's own retries. Scroll has 10 s for calls beside its page
/// request.
pub(crate) const CALL: Duration = Duration::from_secs(9);

/// A variable that is required to call AWS is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum AwsError {
    #[error("AWS_REGION is not set: Lambda sets it; elsewhere, the region of the stack")]
    Region,
    #[error(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them; elsewhere, \
         eval \"$(aws configure export-credentials --format env)\""
    )]
    Credentials,
}

/// An AWS account in one region.
#[derive(Clone, Debug)]
pub struct Aws {
    region: String,
    credentials: SharedCredentialsProvider,
    /// Endpoint overrides by service.
    endpoints: Vec<(&'static str, String)>,
    client: Client,
}

/// The services that are called: name in the host name, and variable that overrides the endpoint.
const SERVICES: [(&str, &str); 6] = [
    ("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB"),
    ("sqs", "AWS_ENDPOINT_URL_SQS"),
    ("ssm", "AWS_ENDPOINT_URL_SSM"),
    ("cloudformation", "AWS_ENDPOINT_URL_CLOUDFORMATION"),
    ("lambda", "AWS_ENDPOINT_URL_LAMBDA"),
    ("events", "AWS_ENDPOINT_URL_EVENTBRIDGE"),
];

impl Aws {
    /// Reads region, credentials and endpoints.
    pub fn read(https: &Https, get: impl Fn(&str) -> Option<String>) -> Result<Self, AwsError> {
        let key = get("AWS_ACCESS_KEY_ID").zip(get("AWS_SECRET_ACCESS_KEY")).ok_or(AwsError::Credentials)?;
        let mut credentials = Credentials::builder().access_key_id(key.0).secret_access_key(key.1);
        credentials.set_session_token(get("AWS_SESSION_TOKEN"));
        let credentials = SharedCredentialsProvider::new(credentials.provider_name("environment").build());
        let region = get("AWS_REGION").or_else(|| get("AWS_DEFAULT_REGION")).ok_or(AwsError::Region)?;
        Ok(Self::with(https, region, credentials, get))
    }

    /// Creates the client with a given region and given credentials; `get` reads the endpoints.
    pub fn with(
        https: &Https,
        region: String,
        credentials: SharedCredentialsProvider,
        get: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let all = get("AWS_ENDPOINT_URL");
        let found = SERVICES.iter().filter_map(|(service, variable)| Some((*service, get(variable).or(all.clone())?)));
        Self { region, credentials, endpoints: found.collect(), client: https.client(CONNECT, IDLE_MAX) }
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns a DynamoDB client.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts())
            .http_client(Connector::new(self.client.clone()));
        let config = match self.configured("dynamodb") {
            Some(url) => config.endpoint_url(url),
            None => config,
        };
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// Returns an SQS client.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts())
            .http_client(Connector::new(self.client.clone()));
        let config = match self.configured("sqs") {
            Some(url) => config.endpoint_url(url),
            None => config,
        };
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// Opens a connection to a service and keeps it for the first call. The request is not signed,
    /// so the answer does not matter and costs nothing.
    pub async fn warm(&self, service: &'static str) {
        let Ok(client) = self.client.get() else { return };
        if let Err(error) = client.get(self.endpoint(service)).timeout(CONNECT).send().await {
            tracing::debug!(service, error = %error.without_url(), "cannot connect in advance; the first call connects");
        }
    }

    fn configured(&self, service: &str) -> Option<&str> {
        self.endpoints.iter().find(|(of, _)| *of == service).map(|(_, url)| url.trim_end_matches('/'))
    }

    /// Returns the URL of a service. China's regions have their own domain.
    fn endpoint(&self, service: &str) -> String {
        let domain = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let usual = || format!("https://{service}.{}.{domain}", self.region);
        self.configured(service).map_or_else(usual, ToOwned::to_owned)
    }
}

/// Returns the time-outs of AWS calls, for clients that are built elsewhere.
pub fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
    timeouts.operation_attempt_timeout(ATTEMPT).operation_timeout(CALL).build()
}

#[cfg(test)]
pub(crate) mod tests;
