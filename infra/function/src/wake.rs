//! Warming up: the first TLS handshakes of a process cost a small function most of a second, and Lambda gives a process
//! that starts more processor than one that works.

use std::time::Duration;

use intercom_bulk::domain::clock::Clock;

use crate::Function;

/// Longer than any handshake takes; what is not warm by then connects when it is needed. Lambda allows 10 s in all.
const WARM_MAX: Duration = Duration::from_secs(3);

impl Function {
    /// Connects to everything that an invocation calls, all at once, and waits for it. A failure is none of an
    /// invocation's: the call that needs the connection tells.
    pub(crate) async fn warm(&self, get: impl Fn(&str) -> Option<String>) {
        if get("WARM_CONNECTIONS").as_deref() == Some("off") {
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
            if let Err(error) = self.clients.intercom.warm().await {
                tracing::debug!(%error, "Intercom was not warmed; the first call connects");
            }
        };
        let all = async { tokio::join!(token, intercom, self.aws.warm("dynamodb"), self.aws.warm("sqs")) };
        let in_time = tokio::time::timeout(WARM_MAX, all).await.is_ok();
        tracing::info!(warm_ms = clock.now_ms() - began_ms, in_time, "awake");
    }
}
