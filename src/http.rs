//! The HTTPS client for Intercom and AWS, with one TLS configuration. Root certificates are read
//! once, when the first connection needs them, so that they do not delay a function's start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::domain::clock::Clock;

/// Single-file bundles of root certificates: Amazon Linux 2023 (Lambda) and Debian.
/// `aws/aws-lambda-dotnet` 1661 shows the link and the cost of reading the folder beside it.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/cert.pem", "/etc/ssl/certs/ca-certificates.crt"];

/// An error while the HTTPS client is set up. The usual cause: the machine has no root
/// certificates.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the HTTPS client cannot be set up (are root certificates installed?): {detail}")]
pub struct SetupError {
    detail: String,
}

/// A factory for clients that share one TLS configuration. By default it uses the root certificates
/// of the environment or the platform. Clones share the configuration.
#[derive(Clone, Debug, Default)]
pub struct Https {
    bundle: Option<PathBuf>,
    tls: Arc<OnceLock<ClientConfig>>,
}

/// A client for one kind of peer, with its own connection pool. Clones share the pool.
///
/// A connection is reused only if the wall clock shows that it was idle for less than `idle_max`.
/// The pool's own limit uses the monotonic clock, which may stand still while Lambda freezes the
/// process. If the peer closes a connection during a freeze, a request on it gets no answer.
///
/// The client follows no redirect (a secret would follow too) and uses no proxy from the
/// environment. It retries nothing that may have been sent: the caller decides that.
#[derive(Clone, Debug)]
pub struct Client {
    https: Https,
    connect_timeout: Duration,
    idle_max: Duration,
    made: Arc<Mutex<Option<Made>>>,
}

/// An initialized client with its connections.
#[derive(Debug)]
struct Made {
    client: reqwest::Client,
    /// Unix time (ms) of the last answer, or of the set-up. No connection has been idle since a
    /// later time.
    answered_ms: i64,
}

impl Https {
    /// Uses the distribution's single-file bundle if there is one: a folder of single files takes
    /// twice as long to read. `SSL_CERT_FILE` and `SSL_CERT_DIR` take precedence.
    pub fn of_one_bundle(get: impl Fn(&str) -> Option<String>) -> Self {
        if ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| get(name).is_some()) {
            return Self::default();
        }
        Self { bundle: first_file(&BUNDLES), tls: Arc::default() }
    }

    /// Returns a client with this connect time-out that reuses no connection after `idle_max`
    /// without use. The set-up is deferred to the first request.
    pub fn client(&self, connect_timeout: Duration, idle_max: Duration) -> Client {
        Client { https: self.clone(), connect_timeout, idle_max, made: Arc::default() }
    }

    /// Returns a client that reaches `host` at these addresses only, and gives up after `timeout`. It follows no
    /// redirect, uses no proxy and retries nothing, as [`Client`] does.
    pub fn pinned(
        &self,
        host: &str,
        addresses: &[SocketAddr],
        timeout: Duration,
    ) -> Result<reqwest::Client, SetupError> {
        let builder = self.builder()?.resolve_to_addrs(host, addresses).timeout(timeout);
        builder.build().map_err(|error| SetupError { detail: error.to_string() })
    }

    fn builder(&self) -> Result<reqwest::ClientBuilder, SetupError> {
        Ok(reqwest::Client::builder()
            .user_agent(concat!("intercom-bulk/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls()?.clone())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never()))
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
    /// Returns the client. The first call sets it up; a later call replaces it, with its
    /// connections, if those may be dead.
    pub fn get(&self) -> Result<reqwest::Client, SetupError> {
        self.get_at(Clock::of_the_machine().now_ms())
    }

    /// Records that an answer arrived: its connection is alive.
    pub fn answered(&self) {
        self.answered_at(Clock::of_the_machine().now_ms());
    }

    fn get_at(&self, now_ms: i64) -> Result<reqwest::Client, SetupError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let idle_max_ms = i64::try_from(self.idle_max.as_millis()).unwrap_or(i64::MAX);
        // If the clock was set back, the idle time is unknown.
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
        let builder = self.https.builder()?;
        builder
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_max)
            .build()
            .map_err(|error| SetupError { detail: error.to_string() })
    }
}

/// Returns the first path that is a file.
fn first_file(paths: &[impl AsRef<Path>]) -> Option<PathBuf> {
    paths.iter().map(AsRef::as_ref).find(|path| path.is_file()).map(Path::to_owned)
}

/// Reads the root certificates from this file, or from the environment's or platform's default.
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

/// An error while a body is read.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum BodyError {
    #[error("the body is larger than {most} bytes")]
    TooLarge { most: usize },
    #[error("the connection broke during the body")]
    Broken(#[from] reqwest::Error),
}

/// Reads a body. Fails before it holds more than `most` bytes.
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
    fn ssl_variables_take_precedence_over_the_bundle() {
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            let https = Https::of_one_bundle(|asked| (asked == name).then(|| "/elsewhere".to_owned()));
            assert_eq!(https.bundle, None, "{name}");
        }
    }

    #[test]
    fn the_first_existing_bundle_is_used() {
        let (there, too) = (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), file!());
        assert_eq!(first_file(&["/nonexistent/cert.pem", there, too]), Some(there.into()));
        assert_eq!(first_file(&["/nonexistent/cert.pem", "/"]), None, "a folder is no bundle");
    }

    /// Starts a server that keeps its connections open and counts them.
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

    /// A Lambda freeze: the monotonic clock stands still, and the wall clock is ahead after it.
    #[tokio::test]
    async fn a_connection_idle_by_the_wall_clock_is_not_reused() {
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
            // A background task returns the connection to the pool.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[test]
    fn an_unusable_bundle_is_named() {
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
