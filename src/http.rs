//! HTTPS for both worlds, Intercom's and AWS's: one TLS configuration, whose root certificates are read once and only
//! when the first connection needs them, so that a function wakes without waiting for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::domain::clock::Clock;

/// Where Linux distributions keep all their root certificates in one file: Amazon Linux 2023, on which Lambda runs
/// (`aws/aws-lambda-dotnet` 1661 shows the link and what reading the folder beside it costs), and Debian.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/cert.pem", "/etc/ssl/certs/ca-certificates.crt"];

/// The HTTPS client could not be set up; in practice, the machine has no root certificates.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the HTTPS client cannot be set up (are root certificates installed?): {detail}")]
pub struct SetupError {
    detail: String,
}

/// What clients are made of; by default with the root certificates of the environment or the platform. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Https {
    bundle: Option<PathBuf>,
    tls: Arc<OnceLock<ClientConfig>>,
}

/// A client for one kind of peer, with connections of its own. Clones share it.
///
/// A connection is used again for as long as the wall clock shows that it was idle for less than `idle_max`. The pool's own
/// limit is measured by the monotonic clock, which may stand still while Lambda freezes the process between invocations;
/// meanwhile the peer closes the connection, and a request on it gets no answer.
///
/// It follows no redirect (a secret would follow too), uses no proxy from the environment, and repeats nothing that may
/// have been sent: whoever called decides that.
#[derive(Clone, Debug)]
pub struct Client {
    https: Https,
    connect_timeout: Duration,
    idle_max: Duration,
    made: Arc<Mutex<Option<Made>>>,
}

/// A client that is set up, with its connections.
#[derive(Debug)]
struct Made {
    client: reqwest::Client,
    /// When it last brought an answer, or was set up, in Unix milliseconds: none of its connections is idle since later.
    answered_ms: i64,
}

impl Https {
    /// Takes the root certificates from the one file that holds them all, where the distribution has one: a folder of
    /// single files takes twice as long. What the environment names comes first.
    pub fn of_one_bundle(get: impl Fn(&str) -> Option<String>) -> Self {
        if ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| get(name).is_some()) {
            return Self::default();
        }
        Self { bundle: first_file(&BUNDLES), tls: Arc::default() }
    }

    /// A client that gives up connecting after `connect_timeout` and uses no connection again that was idle for longer
    /// than `idle_max`. Nothing is set up before it is used.
    pub fn client(&self, connect_timeout: Duration, idle_max: Duration) -> Client {
        Client { https: self.clone(), connect_timeout, idle_max, made: Arc::default() }
    }

    fn tls(&self) -> Result<&ClientConfig, SetupError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| SetupError { detail: error.to_string() })?;
        let made = builder.with_root_certificates(roots(self.bundle.as_deref())?).with_no_client_auth();
        Ok(self.tls.get_or_init(|| made))
    }
}

impl Client {
    /// The client, set up by the first call, and set up again without its connections when those may be dead.
    pub fn get(&self) -> Result<reqwest::Client, SetupError> {
        self.get_at(Clock::of_the_machine().now_ms())
    }

    /// Notes that an answer came: its connection is alive now.
    pub fn answered(&self) {
        self.answered_at(Clock::of_the_machine().now_ms());
    }

