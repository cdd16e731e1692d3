//! Reads a secret from Parameter Store.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::{Aws, CallError, ServiceApi};

/// `GetParameter`, in Systems Manager's JSON protocol.
const GET: ServiceApi =
    ServiceApi { service: "ssm", content_type: "application/x-amz-json-1.1", target: Some("AmazonSSM.GetParameter") };

/// A parameter by name or ARN, with the account and region that hold it.
#[derive(Clone, Debug)]
pub struct Parameter {
    aws: Aws,
    name: String,
}

/// An error reading a parameter. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum ParameterError {
    #[error(
        "Parameter Store has no parameter {name} in {region}: store the token with `aws ssm put-parameter --name {name} \
         --type SecureString --value …`, or correct INTERCOM_TOKEN_PARAMETER"
    )]
    Missing { name: String, region: String },
    #[error(
        "reading the parameter {name} is not allowed ({code}): the function's role needs ssm:GetParameter on it, and \
         kms:Decrypt on its key if that is not the account's aws/ssm"
    )]
    Denied { name: String, code: String },
    #[error("the parameter {name} cannot be used: {why}")]
    Unusable { name: String, why: String },
    #[error("Parameter Store returned an error for {name} ({status} {code}); the next event tries again")]
    Refused { name: String, status: u16, code: String },
    #[error("cannot read the parameter {name}: {source}")]
    Call { name: String, source: CallError },
}

impl ParameterError {
    /// Creates an error about the parameter's value.
    pub fn unusable(name: &str, why: &impl ToString) -> Self {
        Self::Unusable { name: name.to_owned(), why: why.to_string() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    parameter: ParameterValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ParameterValue {
    value: String,
    #[serde(default)]
    r#type: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "__type")]
    code: String,
}

impl Parameter {
    /// Creates a parameter from its name or ARN.
    pub fn new(aws: Aws, name: String) -> Self {
        Self { aws, name }
    }

    /// Returns the name or ARN.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads and decrypts the value. The caller must wrap it in a secret type; nothing else of the
    /// answer is kept.
    pub async fn read(&self, now_ms: i64) -> Result<String, ParameterError> {
        let body = Bytes::from(json!({ "Name": self.name, "WithDecryption": true }).to_string());
        let called = self.aws.call(GET, &body, now_ms).await;
        let answer = called.map_err(|source| ParameterError::Call { name: self.name.clone(), source })?;
        if answer.status != 200 {
            return Err(self.refused(answer.status, &answer.body));
        }
        // Drop the parser's error: it could quote a piece of the value.
        let found: Found = serde_json::from_slice(&answer.body)
            .map_err(|_| ParameterError::unusable(&self.name, &"the answer has no value"))?;
        if found.parameter.r#type != "SecureString" {
            return Err(ParameterError::unusable(
                &self.name,
                &"it is not encrypted: store it with --type SecureString",
            ));
        }
        Ok(found.parameter.value)
    }

    fn refused(&self, status: u16, body: &[u8]) -> ParameterError {
        let name = self.name.clone();
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        // Some answers have a prefix: `com.amazonaws.ssm#ParameterNotFound`.
        let code = refusal.code.rsplit('#').next().unwrap_or_default();
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        match code.as_str() {
            "ParameterNotFound" | "ParameterVersionNotFound" => {
                ParameterError::Missing { name, region: self.aws.region().to_owned() }
            }
            "AccessDeniedException" | "InvalidKeyId" | "UnrecognizedClientException" => {
                ParameterError::Denied { name, code }
            }
            _ => ParameterError::Refused { name, status, code },
        }
    }
}
