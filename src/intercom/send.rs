//! Sends a request of any family, and reads its answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tower::ServiceExt;

use super::Intercom;
use super::transport::body::UnreadableBody;
use super::transport::call::{Call, answer};
use super::transport::error::{Error, Lost};
use super::transport::headers::{self, Reply};
use super::transport::service::{AfterAnswer, TransportError};
use super::transport::token::Token;

/// The most token replacements within one request.
const REPLACED_MAX: u32 = 3;

/// The token of the answered request of a call, and the version that served it.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) token: Token,
    /// The answer's header `Intercom-Version`.
    pub(super) served_by: Option<Box<str>>,
}

impl Intercom {
    /// Sends one request once and reads its answer. A time-out is ambiguous: the request may have
    /// been sent.
    pub(super) async fn request<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
    ) -> Result<Reply<T>, Error> {
        self.request_by(call, timeout, read, &mut None).await
    }

    /// Like `request`; `used` returns the token of the answered request and the version that served it.
    pub(super) async fn request_by<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
        used: &mut Option<Used>,
    ) -> Result<Reply<T>, Error> {
        let route = call.route;
        let sent = tokio::time::timeout(timeout, self.send(call, used)).await.map_err(|_| timeout);
        self.receive(route, sent, read, used).await
    }

    /// Like `request`, but `abandoned` also ends the wait for an answer that has not arrived, and returns
    /// its duration.
    pub(super) async fn request_unless<T>(
        &self,
        call: Call,
        timeout: Duration,
        abandoned: impl Future<Output = Duration>,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
    ) -> Result<Reply<T>, Error> {
        let (route, mut used) = (call.route, None);
        let sent = tokio::select! {
            biased;
            sent = tokio::time::timeout(timeout, self.send(call, &mut used)) => sent.map_err(|_| timeout),
            after = abandoned => Err(after),
        };
        self.receive(route, sent, read, &mut used).await
    }

    /// Sends a request. If Intercom refuses the token and another one is stored, sends it again
    /// with that one: Intercom did nothing for the refused request. The token can be replaced more
    /// than once in the meantime. An unusable token counts as a request that was not sent.
    async fn send(&self, call: Call, used: &mut Option<Used>) -> Result<Response<Bytes>, TransportError> {
        let mut token = self.tokens.current().await?;
        self.asked.allows(call.route, None, &token)?;
        let mut replaced = 0;
        loop {
            self.begin_by.check()?;
            *used = Some(Used { token: token.clone(), served_by: None });
            let request = call.request(&self.base_url, &token, self.version());
            let response = self.transport.clone().oneshot(request).await?;
            if response.status() != StatusCode::UNAUTHORIZED || replaced == REPLACED_MAX {
                return Ok(response);
            }
            let Some(newer) = self.tokens.instead_of(&token).await? else { return Ok(response) };
            self.asked.allows(call.route, Some(&token), &newer)?;
            token = newer;
            replaced += 1;
        }
    }

    /// Reads the answer of a request, or the duration of the wait for it. The work that follows an answer has no
    /// time-out.
    async fn receive<T>(
        &self,
        route: &'static str,
        sent: Result<Result<Response<Bytes>, TransportError>, Duration>,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
        used: &mut Option<Used>,
    ) -> Result<Reply<T>, Error> {
        let lost = match sent {
            Ok(Ok(mut response)) => {
                AfterAnswer::perform(&mut response).await;
                if let Some(used) = used {
                    used.served_by = headers::served_by(response.headers());
                }
                return answer(route, &response, read);
            }
            Ok(Err(source @ TransportError::NotSent { .. })) => {
                return Err(Error::NotSent { route, at: self.base_url.as_str().into(), source });
            }
            Ok(Err(TransportError::TooLate)) => return Err(Error::TooLate { route }),
            Ok(Err(source)) => Lost::Connection(source),
            Err(after) => Lost::TimedOut { after },
        };
        Err(Error::Unknown { route, lost, rate: None })
    }
}
