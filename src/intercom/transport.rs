//! The seam to the network: a request with its body goes in, a response with its body comes out.
//!
//! Behind it stands reqwest in production and an axum router or a closure in tests. The error has two variants because
//! callers have two questions: may the request simply be sent again, or may Intercom have acted on it?
//! Time-outs of a whole call are a layer above (so that a paused clock works); only connecting is timed here.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use super::base_url::may_be_called;
use crate::http::{Client, Https, SetupError, body};

/// What the client sends requests through.
pub type Transport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, TransportError>;

/// The largest body that is read: 100 users at Intercom's limits (250 attributes of 255 characters) are about 8 MB.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long an idle connection is used again. Short, because a function's environment is frozen between invocations, and
/// a request on a connection that died meanwhile ends as [`TransportError::Unknown`], which can cost a page.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nothing reached Intercom: refused, no such host, no TLS, or no connection in time.
    #[error("the request was not sent")]
    NotSent {
        /// What the transport said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The request may have left, so Intercom may have acted on it.
    #[error("the request may have been sent, and there is no whole answer")]
    Unknown {
        /// What the transport said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// A transport's own reasons.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("only https, or http to this machine, is allowed")]
    NotAllowed,
}

/// The real transport, set up at once.
pub fn over_https(connect_timeout: Duration) -> Result<Transport, SetupError> {
    let client = Https::default();
    client.client(connect_timeout, IDLE_MAX).get()?;
    Ok(over(&client, connect_timeout))
}

/// The real transport, set up when it is first used.
pub fn over(https: &Https, connect_timeout: Duration) -> Transport {
    let client = https.client(connect_timeout, IDLE_MAX);
    Transport::new(tower::service_fn(move |request| send(client.clone(), request)))
}

/// One request, one response; reqwest's errors sorted into the two kinds.
async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
    if !may_be_called(request.uri()) {
        return Err(TransportError::NotSent { source: Reason::NotAllowed.into() });
    }
    let request = reqwest::Request::try_from(request).map_err(not_sent)?;
    let with_connections = client.get().map_err(|source| TransportError::NotSent { source: source.into() })?;
    let mut response = with_connections.execute(request).await.map_err(sort)?;
    let body = match body(&mut response, BODY_BYTES_MAX).await {
        Ok(body) => body,
        // The status of a refusal says enough without its text.
        Err(_) if !response.status().is_success() => Bytes::new(),
        Err(source) => return Err(TransportError::Unknown { source: source.into() }),
    };
    client.answered();
    let mut whole = Response::new(body);
    *whole.status_mut() = response.status();
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    Ok(whole)
}

/// An error before a connection stood is harmless; any other may have come after the request left.
fn sort(error: reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() { not_sent(error) } else { unknown(error) }
}

/// Without the URL: a cursor stands in it.
fn not_sent(error: reqwest::Error) -> TransportError {
    TransportError::NotSent { source: error.without_url().into() }
}

fn unknown(error: reqwest::Error) -> TransportError {
    TransportError::Unknown { source: error.without_url().into() }
}

#[cfg(test)]
mod tests;
