//! The client of Intercom's API: one method per call that the steps make, one function that sends.
//!
//! Nothing is repeated in here but what a token that was replaced had refused. An [`Error`] says whether the request was sent and what came back, [`disposition()`] says
//! what may be done about it, and the caller, which knows its leases and its budget, does it.
//!
//! # Layout
//!
//! * `transport` the seam to the network; `base_url`, `token`, `tokens`, `version` what a request needs; `whose` the
//!   workspace of each token.
//! * `call` what every request and answer share; `reply` headers; `envelope` the body of a refusal.
//! * `v1` paths and bodies of the API 1.x, where users, scroll and bulk jobs are. Another generation is a module beside it
//!   and a variant of [`ApiVersion`].
//! * `error`, `disposition`, `advice` what went wrong, what may be done, what to tell a person.

mod advice;
mod base_url;
mod call;
mod disposition;
mod envelope;
mod error;
mod page;
mod reply;
mod token;
mod tokens;
mod transport;
mod v1;
mod version;
mod whose;

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tower::ServiceExt;

pub use self::advice::advice;
pub use self::base_url::{BaseUrl, BaseUrlError};
pub use self::disposition::{Disposition, disposition, item_may_be_sent_again};
pub use self::error::{Error, Invalid, Lost, route};
pub use self::page::Page;
pub use self::reply::{RETRY_AFTER_MAX_S, Rate, Reply};
pub use self::token::{Token, TokenError};
pub use self::tokens::{TokenRequest, TokenService, Tokens};
pub use self::transport::{BODY_BYTES_MAX, Transport, TransportError, over, over_https};
pub use self::version::{ApiVersion, ApiVersionError};
pub use self::whose::Whose;

use self::call::{Call, UnreadableBody};
use self::whose::Asked;
use crate::domain::job::{ItemError, Job, JobId};
use crate::domain::patch::Patch;
use crate::domain::projection::Projection;
use crate::domain::user::{User, UserId};

/// How long an answer is waited for, connecting included; a page and a user of a list have time-outs of their own, which
/// end with the turn's lease.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// Replacements of the token that one request follows.
const REPLACED_MAX: u32 = 3;

/// One page of a job's error feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFeed {
    /// The items that failed.
    pub items: Vec<ItemError>,
    /// Whether a next page follows. Never after an empty one, so that reading on comes to an end.
    pub more: bool,
}

/// Why Intercom does not show one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoUser {
    /// Intercom's code: `not_found`, `contact_merged` and the like.
    pub code: String,
    /// Status, code and message.
    pub said: String,
}

impl NoUser {
    /// Whether there is no user of this id.
    pub fn is_unknown(&self) -> bool {
        matches!(self.code.as_str(), "not_found" | "user_not_found")
    }
}

/// The workspace that a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceInfo {
    /// Intercom's short code of it: letters, digits, `_` and `-`.
    pub app_id: String,
    /// Its name.
    pub name: Option<String>,
}

/// A workspace's API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Intercom {
    transport: Transport,
    base_url: BaseUrl,
    tokens: Tokens,
    version: ApiVersion,
    asked: Asked,
}

impl Intercom {
    /// A client; nothing is sent yet.
    pub fn new(transport: Transport, base_url: BaseUrl, tokens: impl Into<Tokens>, version: ApiVersion) -> Self {
        Self { transport, base_url, tokens: tokens.into(), version, asked: Asked::default() }
    }

    /// The host that requests go to, without a port.
    pub fn host(&self) -> &str {
        self.base_url.host()
    }

    /// The next page of the scroll, or with no cursor a new scroll's first, and `of_user` of each user, its `id` among it.
    /// A page once sent is never sent again.
    pub async fn page(
        &self,
        cursor: Option<&str>,
        of_user: &Projection,
        timeout: Duration,
    ) -> Result<Reply<Page>, Error> {
        self.request(v1::get_page(cursor)?, timeout, |body| v1::page(body, of_user)).await
    }

    /// A few users of the workspace without opening a scroll, to show what a run would do.
    pub async fn first_users(&self) -> Result<Reply<Page>, Error> {
        self.request(v1::get_first_users(), CALL_TIMEOUT, |body| v1::page(body, &Projection::Whole)).await
    }

    /// One user, or why Intercom does not show this one: there is none with this id, it was merged into another, or it is
    /// refused for a reason of its own. Errors say nothing of the user.
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

