//! The client of Intercom's API: one method per call that the steps make, and one function that
//! sends.
//!
//! The client retries only a request whose token was replaced in the meantime. An [`Error`] says
//! whether the request was sent and how Intercom answered. [`disposition()`] returns the possible
//! reactions. The caller decides, because it knows its leases and its budget.
//!
//! # Layout
//!
//! * `transport`: everything that does not depend on the API's version: the seam to the network
//!   (`service`), the pieces of a request, headers, error bodies, errors, and the decision what may
//!   be sent again (`retry`).
//! * `v1`: paths and bodies of the API 1.x, with users, scroll and bulk jobs. Another generation is
//!   a module beside it and a variant of [`ApiVersion`].
//! * `page`: a page of users. `workspaces`: the workspace of each token.

mod page;
mod transport;
mod v1;
mod version;
mod workspaces;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tower::{Layer, ServiceExt};

pub use self::page::Page;
pub use self::transport::advice::advice;
pub use self::transport::base_url::{BaseUrl, BaseUrlError};
pub use self::transport::error::{Error, Invalid, Lost, route};
pub use self::transport::headers::{RETRY_AFTER_MAX_S, Rate, Reply};
pub use self::transport::rate_report::{Limited, RateReport};
pub use self::transport::retry::{Disposition, disposition, item_may_be_sent_again, page_failure};
pub use self::transport::service::{
    AfterAnswer, BODY_BYTES_MAX, Operations, Transport, TransportError, over, over_https,
};
pub use self::transport::token::{Token, TokenError};
pub use self::transport::tokens::{TokenRequest, TokenService, Tokens};
pub use self::version::{ApiVersion, ApiVersionError};
pub use self::workspaces::Whose;

use self::transport::request::{Call, UnreadableBody};
use self::workspaces::Asked;
use crate::domain::job::{ItemError, Job, JobId};
use crate::domain::patch::Patch;
use crate::domain::projection::Projection;
use crate::domain::user::{User, UserId};

/// Time-out of a call, including the connection. Pages and listed users have their own time-outs,
/// which end with the turn's lease.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// The most token replacements within one request.
const REPLACED_MAX: u32 = 3;

/// One page of a job's error feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFeed {
    /// The failed items.
    pub items: Vec<ItemError>,
    /// True if another page follows. False after an empty page, so that the feed ends.
    pub more: bool,
}

/// The reason why Intercom does not return a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoUser {
    /// Intercom's code: `not_found`, `contact_merged` and the like.
    pub code: String,
    /// Status, code and message.
    pub said: String,
}

impl NoUser {
    /// Returns whether no user has this id.
    pub fn is_unknown(&self) -> bool {
        matches!(self.code.as_str(), "not_found" | "user_not_found")
    }
}

/// The workspace that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceInfo {
    /// Intercom's short id of the workspace: letters, digits, `_` and `-`.
    pub app_id: String,
    /// The workspace's name.
    pub name: Option<String>,
}

/// The API of a workspace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intercom {
    transport: Transport,
    base_url: BaseUrl,
    tokens: Tokens,
    version: ApiVersion,
    asked: Asked,
}

impl Intercom {
    /// Creates a client without sending a request.
    pub fn new(transport: Transport, base_url: BaseUrl, tokens: impl Into<Tokens>, version: ApiVersion) -> Self {
        Self { transport, base_url, tokens: tokens.into(), version, asked: Asked::default() }
    }

    /// Returns this client with a layer around its transport.
    #[must_use]
    pub fn layered(self, layer: &impl Layer<Transport, Service = Transport>) -> Self {
        Self { transport: layer.layer(self.transport), ..self }
    }

    /// Returns the host of the API, without a port.
    pub fn host(&self) -> &str {
        self.base_url.host()
    }

    /// Returns the next page of the scroll, or the first page of a new scroll if `cursor` is
    /// `None`. `of_user` is the projection of each user and must include `id`. Intercom sends each
    /// page only once.
    pub async fn page(
        &self,
        cursor: Option<&str>,
        of_user: &Projection,
        timeout: Duration,
    ) -> Result<Reply<Page>, Error> {
        self.request(v1::get_page(cursor)?, timeout, |body| v1::page(body, of_user)).await
    }

    /// Returns the first users of the workspace without opening a scroll, for a preview.
    pub async fn first_users(&self) -> Result<Reply<Page>, Error> {
        self.request(v1::get_first_users(), CALL_TIMEOUT, |body| v1::page(body, &Projection::Whole)).await
    }

    /// Returns one user, or the reason why Intercom does not return it: it does not exist, was
    /// merged into another, or is refused on its own. An `Err` is not about this user.
    pub async fn user(&self, id: &UserId, timeout: Duration) -> Result<Reply<Result<User, NoUser>>, Error> {
        let read = |body: &[u8]| v1::user(body).map(Ok);
        match self.request(v1::get_user(id), timeout, read).await {
            Err(error) if is_about_the_user(&error) => {
                let reason = NoUser { code: error.code().to_owned(), said: error.said() };
                Ok(Reply { value: Err(reason), rate: error.rate() })
            }
            answer => answer,
        }
    }

