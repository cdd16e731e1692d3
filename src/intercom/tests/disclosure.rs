//! Secrets and personal data that no error may show, whatever the answer.

use std::error::Error as StdError;
use std::fmt::Write;

use proptest::prelude::*;

use super::*;

/// Formats an error as a log shows it, including its sources.
fn shown(error: &Error) -> String {
    let mut text = format!("{error:?} {error} {}", advice(Api::V1, error));
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, " {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn errors_show_neither_token_nor_personal_data() {
    let echo = format!(r#"{{"errors":[{{"code":"bad_request","message":"ann@example.com"}}],"x":"{TOKEN}"}}"#);
    let mut text = String::new();
    for (status, body) in [(401, echo.as_str()), (400, &echo), (200, &echo), (200, "{\"users\":[\"ann@example.com")] {
        let (intercom, requests) = answering(status, &[], body);
        text += &shown(&intercom.page(&after("25b649f7"), &Projection::Whole, CALL_TIMEOUT).await.unwrap_err());
        let _ = write!(text, "{intercom:?} {:?}", requests.lock().unwrap());
    }
    for sent in [false, true] {
        let failed = move |_| {
            let source = "reset by peer".into();
            let error = if sent { TransportError::Unknown { source } } else { TransportError::NotSent { source } };
            std::future::ready(Err(error))
        };
        text += &shown(&client(Transport::new(tower::service_fn(failed))).workspace().await.unwrap_err());
    }
    assert!(!text.contains(TOKEN) && !text.contains("ann@"), "{text}");
}

proptest! {
    #[test]
    fn any_status_with_any_body_has_a_disposition(
        status in 200_u16..600, body in prop::collection::vec(any::<u8>(), 0..300), retry_after in "\\PC{0,9}",
    ) {
        let response = Response::builder().status(status).header("retry-after", retry_after).body(Bytes::from(body));
        let Ok(response) = response else { return Ok(()) };
        for route in [route::PAGE, route::SUBMIT, route::USER] {
            let Err(error) = transport::call::answer(route, &response, |body| v1::page(body, &Projection::Whole)) else { continue };
            let disposition = disposition(&error);
            prop_assert_eq!(disposition == Disposition::Ambiguous, matches!(status, 200..=299 | 408 | 500..));
            prop_assert_eq!(disposition == Disposition::Limited, status == 429);
            prop_assert!(!advice(Api::V1, &error).is_empty());
        }
    }
}
