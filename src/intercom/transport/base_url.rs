//! The allowed targets of requests: Intercom's hosts and this machine. Each request carries the
//! token.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Intercom's API hosts, one per region (its own documentation; the United States are the default).
const HOSTS: [&str; 3] = ["api.intercom.io", "api.eu.intercom.io", "api.au.intercom.io"];

/// An allowed base URL, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    origin: String,
    loopback: bool,
}

/// An error about a base URL. It does not quote the URL, because people paste secrets into URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum BaseUrlError {
    #[error("not a URL of the form https://api.intercom.io")]
    Malformed,
    #[error("write scheme, host and port only: no user name, path, query or fragment")]
    MoreThanOrigin,
    #[error(
        "this host is not allowed: use https://api.intercom.io, https://api.eu.intercom.io, \
         https://api.au.intercom.io, or this machine (http://127.0.0.1:PORT)"
    )]
    HostNotAllowed,
    #[error("Intercom's hosts are reached by https and without a port")]
    HttpsOnly,
    #[error("an address of this machine needs a port, as in http://127.0.0.1:8080")]
    PortMissing,
}

impl BaseUrl {
    /// Parses one of Intercom's hosts, or a loopback address with a port. The result is built from
    /// the checked pieces, so that no other parser can find another host in it.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let uri: Uri = text.trim().parse().map_err(|_| BaseUrlError::Malformed)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(BaseUrlError::Malformed);
        };
        let extra = uri.path() != "/" || uri.query().is_some() || text.contains('#');
        if extra || authority.as_str().contains('@') {
            return Err(BaseUrlError::MoreThanOrigin);
        }
        let host = authority.host().to_ascii_lowercase();
        let port_given = authority.as_str().len() > host.len();
        if HOSTS.contains(&host.as_str()) {
            let usual = scheme == "https" && !port_given;
            return if usual { Ok(Self::intercom(&host)) } else { Err(BaseUrlError::HttpsOnly) };
        }
        if !is_loopback_host(&host) || !matches!(scheme, "http" | "https") {
            return Err(BaseUrlError::HostNotAllowed);
        }
        let port = authority.port_u16().filter(|port| *port != 0).ok_or(BaseUrlError::PortMissing)?;
        Ok(Self { origin: format!("{scheme}://{host}:{port}"), loopback: true })
    }

    fn intercom(host: &str) -> Self {
        Self { origin: format!("https://{host}"), loopback: false }
    }

    /// Returns whether this is the local machine, and therefore a simulator without real users.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Returns the host, without scheme and port.
    pub fn host(&self) -> &str {
        let authority = self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority);
        // Only loopback hosts have a port here, and only an IPv6 one has colons of its own.
        authority.rsplit_once(':').filter(|_| self.loopback).map_or(authority, |(host, _)| host)
    }

    /// Returns scheme, host and port.
    pub fn as_str(&self) -> &str {
        &self.origin
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// Returns whether the token may be sent there: over TLS, or within this machine.
pub(in crate::intercom) fn may_be_called(uri: &Uri) -> bool {
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => uri.host().is_some_and(is_loopback_host),
        _ => false,
    }
}

/// Returns whether the host is in 127.0.0.0/8, `[::1]` or localhost, in their plain spellings.
fn is_loopback_host(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || v6.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intercoms_hosts_and_this_machine_are_allowed() {
        for (text, kept, loopback) in [
            ("https://api.intercom.io", "https://api.intercom.io", false),
            ("https://API.eu.intercom.io/", "https://api.eu.intercom.io", false),
            (" https://api.au.intercom.io\n", "https://api.au.intercom.io", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("http://127.9.8.7:1/", "http://127.9.8.7:1", true),
            ("https://[::1]:443", "https://[::1]:443", true),
            ("http://localhost:65535", "http://localhost:65535", true),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!((url.as_str(), url.is_loopback()), (kept, loopback), "{text}");
        }
        for (text, host) in [
            ("https://api.eu.intercom.io", "api.eu.intercom.io"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("https://[::1]:443", "[::1]"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().host(), host);
        }
    }

    #[test]
    fn other_hosts_are_refused() {
        use BaseUrlError::{HostNotAllowed, HttpsOnly, Malformed, MoreThanOrigin, PortMissing};
        for (text, error) in [
            ("", Malformed),
            ("api.intercom.io", Malformed),
            ("/users", Malformed),
            ("https://api.intercom.io\\@evil.example", Malformed),
            ("http://api.intercom.io", HttpsOnly),
            ("https://api.intercom.io:443", HttpsOnly),
            ("https://api.intercom.io/users", MoreThanOrigin),
            ("https://api.intercom.io?x=1", MoreThanOrigin),
            ("https://api.intercom.io#x", MoreThanOrigin),
            ("https://token@api.intercom.io", MoreThanOrigin),
            ("https://api.intercom.io@evil.example", MoreThanOrigin),
            ("https://api.intercom.io.evil.example", HostNotAllowed),
            ("https://api.intercom.io.", HostNotAllowed),
            ("https://169.254.169.254", HostNotAllowed),
            ("http://0.0.0.0:80", HostNotAllowed),
            ("http://127.1:80", HostNotAllowed),
            ("http://localhost.evil.example:80", HostNotAllowed),
            ("http://[::ffff:127.0.0.1]:80", HostNotAllowed),
            ("ftp://127.0.0.1:80", HostNotAllowed),
            ("http://127.0.0.1", PortMissing),
            ("http://127.0.0.1:0", PortMissing),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(error), "{text}");
        }
    }
}