    /// Submits the patches as a new bulk job. Invalid patches return [`Error::Invalid`] before a
    /// request is sent.
    pub async fn submit(&self, patches: &[Patch]) -> Result<Reply<Job>, Error> {
        self.request(v1::post_patches(patches)?, CALL_TIMEOUT, v1::job).await
    }

    /// Returns the state of a bulk job.
    pub async fn job(&self, id: &JobId) -> Result<Reply<Job>, Error> {
        let read = |body: &[u8]| match v1::job(body) {
            Ok(job) if job.id != *id => Err(UnreadableBody("it is another job's")),
            job => job,
        };
        self.request(v1::get_job(id), CALL_TIMEOUT, read).await
    }

    /// Returns one page of a bulk job's error feed, counted from 1.
    pub async fn job_errors(&self, id: &JobId, page: u32) -> Result<Reply<ErrorFeed>, Error> {
        self.request(v1::get_job_errors(id, page), CALL_TIMEOUT, v1::job_errors).await
    }

    /// Returns Intercom's own count of users.
    pub async fn count_users(&self, timeout: Duration) -> Result<Reply<u64>, Error> {
        self.request(v1::get_counts(), timeout, v1::count_users).await
    }

    /// Returns the workspace of the token.
    pub async fn workspace(&self) -> Result<Reply<WorkspaceInfo>, Error> {
        self.workspace_within(CALL_TIMEOUT).await
    }

    async fn workspace_within(&self, timeout: Duration) -> Result<Reply<WorkspaceInfo>, Error> {
        let mut used = None;
        let answer = self.request_by(v1::get_workspace(), timeout, v1::workspace, &mut used).await;
        if let Some(token) = used {
            self.asked.keep(token, &answer);
        }
        answer
    }

    /// Returns the workspace of the next request's token if this client has already requested it.
    pub async fn whose(&self) -> Result<Option<Whose>, TransportError> {
        let token = self.tokens.current().await?;
        Ok(self.asked.of(&token))
    }

    /// Requests the workspace of the token. A refusal is an answer ([`Whose::Refused`]); an error
    /// means that the workspace is unknown now.
    pub async fn ask_whose(&self, timeout: Duration) -> Result<Reply<Whose>, Error> {
        match self.workspace_within(timeout).await {
            Ok(Reply { value, rate }) => Ok(Reply { value: Whose::Workspace(value.app_id), rate }),
            Err(error) if workspaces::is_refusal(&error) => Ok(Reply { value: Whose::Refused, rate: error.rate() }),
            Err(error) => Err(error),
        }
    }

    /// Replaces the present token if another one is stored. Returns whether it did.
    pub async fn replace_token(&self) -> Result<bool, TransportError> {
        let token = self.tokens.current().await?;
        Ok(self.tokens.newest().await?.is_some_and(|newest| !newest.is(&token)))
    }

    /// Prepares the first call: DNS, certificates, keys, and a TLS session to resume. It sends no
    /// token, so it spends nothing of the rate limit. It does not keep the connection, because one
    /// that died during a freeze could cost a page.
    pub async fn warm(&self) -> Result<(), TransportError> {
        let request = transport::request::warm(&self.base_url);
        self.transport.clone().oneshot(request).await.map(|_| ())
    }

    /// Sends one request once and reads its answer. A time-out is ambiguous: the request may have
    /// been sent.
    async fn request<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
    ) -> Result<Reply<T>, Error> {
        self.request_by(call, timeout, read, &mut None).await
    }

    /// Like `request`; `used` returns the token of the answered request.
    async fn request_by<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
        used: &mut Option<Token>,
    ) -> Result<Reply<T>, Error> {
        let route = call.route;
        let lost = match tokio::time::timeout(timeout, self.send(call, used)).await {
            Ok(Ok(mut response)) => {
                AfterAnswer::perform(&mut response).await;
                return transport::request::answer(route, &response, read);
            }
            Ok(Err(source @ TransportError::NotSent { .. })) => {
                return Err(Error::NotSent { route, at: self.base_url.as_str().into(), source });
            }
            Ok(Err(source)) => Lost::Connection(source),
            Err(_) => Lost::TimedOut { after: timeout },
        };
        Err(Error::Unknown { route, lost, rate: None })
    }

    /// Sends a request. If Intercom refuses the token and another one is stored, sends it again
    /// with that one: Intercom did nothing for the refused request. The token can be replaced more
    /// than once in the meantime. An unusable token counts as a request that was not sent.
    async fn send(&self, call: Call, used: &mut Option<Token>) -> Result<Response<Bytes>, TransportError> {
        let mut token = self.tokens.current().await?;
        self.asked.allows(call.route, None, &token)?;
        let mut replaced = 0;
        loop {
            *used = Some(token.clone());
            let request = call.request(&self.base_url, &token, self.version);
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
}

/// Returns whether a refusal is about the requested user. A 404 with another code than these two
/// may mean that the API does not exist. A 410 is about a user that was merged into another.
fn is_about_the_user(error: &Error) -> bool {
    match error.status() {
        Some(404) => matches!(error.code(), "not_found" | "user_not_found"),
        Some(410) => !error.code().is_empty(),
        _ => disposition(error, 0) == Disposition::ItemRejected,
    }
}

#[cfg(test)]
mod tests;
