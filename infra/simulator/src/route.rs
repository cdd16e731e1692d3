//! The routes of the world.

use axum::http::Method;

use crate::contacts::route::ContactRoute;
use crate::others::Kind;
use crate::version::Family;

/// The resource that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Scroll,
    OtherScroll(Kind),
    User(&'a str),
    Users,
    Upsert,
    Counts,
    Bulk,
    Job(&'a str),
    JobErrors(&'a str),
    Me,
    Contact(ContactRoute<'a>),
    Unknown,
}

impl<'a> Route<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Self {
        let mut parts = path.trim_matches('/').split('/');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let get = method == Method::GET;
        let post = method == Method::POST;
        match parts {
            (Some("users"), Some("scroll"), None, _) if get => Self::Scroll,
            (Some("companies"), Some("scroll"), None, _) if get => Self::OtherScroll(Kind::Companies),
            (Some("contacts"), Some("scroll"), None, _) if get => Self::OtherScroll(Kind::Leads),
            (Some("users"), None, ..) if get => Self::Users,
            (Some("users"), None, ..) if post => Self::Upsert,
            (Some("users"), Some(id), None, _) if get => Self::User(id),
            (Some("bulk"), Some("users"), None, _) if post => Self::Bulk,
            (Some("counts"), None, ..) if get => Self::Counts,
            (Some("jobs"), Some(id), None, _) if get => Self::Job(id),
            (Some("jobs"), Some(id), Some("error"), None) if get => Self::JobErrors(id),
            (Some("me"), None, ..) if get => Self::Me,
            (first, second, third, fourth) => {
                ContactRoute::of(method, [first, second, third, fourth]).map_or(Self::Unknown, Self::Contact)
            }
        }
    }

    /// Returns the family that has this resource; `None` if both have it, or none.
    pub(crate) fn family(self) -> Option<Family> {
        match self {
            Self::OtherScroll(Kind::Companies) | Self::Me | Self::Unknown => None,
            Self::Contact(_) => Some(Family::New),
            _ => Some(Family::Old),
        }
    }

    pub(crate) fn is_contact_bulk(self) -> bool {
        matches!(self, Self::Contact(ContactRoute::Bulk | ContactRoute::BulkJob(_)))
    }

    /// Returns the name under which requests are counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scroll => "GET /users/scroll",
            Self::OtherScroll(Kind::Companies) => "GET /companies/scroll",
            Self::OtherScroll(Kind::Leads) => "GET /contacts/scroll",
            Self::User(_) => "GET /users/{id}",
            Self::Users => "GET /users",
            Self::Upsert => "POST /users",
            Self::Counts => "GET /counts",
            Self::Bulk => "POST /bulk/users",
            Self::Job(_) => "GET /jobs/{id}",
            Self::JobErrors(_) => "GET /jobs/{id}/error",
            Self::Me => "GET /me",
            Self::Contact(route) => route.name(),
            Self::Unknown => "unknown",
        }
    }
}
