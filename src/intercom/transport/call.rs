//! A call of Intercom: the headers that all requests share, and the reading of the answer.

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};

use super::base_url::BaseUrl;
use super::body::UnreadableBody;
use super::error::{Error, Lost};
use super::error_body::Envelope;
use super::headers::{Rate, Reply, request_id, retry_after_s};
use super::service::Operations;
use super::token::Token;
use crate::domain::api::ApiVersion;
use crate::domain::partial_json::Projection;

/// A request without the headers that all requests share.
pub(in crate::intercom) struct Call {
    pub(in crate::intercom) route: &'static str,
    pub(in crate::intercom) method: Method,
    /// Path and query, built from checked and encoded pieces only.
    pub(in crate::intercom) path: String,
    pub(in crate::intercom) body: Bytes,
    /// The cost of the request.
    pub(in crate::intercom) operations: Operations,
}

impl Call {
    pub(in crate::intercom) fn get(route: &'static str, path: String) -> Self {
        Self { route, method: Method::GET, path, body: Bytes::new(), operations: Operations::default() }
    }

    /// Returns the whole request. `Accept` is needed: without it Intercom answers 406.
    /// `Cache-Control` is needed too: pages can have the same URL, and a cache on the way has
    /// returned page two for ever.
    pub(in crate::intercom) fn request(
        &self,
        base_url: &BaseUrl,
        token: &Token,
        version: ApiVersion,
    ) -> Request<Bytes> {
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::builder()
            .method(&self.method)
            .uri(format!("{base_url}{}", self.path))
            .header(AUTHORIZATION, token.header())
            .header(ACCEPT, &json)
            .header(CACHE_CONTROL, "no-cache, no-store")
            .header("intercom-version", version.as_str())
            .extension(self.operations);
        if !self.body.is_empty() {
            request = request.header(CONTENT_TYPE, &json);
        }
        request
            .body(self.body.clone())
            .expect("a checked origin, an encoded path and constant header names make a request")
    }
}

/// Returns an unauthenticated request that only warms the TLS session.
pub(in crate::intercom) fn warm(base_url: &BaseUrl) -> Request<Bytes> {
    let request = Request::head(format!("{base_url}/")).header(CONNECTION, "close");
    request.body(Bytes::new()).expect("a checked origin makes a request")
}

/// Returns whether an error body is truncated JSON. With these statuses, only the body shows
/// whether a user or the run is at fault. A load balancer's HTML does not count.
fn is_cut(response: &Response<Bytes>) -> bool {
    let (body, content_type) = (response.body(), response.headers().get(CONTENT_TYPE));
    let is_json = content_type.is_some_and(|of| of.as_bytes().starts_with(b"application/json"));
    matches!(response.status().as_u16(), 400 | 403 | 404 | 409 | 410 | 422)
        && is_json
        && !body.is_empty()
        && Projection::keys([]).read(body).is_err()
}

/// Reads a 2xx with `read`, and any other status as a refusal.
pub(in crate::intercom) fn answer<T>(
    route: &'static str,
    response: &Response<Bytes>,
    read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
) -> Result<Reply<T>, Error> {
    let (status, headers) = (response.status(), response.headers());
    let rate = Rate::read(headers);
    if is_cut(response) {
        let reason = "the body of the refusal is cut off";
        let lost = Lost::UnreadableBody { status: status.as_u16(), reason, request_id: request_id(headers) };
        return Err(Error::Unknown { route, lost, rate });
    }
    if !status.is_success() {
        let Envelope { code, message, field, request_id: in_body } = Envelope::read(response.body());
        let request_id = in_body.or_else(|| request_id(headers));
        let (status, retry_after_s) = (status.as_u16(), retry_after_s(headers));
        return Err(Error::Refused { route, status, code, message, field, request_id, rate, retry_after_s });
    }
    match read(response.body()) {
        Ok(value) => Ok(Reply { value, rate }),
        Err(UnreadableBody(reason)) => {
            let lost = Lost::UnreadableBody { status: status.as_u16(), reason, request_id: request_id(headers) };
            Err(Error::Unknown { route, lost, rate })
        }
    }
}
