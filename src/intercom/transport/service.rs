//! The seam to the network: requests and responses with buffered bodies.
//!
//! The implementation is reqwest in production, and an axum router or a closure in tests. The error
//! has two variants for the caller's two questions: may the request be sent again, and may Intercom
//! have acted on it? A layer above applies the time-outs of calls (so that a paused clock works);
//! this one times only the connection.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use super::base_url::may_be_called;
use crate::http::{Client, Https, SetupError, body};

/// The service that the client sends requests through.
pub type Transport = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, TransportError>;

/// The largest accepted body, in bytes: 100 users at Intercom's limits (250 attributes of 255
/// characters) are about 8 MB.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest idle time after which a connection is reused. It is short, because Lambda freezes a
/// function between invocations. A request on a connection that died during a freeze returns
/// [`TransportError::Unknown`], which can cost a page.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// An error without a response.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum TransportError {
    /// Nothing reached Intercom: connection refused, unknown host, no TLS, or connect time-out.
    #[error("the request was not sent")]
    NotSent { source: Box<dyn StdError + Send + Sync> },
    /// The request may have been sent, so Intercom may have acted on it.
    #[error("the request may have been sent, and its answer is incomplete")]
    Unknown { source: Box<dyn StdError + Send + Sync> },
    /// Nothing was sent, because the time in which the request may begin was over.
    #[error("the request was not sent, because the time in which it may begin was over")]
    TooLate,
}

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("only https, or http to this machine, is allowed")]
    NotAllowed,
}

/// Operations of the rate limit that a request costs: one for each item of a bulk request, otherwise
/// one. The client adds it to the extensions of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operations(pub u32);

impl Default for Operations {
    fn default() -> Self {
        Self(1)
    }
}

/// Work of a layer that follows an answer. A layer adds it to the extensions of the response, and
/// the client performs it after the request's time-out has ended: slow work never loses an answer.
#[derive(Clone)]
pub struct AfterAnswer(Arc<Mutex<Option<Work>>>);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl AfterAnswer {
    /// Wraps the work.
    pub fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(work)))))
    }

    /// Performs the work of a response, if a layer added any.
    pub(in crate::intercom) async fn perform(response: &mut Response<Bytes>) {
        let Some(Self(work)) = response.extensions_mut().remove() else { return };
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work.await;
        }
    }
}

impl fmt::Debug for AfterAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterAnswer")
    }
}

/// Creates the HTTPS transport and sets it up at once.
pub fn over_https(connect_timeout: Duration) -> Result<Transport, SetupError> {
    let client = Https::default();
    client.client(connect_timeout, IDLE_MAX).get()?;
    Ok(over(&client, connect_timeout))
}

/// Creates the HTTPS transport; the first request sets it up.
pub fn over(https: &Https, connect_timeout: Duration) -> Transport {
    let client = https.client(connect_timeout, IDLE_MAX);
    Transport::new(tower::service_fn(move |request| send(client.clone(), request)))
}

/// Sends one request and sorts reqwest's errors into the two kinds.
async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
    if !may_be_called(request.uri()) {
        return Err(TransportError::NotSent { source: Reason::NotAllowed.into() });
    }
    let request = reqwest::Request::try_from(request).map_err(not_sent)?;
    let with_connections = client.get().map_err(|source| TransportError::NotSent { source: source.into() })?;
    let mut response = with_connections.execute(request).await.map_err(sort)?;
    let body = match body(&mut response, BODY_BYTES_MAX).await {
        Ok(body) => body,
        // The status of a refusal is enough without its body.
        Err(_) if !response.status().is_success() => Bytes::new(),
        Err(source) => return Err(TransportError::Unknown { source: source.into() }),
    };
    client.answered();
    let mut whole = Response::new(body);
    *whole.status_mut() = response.status();
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    Ok(whole)
}

/// An error before the connection is harmless. After it, the request may have been sent.
fn sort(error: reqwest::Error) -> TransportError {
    if error.is_connect() || error.is_builder() { not_sent(error) } else { unknown(error) }
}

/// Remove the URL: it contains the cursor.
fn not_sent(error: reqwest::Error) -> TransportError {
    TransportError::NotSent { source: error.without_url().into() }
}

fn unknown(error: reqwest::Error) -> TransportError {
    TransportError::Unknown { source: error.without_url().into() }
}

#[cfg(test)]
mod tests;
