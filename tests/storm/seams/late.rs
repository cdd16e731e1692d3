//! A write that Intercom carries out after its sender gave up: its time-out passed, or its
//! process ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::effect::carried_out;
use crate::asked::{Asked, Kind};
use crate::promises::Reached;
use crate::storm::Storm;

/// The time from the moment at which the sender gave up, in milliseconds.
const LATE_MS: std::ops::RangeInclusive<u64> = 0..=60_000;

/// The longest time for which Intercom waits for the sender of a write of one user: a frozen process
/// does not give up.
const SENDERS_WAIT: Duration = Duration::from_secs(25);

/// A request that reached Intercom.
pub(super) struct LateRequest {
    pub(super) asked: Asked,
    pub(super) router: axum::Router,
    pub(super) request: Request<Bytes>,
    pub(super) before: Reached,
}

/// Carries out its request when it is dropped: the sender gave up.
pub(super) struct Late {
    storm: Arc<Storm>,
    request: Option<LateRequest>,
    /// Tells the wait of [`SENDERS_WAIT`].
    _gave_up: Option<oneshot::Sender<()>>,
}

impl Late {
    pub(super) fn new(storm: &Arc<Storm>, late: LateRequest) -> Self {
        storm.weather.note(|| format!("{} is carried out late", late.asked.name));
        if late.asked.kind != Kind::Put {
            return Self { storm: storm.clone(), request: Some(late), _gave_up: None };
        }
        let (gave_up, given_up) = oneshot::channel();
        let of = storm.clone();
        storm.spawn(async move {
            // An error means that the sender gave up.
            let _ = timeout(SENDERS_WAIT, given_up).await;
            carry_out(of, late).await;
        });
        Self { storm: storm.clone(), request: None, _gave_up: Some(gave_up) }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        // The story may be over.
        let (Some(late), Ok(_)) = (self.request.take(), tokio::runtime::Handle::try_current()) else { return };
        let storm = self.storm.clone();
        self.storm.spawn(carry_out(storm, late));
    }
}

async fn carry_out(storm: Arc<Storm>, late: LateRequest) {
    let LateRequest { asked, router, request, before } = late;
    sleep(Duration::from_millis(storm.weather.draw(LATE_MS))).await;
    let (parts, answer) = carried_out(&storm, &asked, &before, router, request).await;
    storm.weather.note(|| format!("{} {:?} → {}, late", asked.name, asked.alone(), parts.status));
    storm.answered_by_intercom(&asked, parts.status, answer.as_ref().ok(), &before);
}
