//! A workspace that a file describes: its users and the quirks of its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::options::{Options, PAGE_SIZE};
use crate::user::Id;

/// The users of a file, shared by all clones of the options.
#[derive(Clone, Debug)]
pub struct Users(Arc<[(Id, Body)]>);

/// A user object, as in the file.
pub(crate) type Body = Arc<Map<String, Value>>;

/// A workspace read from JSON: `{"users": [...], "page_size": 3, "quirks": {...}}`.
#[derive(Clone, Debug)]
pub struct Described {
    users: Users,
    page_size: usize,
    quirks: Quirks,
}

/// The quirks of a workspace. Each is off by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quirks {
    /// Answers to bulk requests that contain a certain user.
    pub posts: Vec<OddPost>,
    /// The number of users that `GET /counts` returns.
    pub count: Option<u64>,
    /// Custom attributes that a write accepts and drops.
    pub ignored: BTreeSet<String>,
    /// Escapes the names of users and companies as HTML in answers: `O&#39;Brien`.
    pub escape_names: bool,
    /// Trims whitespace around a written text.
    pub strip: bool,
    /// Pairs of texts. The first is replaced by the second in the raw JSON of each answer with
    /// users.
    pub replace: Vec<(String, String)>,
    /// Status and body of the answer to each request for a path.
    pub deny_body: BTreeMap<String, (u16, Value)>,
}

/// The answer to a bulk request that contains a certain user. No job is created.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OddPost {
    /// Intercom's id of the user.
    pub id: String,
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// The reason that a file is not a workspace.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum DescribedError {
    #[error("the workspace cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("user {index} of the workspace has no `id` of 24 hexadecimal digits")]
    Id {
        /// The index in the list, from 0.
        index: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users: Vec<Map<String, Value>>,
    #[serde(default)]
    page_size: Option<usize>,
    #[serde(default)]
    quirks: Quirks,
}

impl Users {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Id, Body)> {
        self.0.iter()
    }
}

impl Described {
    /// Parses a workspace.
    pub fn from_json(json: &str) -> Result<Self, DescribedError> {
        let File { users, page_size, quirks } = serde_json::from_str(json)?;
        let with_id = |(index, user): (usize, Map<String, Value>)| {
            let id = user.get("id").and_then(Value::as_str).and_then(Id::parse);
            id.map(|id| (id, Arc::new(user))).ok_or(DescribedError::Id { index })
        };
        let users = users.into_iter().enumerate().map(with_id).collect::<Result<_, _>>()?;
        Ok(Self { users: Users(users), page_size: page_size.unwrap_or(PAGE_SIZE).max(1), quirks })
    }

    /// Returns the number of users.
    pub fn users(&self) -> usize {
        self.users.0.len()
    }
}

impl Options {
    /// Returns these options with the users and the quirks of a file.
    #[must_use]
    pub fn described(self, by: &Described) -> Self {
        Self {
            users: by.users.0.len(),
            given: Some(by.users.clone()),
            page_size: by.page_size,
            quirks: by.quirks.clone(),
            ..self
        }
    }
}
