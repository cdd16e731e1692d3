//! Parameter Store, as far as the functions know it: whichever parameter they name holds the token. `sam local` runs them
//! with the template's environment, in which the token has no other place.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::json;

/// What is answered in place of the account.
const TARGET: &str = "AmazonSSM.GetParameter";

/// Puts the parameter in front of the account's other services; without a token there is none.
pub(super) fn with_token(account: Router, token: Option<String>) -> Router {
    let Some(token) = token else { return account };
    account.layer(from_fn(move |request: Request, next: Next| {
        let found = json!({"Parameter": {"Type": "SecureString", "Value": token}}).to_string();
        async move { if asks(&request) { answer(found) } else { next.run(request).await } }
    }))
}

fn asks(request: &Request) -> bool {
    request.headers().get("x-amz-target").is_some_and(|target| target == TARGET)
}

fn answer(found: String) -> Response {
    ([(CONTENT_TYPE, "application/x-amz-json-1.1")], found).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::routing::post;
    use tower::ServiceExt;

    use super::*;

    async fn ask(token: Option<&str>, target: &str) -> String {
        let account = Router::new().route("/", post(async || "another service"));
        let request = Request::post("/").header("x-amz-target", target).body(Body::empty()).unwrap();
        let answer = with_token(account, token.map(ToOwned::to_owned)).oneshot(request).await.unwrap();
        String::from_utf8(to_bytes(answer.into_body(), 1000).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_token_is_the_one_parameter_and_everything_else_is_the_account_s() {
        assert!(ask(Some("t0ken"), TARGET).await.contains(r#""Value":"t0ken""#));
        assert_eq!(ask(Some("t0ken"), "AmazonSQS.SendMessage").await, "another service");
        assert_eq!(ask(None, TARGET).await, "another service");
    }
}
