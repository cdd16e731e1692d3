//! Parameter Store for the functions: every parameter name returns the token. `sam local` runs
//! functions with the template's environment, which has no other place for the token.
//!
//! Only a caller that signs with the access key id of the variables file gets the token. The id is
//! random, and only the owner can read the file, so other processes, containers and web pages do
//! not know it.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;

/// The operation that is answered here instead of by the account.
const TARGET: &str = "AmazonSSM.GetParameter";

/// The prefix of generated access key ids.
const KEY_PREFIX: &str = "LOCAL";
/// The number of random bytes in an access key id.
const KEY_BYTES: usize = 16;

/// Generates an unguessable access key id.
pub(super) fn access_key() -> std::io::Result<String> {
    let mut bytes = [0_u8; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes.iter().fold(KEY_PREFIX.to_owned(), |key, byte| format!("{key}{byte:02X}")))
}

/// Returns the access key id that an earlier `emulate` wrote to a variables file.
///
/// Functions that read the file earlier keep their access to the token.
pub(super) fn access_key_of(variables: &str) -> Option<String> {
    let key = variables.lines().rev().find_map(|line| line.strip_prefix("AWS_ACCESS_KEY_ID="))?;
    let drawn = key.strip_prefix(KEY_PREFIX)?;
    (drawn.len() == 2 * KEY_BYTES && drawn.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| key.to_owned())
}

/// Adds the parameter to the account's services, for callers with this access key id.
pub(super) fn with_token(account: Router, token: &str, access_key: String) -> Router {
    let found = json!({"Parameter": {"Type": "SecureString", "Value": token}}).to_string();
    account.layer(from_fn(move |request: Request, next: Next| {
        let found = (credential(&request) == Some(access_key.as_str())).then(|| found.clone());
        async move {
            match (asks(&request), found) {
                (false, _) => next.run(request).await,
                (true, Some(found)) => answer(StatusCode::OK, found),
                (true, None) => answer(StatusCode::BAD_REQUEST, refusal()),
            }
        }
    }))
}

/// Returns the access key id that signed a request.
fn credential(request: &Request) -> Option<&str> {
    let signed = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (_, after) = signed.split_once("Credential=")?;
    after.split('/').next()
}

fn refusal() -> String {
    let words = "the token requires the access key id in the variables of `emulate`: read its --env-file again";
    json!({"__type": "AccessDeniedException", "message": words}).to_string()
}

fn asks(request: &Request) -> bool {
    request.headers().get("x-amz-target").is_some_and(|target| target == TARGET)
}

fn answer(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/x-amz-json-1.1")], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn ask(signed_with: Option<&str>, target: &str) -> (StatusCode, String) {
        let account = Router::new().route("/", post(async || "another service"));
        let mut request = Request::post("/").header("x-amz-target", target);
        if let Some(key) = signed_with {
            let signature = "SignedHeaders=host, Signature=00";
            let header = format!("AWS4-HMAC-SHA256 Credential={key}/20261126/us-east-1/ssm/aws4_request, {signature}");
            request = request.header(AUTHORIZATION, header);
        }
        let router = with_token(account, "t0ken", "LOCALKEY".to_owned());
        let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = answer.status();
        (status, String::from_utf8(to_bytes(answer.into_body(), 1000).await.unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn token_requires_the_access_key_of_the_variables() {
        assert!(ask(Some("LOCALKEY"), TARGET).await.1.contains(r#""Value":"t0ken""#));
        for other in [None, Some("local"), Some("LOCALKEY2"), Some("")] {
            let (status, body) = ask(other, TARGET).await;
            assert!(status == StatusCode::BAD_REQUEST && !body.contains("t0ken"), "{other:?}: {body}");
        }
        assert_eq!(ask(None, "AmazonSQS.SendMessage").await.1, "another service");
    }

    #[test]
    fn access_key_is_generated_and_found_again() {
        let (first, second) = (access_key().unwrap(), access_key().unwrap());
        assert_ne!(first, second);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric()), "AWS allows word characters: {first}");
        assert_eq!(access_key_of(&format!("A=1\nAWS_ACCESS_KEY_ID={first}\n")), Some(first));
        assert_eq!(access_key_of("AWS_ACCESS_KEY_ID=local\n"), None);
        assert_eq!(access_key_of("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"), None, "one of a real account");
    }
}
