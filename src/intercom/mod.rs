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
//! * `v1`, `v2`, `preview`: paths, bodies, limits and own refusals of one family of [`Api`] each.
//!   `preview` has only the bulk jobs of its family; the rest is as in `v2`.
//! * `begin_by`: the time in which a write may begin. `bulk_jobs`: answers about bulk jobs. `page`: a page of users. `refusals`: what a
//!   refusal means in each family. `shown`: values that a family shows otherwise than written.
//!   `workspaces`: the workspace of each token. `served`: the version that serves a token. `writes`: the
//!   calls that write values, and those about bulk jobs. `send`: the one function that sends.

mod begin_by;
mod bulk_jobs;
mod page;
mod preview;
mod refusals;
mod send;
mod served;
mod shown;
mod transport;
mod v1;
mod v2;
mod workspaces;
mod writes;

use std::time::Duration;

use tower::{Layer, ServiceExt};

pub use self::page::Page;
pub use self::refusals::{NoUser, advice, is_not_served, page_failure, says_gone};
pub use self::served::AskedApi;
pub use self::shown::shows_alike;
pub use self::transport::base_url::{BaseUrl, BaseUrlError};
pub use self::transport::error::{Error, Invalid, Lost, route};
pub use self::transport::headers::{Rate, Reply};
pub use self::transport::rate_report::{Limited, RateReport};
pub use self::transport::retry::{Disposition, disposition, item_may_be_sent_again};
pub use self::transport::service::{
    AfterAnswer, BODY_BYTES_MAX, Operations, Transport, TransportError, over, over_https,
};
pub use self::transport::token::{Token, TokenError};
pub use self::transport::tokens::{TokenRequest, TokenService, Tokens};
pub use self::workspaces::{Known, Whose};

use self::begin_by::BeginBy;
use self::workspaces::Asked;
use crate::domain::api::{Api, ApiSetting, ApiVersion, BulkCharge};
use crate::domain::attribute::{ListedAttribute, PlannedAttribute};
use crate::domain::job::ItemError;
use crate::domain::partial_json::Projection;
use crate::domain::run::Position;
use crate::domain::user::{User, UserId};

/// Time-out of a call, including the connection. Pages and listed users have their own time-outs,
/// which end with the turn's lease.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(25);

/// Time-out of a write of one user. Intercom's longest recorded answer took 0.27 s, and one that is lost
/// holds the place of others.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// One page of a job's error feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFeed {
    /// The failed items.
    pub items: Vec<ItemError>,
    /// True if another page follows. False after an empty page, so that the feed ends.
    pub more: bool,
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
    setting: ApiSetting,
    bulk_charge: BulkCharge,
    asked: Asked,
    begin_by: BeginBy,
}

impl Intercom {
    /// Creates a client without sending a request. With [`ApiSetting::Auto`] it speaks the newest
    /// version, and [`Self::of_version`] returns the client of a run.
    pub fn new(transport: Transport, base_url: BaseUrl, tokens: impl Into<Tokens>, api: impl Into<ApiSetting>) -> Self {
        Self {
            transport,
            base_url,
            tokens: tokens.into(),
            setting: api.into(),
            bulk_charge: BulkCharge::default(),
            asked: Asked::default(),
            begin_by: BeginBy::default(),
        }
    }

    /// Returns this client with a layer around its transport.
    #[must_use]
    pub fn layered(self, layer: &impl Layer<Transport, Service = Transport>) -> Self {
        Self { transport: layer.layer(self.transport), ..self }
    }

    /// Returns this client for another version of the API, with the same transport and tokens.
    #[must_use]
    pub fn of_version(&self, version: ApiVersion) -> Self {
        Self { setting: version.into(), ..self.clone() }
    }

    /// Returns the version of this client, or that it is chosen when a run begins.
    pub fn setting(&self) -> ApiSetting {
        self.setting
    }

