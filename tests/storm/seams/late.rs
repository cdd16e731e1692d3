//! A write that Intercom carries out after its sender gave up: its time-out passed, or its
//! process ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::time::sleep;

use super::effect::carried_out;
use crate::asked::Asked;
use crate::promises::Reached;
use crate::storm::Storm;

/// The time from the moment at which the sender gave up, in milliseconds.
const LATE_MS: std::ops::RangeInclusive<u64> = 0..=60_000;

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
}

impl Late {
    pub(super) fn new(storm: &Arc<Storm>, request: LateRequest) -> Self {
        storm.weather.note(|| format!("{} is carried out late", request.asked.name));
        Self { storm: storm.clone(), request: Some(request) }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        // The story may be over.
        let (Some(late), Ok(_)) = (self.request.take(), tokio::runtime::Handle::try_current()) else { return };
        let storm = self.storm.clone();
        self.storm.spawn(async move {
            let LateRequest { asked, router, request, before } = late;
            sleep(Duration::from_millis(storm.weather.draw(LATE_MS))).await;
            let (parts, answer) = carried_out(&storm, &asked, &before, router, request).await;
            storm.weather.note(|| format!("{} {:?} → {}, late", asked.name, asked.alone(), parts.status));
            storm.answered_by_intercom(&asked, parts.status, answer.as_ref().ok(), &before);
        });
    }
}
