//! HTTPS for both worlds, Intercom's and AWS's: one TLS configuration, whose root certificates are read once and only
//! when the first connection needs them, so that a function wakes without waiting for them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

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
/// It follows no redirect (a secret would follow too), uses no proxy from the environment, and repeats nothing that may
/// have been sent: whoever called decides that.
#[derive(Clone, Debug)]
pub struct Client {
    https: Https,
    connect_timeout: Duration,
    idle_max: Duration,
    made: Arc<OnceLock<reqwest::Client>>,
}

impl Https {
    /// Takes the root certificates from the one file that holds them all, where the distribution has one: a folder of
    /// single files takes twice as long. What the environment names comes first.
    pub fn of_one_bundle(get: impl Fn(&str) -> Option<String>) -> Self {
        if ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| get(name).is_some()) {
            return Self::default();
        }
        let bundle = BUNDLES.into_iter().map(Path::new).find(|path| path.is_file()).map(Path::to_owned);
        Self { bundle, tls: Arc::default() }
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
    /// The client, set up by the first call.
    pub fn get(&self) -> Result<&reqwest::Client, SetupError> {
        if let Some(client) = self.made.get() {
            return Ok(client);
        }
        let made = reqwest::Client::builder()
            .user_agent(concat!("intercom-bulk/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.https.tls()?.clone())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .retry(reqwest::retry::never())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(self.idle_max)
            .build()
            .map_err(|error| SetupError { detail: error.to_string() })?;
        Ok(self.made.get_or_init(|| made))
    }
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
        let bundle = Https::of_one_bundle(|_| None).bundle;
        assert!(bundle.is_none_or(|path| BUNDLES.iter().any(|known| path == Path::new(known))));
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