    fn get_at(&self, now_ms: i64) -> Result<reqwest::Client, SetupError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_max_ms = i64::try_from(self.idle_max.as_millis()).unwrap_or(i64::MAX);
        // A clock that was put back says nothing about the time that passed.
        let is_alive = |made: &&Made| (0..=idle_max_ms).contains(&now_ms.saturating_sub(made.answered_ms));
        if let Some(made) = made.as_ref().filter(is_alive) {
            return Ok(made.client.clone());
        }
        let client = self.set_up()?;
        *made = Some(Made { client: client.clone(), answered_ms: now_ms });
        Ok(client)
    }

    fn answered_at(&self, now_ms: i64) {
        if let Some(made) = self.made.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            made.answered_ms = now_ms;
        }
    }

    fn set_up(&self) -> Result<reqwest::Client, SetupError> {
        reqwest::Client::builder()
            .user_agent(concat!("intercom-bulk/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.https.tls()?.clone())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_max)
            .build()
            .map_err(|error| SetupError { detail: error.to_string() })
    }
}

/// The first of these paths at which there is a file.
fn first_file(paths: &[impl AsRef<Path>]) -> Option<PathBuf> {
    paths.iter().map(AsRef::as_ref).find(|path| path.is_file()).map(Path::to_owned)
}

/// The machine's root certificates: of this file, or of wherever the environment or the platform keeps them.
fn roots(bundle: Option<&Path>) -> Result<RootCertStore, SetupError> {
    let certificates = match bundle {
        Some(path) => bundled(path)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    let nothing = || SetupError { detail: "no root certificate was found".to_owned() };
    (taken > 0).then_some(roots).ok_or_else(nothing)
}

fn bundled(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let failed = |error: rustls::pki_types::pem::Error| SetupError { detail: format!("{}: {error}", path.display()) };
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than whoever asked is ready to hold.
    #[error("the body is larger than {most} bytes")]
    TooLarge {
        /// The bound.
        most: usize,
    },
    /// The connection broke.
    #[error("the body broke off")]
    Broken(#[from] reqwest::Error),
}

/// Reads a body and gives up where it grows larger than `most`, before holding it.
pub async fn body(response: &mut reqwest::Response, most: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > most {
            return Err(BodyError::TooLarge { most });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn error_of(bundle: &str) -> String {
        let https = Https { bundle: Some(bundle.into()), tls: Arc::default() };
        https.client(Duration::ZERO, Duration::ZERO).get().unwrap_err().to_string()
    }

    #[test]
    fn what_the_environment_names_comes_before_the_distribution_s_bundle() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let https = Https::of_one_bundle(|asked| (asked == name).then(|| "/elsewhere".to_owned()));
            assert_eq!(https.bundle, None, "{name}");
        }
    }

    #[test]
    fn the_first_bundle_that_is_there_is_taken() {
        let (there, too) = (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), file!());
        assert_eq!(first_file(&["/nonexistent/cert.pem", there, too]), Some(there.into()));
        assert_eq!(first_file(&["/nonexistent/cert.pem", "/"]), None, "a folder is no bundle");
    }

    /// A server that keeps its connections open, and counts them.
    async fn counting() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, count) = (format!("http://{}", listener.local_addr().unwrap()), Arc::<AtomicUsize>::default());
        let accepted = count.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while socket.read(&mut request).await.is_ok_and(|bytes| bytes > 0) {
                        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                    }
                });
            }
        });
        (url, count)
    }

    /// Lambda freezes the process, and no time passes for the monotonic clock; the wall clock is ahead when it goes on.
    #[tokio::test]
    async fn a_connection_that_was_idle_by_the_wall_clock_is_not_used_again() {
        let (url, connections) = counting().await;
        let client = Https::default().client(Duration::from_secs(1), Duration::from_secs(5));
        for (asked_ms, expected, why) in [
            (0, 1, "the first"),
            (5_000, 1, "used again within five seconds"),
            (10_001, 2, "frozen for longer than that"),
            (14_000, 2, "the new one is used again"),
            (13_000, 3, "a clock that was put back"),
        ] {
            client.get_at(asked_ms).unwrap().get(&url).send().await.unwrap().bytes().await.unwrap();
            client.answered_at(asked_ms);
            assert_eq!(connections.load(Ordering::Relaxed), expected, "{why}");
            // The connection goes back to the pool by a task of its own.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[test]
    fn a_bundle_that_is_of_no_use_is_named() {
        let error = error_of("/nonexistent/bundle.pem");
        assert!(error.contains("/nonexistent/bundle.pem"), "{error}");
        let error = error_of(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert!(error.contains("no root certificate"), "{error}");
    }

    #[test]
    fn certificates_are_read_once_for_all_clients() {
        let https = Https::default();
        assert!(https.tls.get().is_none(), "not before they are needed");
        for _ in 0..2 {
            https.client(Duration::from_secs(1), Duration::from_secs(1)).get().unwrap();
        }
        let first: *const ClientConfig = https.tls().unwrap();
        assert_eq!(first, std::ptr::from_ref(https.clone().tls().unwrap()));
    }
}
