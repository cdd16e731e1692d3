//! `--notify`: a message to an address of the operator's at the end of a run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use intercom_bulk::control::run_report;
use intercom_bulk::domain::run::RunId;
use intercom_bulk::http::Https;
use intercom_bulk::ledger::Ledger;
use reqwest::{StatusCode, Url, header};
use serde_json::Value;
use tokio::net::lookup_host;
use tokio::time::sleep;

use crate::command::CommandError;
use crate::output;

/// The time-out of a request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses before further tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// The address of messages.
#[derive(Clone, Debug, Args)]
pub(crate) struct Notify {
    /// At the end of the run, and when it pauses, send a POST request with its name, state, reason and counts
    /// as JSON to this https address (http for this machine). Its `text` is one that chat services show. A
    /// failure is a warning
    #[arg(long, value_name = "URL", value_parser = address)]
    notify: Option<Url>,
    /// Allow --notify to reach a private address
    #[arg(long, requires = "notify")]
    notify_private: bool,
}

/// The reason that a message was not sent. The address itself may be a secret, so that only its host is named.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error("{host} has no address: {source}")]
    Unknown { host: String, source: std::io::Error },
    #[error("{host} is {address}, which is not public; --notify-private allows it")]
    Private { host: String, address: IpAddr },
    #[error("{host} answered {status}")]
    Refused { host: String, status: StatusCode },
    #[error("{host} did not answer: {source}")]
    NoAnswer { host: String, source: reqwest::Error },
    #[error(transparent)]
    Setup(#[from] intercom_bulk::http::SetupError),
}

impl NotSent {
    fn may_pass(&self) -> bool {
        match self {
            Self::Unknown { .. } | Self::NoAnswer { .. } => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::Private { .. } | Self::Setup(_) => false,
        }
    }
}

/// Parses the address of messages.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("not an address such as https://example.com/hook: {error}"))?;
    let is_here = url.host_str().is_some_and(is_this_machine);
    if !url.username().is_empty() || url.password().is_some() {
        return Err("an address with a name and a password is not supported: put a secret into its path".to_owned());
    }
    match url.scheme() {
        "https" if url.host_str().is_some_and(|host| !host.is_empty()) => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err("only https addresses are accepted, and http ones of this machine".to_owned()),
    }
}

/// Returns whether a host is written as this machine.
fn is_this_machine(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Notify {
    /// Refuses an address of messages: the functions of a stack send none.
    pub(crate) fn refuse(&self) -> Result<(), CommandError> {
        match &self.notify {
            Some(_) => Err(CommandError::Usage(
                "--notify is for a run on this machine; a stack puts an event on EventBridge (infra/OPERATIONS.md)"
                    .to_owned(),
            )),
            None => Ok(()),
        }
    }

    /// Sends the message about a run that has ended or paused. A failure is a warning.
    pub(crate) async fn tell(&self, ledger: &Ledger, id: &RunId) {
        let Some(url) = &self.notify else { return };
        let sent = match run_report(ledger, id, output::flags).await {
            Ok(Some(report)) => self.send(url, &report.body.into()).await.map_err(|error| error.to_string()),
            Ok(None) => return,
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = sent {
            output::note(false, &format!("Warning: the message of --notify was not sent: {why}"));
        }
    }

    async fn send(&self, url: &Url, message: &Value) -> Result<(), NotSent> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let failed = match self.try_send(url, message).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            match pauses.next().filter(|_| failed.may_pass()) {
                Some(pause) => sleep(pause).await,
                None => return Err(failed),
            }
        }
    }

    async fn try_send(&self, url: &Url, message: &Value) -> Result<(), NotSent> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let addresses = self.addresses(url, &host).await?;
        // A second look-up could give another address.
        let client = Https::default().pinned(&host, &addresses, TIMEOUT)?;
        let request = client.post(url.clone()).header(header::CONTENT_TYPE, "application/json");
        let sent = request.body(message.to_string()).send().await;
        match sent.map_err(reqwest::Error::without_url) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(NotSent::Refused { host, status: answer.status() }),
            Err(source) => Err(NotSent::NoAnswer { host, source }),
        }
    }

    /// Returns the addresses of a host, if all of them may be reached.
    async fn addresses(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, NotSent> {
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or(443);
        let found = lookup_host((literal, port)).await;
        let found: Vec<SocketAddr> =
            found.map_err(|source| NotSent::Unknown { host: host.to_owned(), source })?.collect();
        // Plain http never leaves this machine, whatever `localhost` resolves to.
        let here_only = is_this_machine(host);
        let may_reach = |address: IpAddr| {
            if here_only { address.is_loopback() } else { self.notify_private || is_public(address) }
        };
        match found.iter().find(|address| !may_reach(address.ip())) {
            Some(address) => Err(NotSent::Private { host: host.to_owned(), address: address.ip() }),
            None => Ok(found),
        }
    }
}

/// Returns whether an address belongs to the internet, and not to this machine, a local network, or the
/// metadata service of a cloud.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_special = a == 0 || a >= 224 || (a, b, c) == (192, 0, 0) || a == 198 && (b == 18 || b == 19);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || is_shared
        || is_special)
}

/// Only global unicast addresses (`2000::/3`) that hold no IPv4 address, and translated public ones.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        // Teredo, and documentation.
        [0x2001, 0 | 0xdb8, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_https_or_this_machine() {
        for (text, is_ok) in [
            ("https://example.com/hook/secret", true),
            ("https://10.0.0.1/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://example.com/x", false),
            ("http://localhost.example.com/x", false),
            ("ftp://127.0.0.1/x", false),
            ("https://user:secret@example.com/", false),
            ("example.com/hook", false),
            ("https://", false),
        ] {
            assert_eq!(address(text).is_ok(), is_ok, "{text}");
        }
    }

    #[test]
    fn private_and_metadata_addresses_are_not_public() {
        for (address, public) in [
            ("93.184.215.14", true),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("198.18.0.1", false),
            ("192.0.0.192", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2606:2800:21f:cb07::1", true),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00:ec2::254", false),
            ("ff02::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:93.184.215.14", true),
            ("64:ff9b::a9fe:a9fe", false),
            ("2002:a00:1::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[tokio::test]
    async fn private_address_needs_a_permission() {
        let reached = async |url: &str, notify_private| {
            let url = Url::parse(url).unwrap();
            let notify = Notify { notify: None, notify_private };
            notify.addresses(&url, url.host_str().unwrap()).await.map_err(|error| error.to_string())
        };
        let refused = reached("https://169.254.169.254/latest", false).await.unwrap_err();
        assert_eq!(refused, "169.254.169.254 is 169.254.169.254, which is not public; --notify-private allows it");
        assert!(reached("https://[fd00:ec2::254]/", false).await.is_err());
        let allowed = reached("https://10.0.0.1:8443/", true).await.unwrap();
        assert_eq!(allowed, ["10.0.0.1:8443".parse().unwrap()]);
        assert!(reached("http://127.0.0.1:1/", false).await.is_ok(), "this machine, as written");
    }
}
