//! A request to Intercom, as the storm sees it: its kind, and the users that it writes.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::Value;

/// The query of a request for any one contact, or for their number.
const ONE: &str = "per_page=1";

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A page of all users.
    Page,
    /// One user.
    User,
    /// A bulk request.
    Bulk,
    /// A write of one user, whose answer is the result.
    Put,
    /// Anything else.
    Other,
}

/// A request to Intercom.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path without ids, like `GET /jobs/{id}`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The place of a page in its list, empty for the first one.
    pub(crate) place: String,
    /// The user that it reads, if it reads one.
    read: Option<String>,
    /// The users that it writes, each with its data.
    pub(crate) writes: Vec<(String, Value)>,
    /// Distinguishes it from requests with other content.
    pub(crate) digest: u64,
}

impl Asked {
    pub(crate) fn of(request: &Request<Bytes>) -> Self {
        let (name, kind) = name(request);
        let path = request.uri().path();
        let last = path.rsplit('/').next().unwrap_or_default();
        let body = || serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
        let id = |data: &Value| Some(data["id"].as_str()?.to_owned());
        let writes = match kind {
            Kind::Put => vec![(last.to_owned(), body())],
            Kind::Bulk => {
                let body = body();
                let old = body["items"].as_array().into_iter().flatten().map(|item| &item["data"]);
                let new = body["contacts"].as_array().into_iter().flatten();
                old.chain(new).filter_map(|data| Some((id(data)?, data.clone()))).collect()
            }
            Kind::Page | Kind::User | Kind::Other => Vec::new(),
        };
        let query = request.uri().query().unwrap_or_default();
        let place = query.split('&').find_map(|pair| pair.strip_prefix("starting_after=")).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        (path, request.body()).hash(&mut hasher);
        let read = (kind == Kind::User).then(|| last.to_owned());
        Self { name, kind, place: place.to_owned(), read, writes, digest: hasher.finish() }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Returns whether it writes values.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self.kind, Kind::Bulk | Kind::Put)
    }

    /// Returns the number of its users, or 1.
    pub(crate) fn items(&self) -> usize {
        self.writes.len().max(1)
    }

    /// Returns the user of a write of one user.
    pub(crate) fn alone(&self) -> Option<&str> {
        let [(user, _)] = self.writes.as_slice() else { return None };
        Some(user)
    }

    /// Returns the user of a request that reads or writes one user.
    pub(crate) fn only(&self) -> Option<&str> {
        self.read.as_deref().or_else(|| self.alone())
    }
}

/// Returns method and path without ids, and the purpose.
fn name(request: &Request<Bytes>) -> (String, Kind) {
    let (method, path) = (request.method(), request.uri().path());
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (path, kind) = match parts[..] {
        ["jobs", _, "error"] => ("/jobs/{id}/error", Kind::Other),
        ["jobs", ..] => ("/jobs/{id}", Kind::Other),
        ["users", "scroll"] => (path, Kind::Page),
        ["users", _, ..] if path.len() > 20 => ("/users/{id}", Kind::User),
        ["bulk", "users"] | ["contacts", "bulk"] => (path, Kind::Bulk),
        ["contacts"] if request.uri().query() == Some(ONE) => ("/contacts?per_page=1", Kind::Other),
        ["contacts"] if method == Method::GET => (path, Kind::Page),
        ["contacts", "bulk", _] => ("/contacts/bulk/{id}", Kind::Other),
        ["contacts", _] if method == Method::PUT => ("/contacts/{id}", Kind::Put),
        ["contacts", _] => ("/contacts/{id}", Kind::User),
        _ => (path, Kind::Other),
    };
    (format!("{method} {path}"), kind)
}