    /// Returns this client for a workspace that charges bulk requests of Preview like this.
    #[must_use]
    pub fn charged(self, bulk_charge: BulkCharge) -> Self {
        Self { bulk_charge, ..self }
    }

    /// Returns the version of the API.
    pub fn version(&self) -> ApiVersion {
        self.setting.version()
    }

    /// Returns the family of the API.
    pub fn api(&self) -> Api {
        self.version().api()
    }

    /// Returns the host of the API, without a port.
    pub fn host(&self) -> &str {
        self.base_url.host()
    }

    /// Returns a page of all users. `of_user` is the least that each user contains, and must include
    /// `id`. With exclusive reading, Intercom sends each page only once, and the first page begins a
    /// reading.
    pub async fn page(
        &self,
        position: &Position,
        of_user: &Projection,
        timeout: Duration,
    ) -> Result<Reply<Page>, Error> {
        match self.api() {
            Api::V1 => self.request(v1::get_page(position)?, timeout, |body| v1::page(body, of_user)).await,
            Api::V2 | Api::Preview => {
                self.request(v2::get_page(position)?, timeout, |body| v2::page(body, of_user)).await
            }
        }
    }

    /// Returns the first users of the workspace without beginning an exclusive reading, for a
    /// preview.
    pub async fn first_users(&self) -> Result<Reply<Page>, Error> {
        match self.api() {
            Api::V1 => {
                self.request(v1::get_first_users(), CALL_TIMEOUT, |body| v1::page(body, &Projection::Whole)).await
            }
            Api::V2 | Api::Preview => {
                self.request(v2::get_first_users(), CALL_TIMEOUT, |body| v2::page(body, &Projection::Whole)).await
            }
        }
    }

    /// Returns one user, or the reason why Intercom does not return it: it does not exist, was
    /// merged into another, or is refused on its own. An `Err` is not about this user.
    pub async fn user(&self, id: &UserId, timeout: Duration) -> Result<Reply<Result<User, NoUser>>, Error> {
        let answer = match self.api() {
            Api::V1 => self.request(v1::get_user(id), timeout, |body| v1::user(body).map(Ok)).await,
            Api::V2 | Api::Preview => self.request(v2::get_user(id), timeout, |body| v2::user(body).map(Ok)).await,
        };
        match answer {
            Err(error) => match NoUser::of(self.api(), &error) {
                Some(reason) => Ok(Reply { value: Err(reason), rate: error.rate() }),
                None => Err(error),
            },
            answer => answer,
        }
    }

    /// Returns the custom attributes of users; `None` if the answer has another form.
    pub async fn attributes(&self, timeout: Duration) -> Result<Reply<Option<Vec<ListedAttribute>>>, Error> {
        match self.api() {
            Api::V1 => Err(Error::Invalid { route: route::ATTRIBUTES, reason: Invalid::NotOfThisApi }),
            Api::V2 | Api::Preview => self.request(v2::get_attributes(), timeout, v2::attributes).await,
        }
    }

    /// Creates a custom attribute of users. Where a write creates attributes, there is no such call.
    pub async fn create_attribute(&self, attribute: &PlannedAttribute, timeout: Duration) -> Result<Reply<()>, Error> {
        match self.api() {
            Api::V1 => Err(Error::Invalid { route: route::CREATE_ATTRIBUTE, reason: Invalid::NotOfThisApi }),
            Api::V2 | Api::Preview => self.request(v2::post_attribute(attribute), timeout, v2::created_attribute).await,
        }
    }

    /// Returns Intercom's own count of users.
    pub async fn count_users(&self, timeout: Duration) -> Result<Reply<u64>, Error> {
        match self.api() {
            Api::V1 => self.request(v1::get_counts(), timeout, v1::count_users).await,
            Api::V2 | Api::Preview => self.request(v2::get_count(), timeout, v2::count_users).await,
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
        let request = transport::call::warm(&self.base_url);
        self.transport.clone().oneshot(request).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
