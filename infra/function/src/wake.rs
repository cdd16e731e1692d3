//! Warms up connections. The first TLS handshakes of a process cost a small function most of a
//! second. Lambda gives a starting process more CPU than a running one.

use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::runtime::settings::WARM_CONNECTIONS;

use crate::Function;

/// Longer than any handshake. Later connections open on demand. Lambda allows 10 s for the whole
/// start.
const WARM_MAX: Duration = Duration::from_secs(3);

impl Function {
    /// Connects to all services that an invocation calls, concurrently, and waits for it.
    ///
    /// Ignores failures: the call that needs the connection reports them.
    pub(crate) async fn warm(&self, get: impl Fn(&str) -> Option<String>) {
        if WARM_CONNECTIONS.get(get).as_deref() == Some("off") {
            return;
        }
        let clock = Clock::of_the_machine();
        let began_ms = clock.now_ms();
        let token = async {
            let Some(token) = &self.token else { return };
            if let Err(error) = token.ready(clock).await {
                tracing::error!(%error, "the access token cannot be read");
            }
        };
        let intercom = async {
            if self.calls_intercom
                && let Err(error) = self.clients.intercom.warm().await
            {
                tracing::debug!(%error, "Intercom was not warmed; the first call connects");
            }
        };
        let all = async { tokio::join!(token, intercom, self.aws.warm("dynamodb"), self.aws.warm("sqs")) };
        let in_time = tokio::time::timeout(WARM_MAX, all).await.is_ok();
        tracing::info!(warm_ms = clock.now_ms() - began_ms, in_time, "awake");
    }
}
