//! The routes of contacts, and the operations that faults name.

use axum::http::Method;
use strum::{EnumString, IntoStaticStr, VariantNames};

/// A resource of API 2.x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContactRoute<'a> {
    List,
    Read(&'a str),
    Write(&'a str),
    Create,
    Search,
    Archive(&'a str),
    Unarchive(&'a str),
    Delete(&'a str),
    Block(&'a str),
    Attributes,
    AddAttribute,
    ChangeAttribute(&'a str),
    Bulk,
    BulkJob(&'a str),
}

/// A request of API 2.x, as faults name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Operation {
    /// `GET /me`, of 1.x, too.
    Me,
    /// `GET /contacts`.
    List,
    /// `GET /contacts/{id}`.
    Read,
    /// `PUT /contacts/{id}`.
    Write,
    /// `POST /contacts`.
    Create,
    /// `POST /contacts/search`.
    Search,
    /// `GET /data_attributes`.
    Attributes,
    /// `POST /data_attributes`.
    AddAttribute,
    /// `PUT /contacts/bulk`.
    Bulk,
    /// `GET /contacts/bulk/{id}`.
    Poll,
}

impl<'a> ContactRoute<'a> {
    /// Returns the resource of a path, given as its first four parts.
    pub(crate) fn of(method: &Method, parts: [Option<&'a str>; 4]) -> Option<Self> {
        let [get, post, put] = [Method::GET, Method::POST, Method::PUT].map(|verb| *method == verb);
        let delete = *method == Method::DELETE;
        Some(match parts {
            [Some("contacts"), None, ..] if get => Self::List,
            [Some("contacts"), None, ..] if post => Self::Create,
            [Some("contacts"), Some("search"), None, _] if post => Self::Search,
            [Some("contacts"), Some("bulk"), None, _] if put => Self::Bulk,
            [Some("contacts"), Some("bulk"), Some(job), None] if get => Self::BulkJob(job),
            [Some("contacts"), Some(id), None, _] if get => Self::Read(id),
            [Some("contacts"), Some(id), None, _] if put => Self::Write(id),
            [Some("contacts"), Some(id), None, _] if delete => Self::Delete(id),
            [Some("contacts"), Some(id), Some("archive"), None] if post => Self::Archive(id),
            [Some("contacts"), Some(id), Some("unarchive"), None] if post => Self::Unarchive(id),
            [Some("contacts"), Some(id), Some("block"), None] if post => Self::Block(id),
            [Some("data_attributes"), None, ..] if get => Self::Attributes,
            [Some("data_attributes"), None, ..] if post => Self::AddAttribute,
            [Some("data_attributes"), Some(id), None, _] if put => Self::ChangeAttribute(id),
            _ => return None,
        })
    }

    /// Returns the operation that faults name.
    pub(crate) fn operation(self) -> Option<Operation> {
        Some(match self {
            Self::List => Operation::List,
            Self::Read(_) => Operation::Read,
            Self::Write(_) => Operation::Write,
            Self::Create => Operation::Create,
            Self::Search => Operation::Search,
            Self::Attributes => Operation::Attributes,
            Self::AddAttribute => Operation::AddAttribute,
            Self::Bulk => Operation::Bulk,
            Self::BulkJob(_) => Operation::Poll,
            Self::Archive(_) | Self::Unarchive(_) | Self::Delete(_) | Self::Block(_) | Self::ChangeAttribute(_) => {
                return None;
            }
        })
    }

    /// Returns the name under which requests are counted.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "GET /contacts",
            Self::Read(_) => "GET /contacts/{id}",
            Self::Write(_) => "PUT /contacts/{id}",
            Self::Create => "POST /contacts",
            Self::Search => "POST /contacts/search",
            Self::Archive(_) => "POST /contacts/{id}/archive",
            Self::Unarchive(_) => "POST /contacts/{id}/unarchive",
            Self::Delete(_) => "DELETE /contacts/{id}",
            Self::Block(_) => "POST /contacts/{id}/block",
            Self::Attributes => "GET /data_attributes",
            Self::AddAttribute => "POST /data_attributes",
            Self::ChangeAttribute(_) => "PUT /data_attributes/{id}",
            Self::Bulk => "PUT /contacts/bulk",
            Self::BulkJob(_) => "GET /contacts/bulk/{id}",
        }
    }
}
