//! One AWS account on this machine: DynamoDB and SQS emulated in this process, behind the real SDK's clients.
//!
//! ```text
//! aws_sdk_dynamodb::Client ─ connector ─ dynamodb (dynoxide, SQLite) ─ ledger.sqlite, or memory
//! aws_sdk_sqs::Client ────── connector ─ sqs (awsim) ───────────────── memory
//! functions elsewhere ────── endpoint ──┘ both of them, over HTTP
//! ```
//!
//! The seam is the SDK's own `HttpClient` trait, so requests are built, signed, retried and parsed by the code that
//! talks to AWS, and no socket is opened. Every call is counted, because calls and capacity units are what AWS bills.

mod connector;
mod counts;
mod dynamodb;
mod endpoint;
mod queue;
mod sqs;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig};

pub use counts::Counts;
pub use queue::{Queue, QueueError, create_queue};

use connector::InProcess;

use crate::private;

/// The only region of this account.
pub const REGION: &str = "us-east-1";
/// The file below the state directory that holds all of DynamoDB.
const LEDGER_FILE: &str = "ledger.sqlite";
/// The folder below the state directory that holds the bodies of queued messages while a process works on them.
const BODIES_FOLDER: &str = "queued";

/// The SDK's clients of one emulated account, and what they were used for.
///
/// The clients and the counts are handles: clones share one account.
#[derive(Clone, Debug)]
pub struct Account {
    /// DynamoDB, answering as soon as a call is written to `SQLite`.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS, with queues that live as long as the account.
    pub sqs: aws_sdk_sqs::Client,
    /// Calls and capacity units so far.
    pub counts: Counts,
    tables: InProcess<dynamodb::Tables>,
    queues: InProcess<sqs::Queues>,
}

/// Why an account could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The state directory could not be made.
    #[error("cannot create the state directory {path}")]
    Directory {
        /// The directory asked for.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The state directory's name is not UTF-8, which `SQLite`'s file names are.
    #[error("the state directory {path} is not valid UTF-8")]
    Path {
        /// The directory asked for.
        path: PathBuf,
    },
    /// `SQLite` refused the file: it is locked, damaged, or of a newer version.
    #[error("cannot open the emulated DynamoDB")]
    Database(#[from] dynoxide::DynoxideError),
}

impl Account {
    /// Opens the account whose tables live in `state`, or one in memory that ends with this value.
    ///
    /// What a call has written survives the end of the process, however it ends; only a power cut may take the last
    /// writes. Queues are always in memory: a run goes on after a restart from the ledger alone, by a new generation.
    pub fn open(state: Option<&Path>) -> Result<Self, AccountError> {
        Self::with(state, None)
    }

    /// Opens the account of `state` for the one process that works on it. The bodies of its messages are files: while the
    /// rate limit holds submissions back, most of a workspace's changes lie in the queue, and memory would grow with it.
    pub fn open_alone(state: &Path) -> Result<Self, AccountError> {
        let bodies = state.join(BODIES_FOLDER);
        let failed = |source| AccountError::Directory { path: bodies.clone(), source };
        forget_bodies(state).and_then(|()| private::folder(&bodies)).map_err(failed)?;
        Self::with(Some(state), Some(&bodies))
    }

    fn with(state: Option<&Path>, bodies: Option<&Path>) -> Result<Self, AccountError> {
        let database = match state {
            None => dynoxide::Database::memory()?,
            Some(directory) => open_file(directory)?,
        };
        let counts = Counts::default();
        let tables = InProcess::new(dynamodb::Tables::new(database, counts.clone()), &counts);
        let queues = InProcess::new(sqs::Queues::new(bodies), &counts);
        let dynamodb = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .endpoint_url("http://dynamodb.local")
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(tables.clone())
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static(REGION))
            .credentials_provider(credentials())
            .endpoint_url("http://sqs.local")
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(queues.clone())
            .build();
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            counts,
            tables,
            queues,
        })
    }

    /// DynamoDB as the SDK's HTTP client, for whoever stands between a client and it.
    pub fn dynamodb_network(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.tables.clone())
    }

    /// Both services' endpoint as one HTTP router, for functions that run outside this process.
    pub fn router(&self) -> axum::Router {
        endpoint::router(self.tables.clone(), self.queues.clone())
    }
}

/// Removes the bodies of messages whose queue ended with its process.
pub fn forget_bodies(state: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(state.join(BODIES_FOLDER)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open_file(directory: &Path) -> Result<dynoxide::Database, AccountError> {
    let failed = |source| AccountError::Directory { path: directory.to_owned(), source };
    private::folder(directory).map_err(failed)?;
    let file = directory.join(LEDGER_FILE);
    // SQLite gives the files of its log the mode of this one. A ledger that may only be read is SQLite's to refuse.
    if private::file(&file).is_ok() {
        for beside in ["-wal", "-shm"].map(|ending| directory.join(format!("{LEDGER_FILE}{ending}"))) {
            if beside.exists() {
                private::file(&beside).map_err(failed)?;
            }
        }
    }
    let file = file.to_str().ok_or_else(|| AccountError::Path { path: directory.to_owned() })?;
    let database = dynoxide::Database::new(file)?;
    // Despite its name this only sets pragmas, `synchronous = NORMAL` among them: with the write-ahead log that
    // dynoxide always uses, a commit then reaches the system's cache, which outlives this process, without an fsync.
    database.disable_bulk_loading()?;
    Ok(database)
}

/// Signatures are made and never checked.
fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}