    /// Submits the patches as a new bulk job. They are checked first; what cannot be sent is [`Error::Invalid`].
    pub async fn submit(&self, patches: &[Patch]) -> Result<Reply<Job>, Error> {
        self.request(v1::post_patches(patches)?, CALL_TIMEOUT, v1::job).await
    }

    /// A bulk job's state.
    pub async fn job(&self, id: &JobId) -> Result<Reply<Job>, Error> {
        let read = |body: &[u8]| match v1::job(body) {
            Ok(job) if job.id != *id => Err(UnreadableBody("it is another job's")),
            job => job,
        };
        self.request(v1::get_job(id), CALL_TIMEOUT, read).await
    }

    /// One page of a bulk job's error feed, counted from 1.
    pub async fn job_errors(&self, id: &JobId, page: u32) -> Result<Reply<ErrorFeed>, Error> {
        self.request(v1::get_job_errors(id, page), CALL_TIMEOUT, v1::job_errors).await
    }

    /// How many users the workspace has, by Intercom's own count.
    pub async fn count_users(&self, timeout: Duration) -> Result<Reply<u64>, Error> {
        self.request(v1::get_counts(), timeout, v1::count_users).await
    }

    /// Which workspace the token belongs to.
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

    /// Which workspace the token of the next request is of, as far as this client has asked.
    pub async fn whose(&self) -> Result<Option<Whose>, TransportError> {
        let token = self.tokens.current().await?;
        Ok(self.asked.of(&token))
    }

    /// Asks which workspace the token is of. An error says that it is not known now; a refusal is an answer.
    pub async fn ask_whose(&self, timeout: Duration) -> Result<Reply<Whose>, Error> {
        match self.workspace_within(timeout).await {
            Ok(Reply { value, rate }) => Ok(Reply { value: Whose::Workspace(value.app_id), rate }),
            Err(error) if whose::is_refusal(&error) => Ok(Reply { value: Whose::Refused, rate: error.rate() }),
            Err(error) => Err(error),
        }
    }

    /// Takes another token than the present one, if there is one by now. Returns whether there is.
    pub async fn replace_token(&self) -> Result<bool, TransportError> {
        let token = self.tokens.current().await?;
        Ok(self.tokens.newest().await?.is_some_and(|newest| !newest.is(&token)))
    }

    /// Makes ready what the first call needs: name, certificates, keys, and a TLS session to resume. Without a token, so
    /// that nothing of the rate limit is spent; and the connection is not kept, because one that died while the
    /// environment was frozen could cost a page.
    pub async fn warm(&self) -> Result<(), TransportError> {
        let request = call::warm(&self.base_url);
        self.transport.clone().oneshot(request).await.map(|_| ())
    }

    /// Sends one request, once, and reads its answer. A time-out is ambiguous: the request may have been on its way.
    async fn request<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
    ) -> Result<Reply<T>, Error> {
        self.request_by(call, timeout, read, &mut None).await
    }

    /// The same; `used` is the token that the answer came for.
    async fn request_by<T>(
        &self,
        call: Call,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, UnreadableBody>,
        used: &mut Option<Token>,
    ) -> Result<Reply<T>, Error> {
        let route = call.route;
        let lost = match tokio::time::timeout(timeout, self.send(call, used)).await {
            Ok(Ok(response)) => return call::answer(route, &response, read),
            Ok(Err(source @ TransportError::NotSent { .. })) => {
                return Err(Error::NotSent { route, at: self.base_url.as_str().into(), source });
            }
            Ok(Err(source)) => Lost::Connection(source),
            Err(_) => Lost::TimedOut { after: timeout },
        };
        Err(Error::Unknown { route, lost, rate: None })
    }

    /// Sends a request; again with another token, where Intercom refuses the token and there is another by now. Nothing
    /// was done for the refused one. A token can be replaced while it is read, so a second replacement is followed, too.
    /// A token that may not be used is a request not sent.
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

/// Whether a refusal is about the user that was asked for. A 404 with another code than Intercom's two for a missing user may
/// mean that the API is not there; a 410 speaks of a user that was merged into another.
fn is_about_the_user(error: &Error) -> bool {
    match error.status() {
        Some(404) => matches!(error.code(), "not_found" | "user_not_found"),
        Some(410) => !error.code().is_empty(),
        _ => disposition(error, 0) == Disposition::ItemRejected,
    }
}

#[cfg(test)]
mod tests;
