//! One local AWS account: DynamoDB and SQS emulated in this process, behind the real SDK's clients.
//!
//! ```text
//! aws_sdk_dynamodb::Client ─ connector ─ dynamodb (dynoxide, SQLite) ─ ledger.sqlite, or memory
//! aws_sdk_sqs::Client ────── connector ─ sqs (awsim) ───────────────── memory
//! functions elsewhere ────── endpoint ──┘ both of them, over HTTP
//! ```
//!
//! The emulator replaces the SDK's `HttpClient`, so the production code builds, signs, retries and
//! parses the requests, and no socket is opened. Every call is counted, because AWS bills calls and
//! capacity units.

mod connector;
mod counts;
mod create_queue;
mod dynamodb;
mod endpoint;
mod sqs;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig};

pub use counts::{Billed, Counts};
pub use create_queue::{Queue, QueueError, create_queue};

use connector::InProcess;

use crate::private;

/// The only region of this account.
pub const REGION: &str = "us-east-1";
/// DynamoDB's database file, in the state directory.
const LEDGER_FILE: &str = "ledger.sqlite";
/// The folder for the bodies of queued messages, in the state directory.
const BODIES_FOLDER: &str = "queued";

/// The SDK's clients of one emulated account, and its counts.
///
/// A clone shares the account.
#[derive(Clone, Debug)]
pub struct Account {
    /// DynamoDB: answers once a call is written to `SQLite`.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// SQS: queues exist as long as the account.
    pub sqs: aws_sdk_sqs::Client,
    /// Calls and capacity units so far.
    pub counts: Counts,
    tables: InProcess<dynamodb::Tables>,
    queues: InProcess<sqs::Queues>,
}

/// The reason that an account cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum AccountError {
    #[error("cannot create the state directory {path}")]
    Directory { path: PathBuf, source: std::io::Error },
    /// The state directory's name is not UTF-8, as `SQLite` requires.
    #[error("the state directory {path} is not valid UTF-8")]
    Path { path: PathBuf },
    /// `SQLite` refuses the file: it is locked, damaged, or of a newer version.
    #[error("cannot open the emulated DynamoDB")]
    Database(#[from] dynoxide::DynoxideError),
}

impl Account {
    /// Opens the account of the state directory, or an account in memory for the lifetime of this
    /// value.
    ///
    /// A completed write survives a crash of the process; a power failure may lose the last writes.
    /// Queues are always in memory. After a restart, a new generation resumes a run from the ledger
    /// alone.
    pub fn open(state: Option<&Path>) -> Result<Self, AccountError> {
        Self::with(state, None)
    }

    /// Opens the account of `state` for exclusive use by one process.
    ///
    /// It stores message bodies in files. While submissions wait for the rate limit, most of a
    /// workspace's patches are in the queue, and memory would grow with them.
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

    /// Returns DynamoDB as the SDK's HTTP client, for code that wraps it.
    pub fn dynamodb_network(&self) -> SharedHttpClient {
        SharedHttpClient::new(self.tables.clone())
    }

    /// Returns both services as one HTTP router, for functions that run outside this process.
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
    // SQLite creates its log files with this file's mode. It reports an error if the file is
    // read-only.
    if private::file(&file).is_ok() {
        for beside in ["-wal", "-shm"].map(|ending| directory.join(format!("{LEDGER_FILE}{ending}"))) {
            if beside.exists() {
                private::file(&beside).map_err(failed)?;
            }
        }
    }
    let file = file.to_str().ok_or_else(|| AccountError::Path { path: directory.to_owned() })?;
    let database = dynoxide::Database::new(file)?;
    // Despite its name this only sets pragmas, including `synchronous = NORMAL`. With the
    // write-ahead log, a commit then reaches the system's cache without an fsync. The cache
    // outlives the process.
    database.disable_bulk_loading()?;
    Ok(database)
}

/// Returns fake credentials: requests are signed, but signatures are never checked.
fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}
