//! AWS as a function's environment describes it: credentials, region, and endpoints that may be an emulator's.
//!
//! Lambda sets all of it, as do `cargo lambda watch` and SAM local. Reading it here rather than through `aws-config`
//! leaves out profiles, single sign-on, instance metadata and the STS client, a fifth of a function's size; where those
//! are wanted, [`Aws::with`] takes what found them.
//!
//! * `connector` the SDK's HTTP client over ours, so that there is one TLS configuration and one pool.
//! * `signed` one signed request to an API that no SDK client is linked for; `parameter` a secret of Parameter Store.

mod connector;
mod parameter;
mod signed;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};

pub use parameter::{Parameter, ParameterError};
pub use signed::{Answer, Api, CallError};

use connector::Connector;

use crate::http::{Client, Https};

/// How long a connection is waited for: a small function needs most of a second for a TLS handshake.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an idle connection is used again; the SDK repeats what a dead one lost.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How long one attempt at a call may last.
const ATTEMPT: Duration = Duration::from_secs(4);
/// How long a call may last with the SDK's own retries. Scroll has 10 s beside the page that it waits for.
pub(crate) const CALL: Duration = Duration::from_secs(9);

/// What the environment lacks to call AWS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// No region.
    #[error("AWS_REGION is not set: Lambda sets it; elsewhere, the region of the stack")]
    Region,
    /// No credentials.
    #[error(
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: Lambda sets them; elsewhere, \
         eval \"$(aws configure export-credentials --format env)\""
    )]
    Credentials,
}

/// An account, in one region.
#[derive(Clone, Debug)]
pub struct Aws {
    region: String,
    credentials: SharedCredentialsProvider,
    /// Per service, then for all: an emulator's address.
    endpoints: Vec<(&'static str, String)>,
    client: Client,
}

/// The services that are called, by the names in `AWS_ENDPOINT_URL_…` and in host names.
const SERVICES: [(&str, &str); 4] = [
    ("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB"),
    ("sqs", "AWS_ENDPOINT_URL_SQS"),
    ("ssm", "AWS_ENDPOINT_URL_SSM"),
    ("cloudformation", "AWS_ENDPOINT_URL_CLOUDFORMATION"),
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

    /// The same with a region and credentials that were found otherwise.
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

    /// DynamoDB's client.
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

    /// SQS's client.
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

    /// Opens a connection to a service and keeps it for the first call. What it answers does not matter, and costs
    /// nothing: nobody signed.
    pub async fn warm(&self, service: &'static str) {
        let Ok(client) = self.client.get() else { return };
        if let Err(error) = client.get(self.endpoint(service)).timeout(CONNECT).send().await {
            tracing::debug!(service, error = %error.without_url(), "not warmed; the first call connects");
        }
    }

    fn configured(&self, service: &str) -> Option<&str> {
        self.endpoints.iter().find(|(of, _)| *of == service).map(|(_, url)| url.trim_end_matches('/'))
    }

    /// Where a service answers; China's regions have a domain of their own.
    fn endpoint(&self, service: &str) -> String {
        let domain = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let usual = || format!("https://{service}.{}.{domain}", self.region);
        self.configured(service).map_or_else(usual, ToOwned::to_owned)
    }
}

/// How long AWS is waited for: whoever makes the SDK's clients by other means gives them these.
pub fn timeouts() -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
    timeouts.operation_attempt_timeout(ATTEMPT).operation_timeout(CALL).build()
}

#[cfg(test)]
pub(crate) mod tests;
