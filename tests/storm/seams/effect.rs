//! A request that Intercom carries out. Its effect comes before its answer, which may be slow.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use http::response::Parts;
use http_body_util::{BodyExt, Collected};
use tower::ServiceExt;

use crate::asked::{Asked, Kind};
use crate::promises::Reached;
use crate::storm::Storm;

/// Carries out a request. Returns the answer, and an error in place of its body if it is lost.
pub(super) async fn carried_out(
    storm: &Storm,
    asked: &Asked,
    reached: &Reached,
    router: axum::Router,
    request: Request<Bytes>,
) -> (Parts, Result<Bytes, axum::Error>) {
    let written = |asked: &Asked| match asked.kind {
        Kind::Put => storm.world.0.state().contacts.written,
        Kind::Bulk => storm.world.0.last_job().map_or(0, |(jobs, _)| jobs as u64),
        _ => 0,
    };
    let before = written(asked);
    let mut response = pin!(router.oneshot(request.map(axum::body::Body::from)));
    // The simulated Intercom acts at once, and waits with its answer.
    let first = poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await;
    if written(asked) > before {
        match asked.kind {
            Kind::Bulk => storm.job_was_made(asked, reached),
            _ => storm.was_written(asked, reached),
        }
        storm.is_waited_for(reached).await;
    }
    let response = match first {
        Poll::Ready(response) => response,
        Poll::Pending => response.await,
    };
    let (parts, answer) = response.unwrap_or_else(|never| match never {}).into_parts();
    (parts, answer.collect().await.map(Collected::to_bytes))
}

impl Storm {
    /// Returns a request for a page of contacts with the size of the story's pages. Intercom may send
    /// fewer contacts than are requested.
    pub(super) fn of_smaller_pages(&self, request: Request<Bytes>) -> Request<Bytes> {
        let (mut parts, body) = request.into_parts();
        let smaller =
            parts.uri.to_string().replace("?per_page=150", &format!("?per_page={}", self.story.options.page_size));
        if parts.uri.path() == "/contacts" {
            parts.uri = smaller.parse().expect("only a number has changed");
        }
        Request::from_parts(parts, body)
    }
}
