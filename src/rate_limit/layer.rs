//! The tower layer that reports Intercom's answers to the limiter.

use bytes::Bytes;
use http::Request;
use tower::{Layer, ServiceExt};

use super::limiter::RateLimiter;
use crate::intercom::{AfterAnswer, Operations, RateReport, Transport};

/// A layer around the transport of Intercom's client. It reports the rate headers of each answer,
/// and each 429, to its limiter.
#[derive(Clone, Debug)]
pub struct ReportLayer(RateLimiter);

impl RateLimiter {
    /// Returns the layer that reports answers to this limiter.
    pub fn layer(&self) -> ReportLayer {
        ReportLayer(self.clone())
    }
}

impl Layer<Transport> for ReportLayer {
    type Service = Transport;

    fn layer(&self, inner: Transport) -> Transport {
        let limiter = self.0.clone();
        Transport::new(tower::service_fn(move |request: Request<Bytes>| {
            let (inner, limiter) = (inner.clone(), limiter.clone());
            async move {
                let Operations(operations) = request.extensions().get().copied().unwrap_or_default();
                let mut response = inner.oneshot(request).await?;
                let report = RateReport::read(&response);
                // The rest of the report writes to the ledger. Inside the request's time-out, a slow ledger
                // would lose the answer.
                let work = limiter.report(report, operations);
                response.extensions_mut().insert(AfterAnswer::new(work));
                Ok(response)
            }
        }))
    }
}
