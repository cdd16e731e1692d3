//! The simulated workspace behind the client's transport, without a socket.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use intercom_bulk::intercom::{ApiVersion, BaseUrl, Intercom, Token, Transport, TransportError};
use intercom_simulator::World;
use tower::ServiceExt;

/// The only token of these tests.
pub(crate) const TOKEN: &str = "dG9rOjEyMzQ=";

/// What becomes of requests on a way that is closed to them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closed {
    /// They cannot be sent.
    Unsent,
    /// They may have been sent, and there is no answer.
    NoAnswer,
    /// Something on the way answers with this status.
    Answers(u16),
}

/// The way to Intercom, which can be closed for some requests; clones are the same way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way(Arc<Mutex<Option<(&'static str, Closed)>>>);

impl Way {
    /// From now on requests whose method and path begin so cannot be sent; none, for all can.
    pub(crate) fn close(&self, to: Option<&'static str>) {
        *self.0.lock().unwrap() = to.map(|to| (to, Closed::Unsent));
    }

    /// From now on this becomes of requests whose method and path begin so.
    pub(crate) fn disturb(&self, to: &'static str, how: Closed) {
        *self.0.lock().unwrap() = Some((to, how));
    }

    fn is_closed_to(&self, request: &Request<Bytes>) -> Option<Closed> {
        let line = format!("{} {}", request.method(), request.uri().path());
        self.0.lock().unwrap().filter(|(to, _)| line.starts_with(to)).map(|(_, how)| how)
    }
}

impl Closed {
    fn answer(self) -> Result<Response<Bytes>, TransportError> {
        match self {
            Self::Unsent => Err(TransportError::NotSent { source: "connection refused".into() }),
            Self::NoAnswer => Err(TransportError::Unknown { source: "connection reset".into() }),
            Self::Answers(status) => {
                let error = r#"{"type":"error.list","errors":[{"code":"by_the_test","message":"closed by the test"}]}"#;
                let mut answer = Response::new(Bytes::from_static(error.as_bytes()));
                *answer.status_mut() = status.try_into().unwrap();
                Ok(answer)
            }
        }
    }
}

/// A client of this workspace. A body that breaks off is an answer that was lost, as on a socket.
pub(crate) fn client(world: &World, way: &Way) -> Intercom {
    let (router, way) = (world.router(), way.clone());
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let (router, closed) = (router.clone(), way.is_closed_to(&request));
        async move {
            if let Some(closed) = closed {
                return closed.answer();
            }
            let response = router.oneshot(request.map(axum::body::Body::from)).await;
            let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
            match body.collect().await {
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
                Err(error) => Err(TransportError::Unknown { source: error.into() }),
            }
        }
    }));
    let base_url = BaseUrl::parse("http://127.0.0.1:1").expect("loopback is taken");
    let token = Token::new(TOKEN.to_owned()).expect("it has the form of a token");
    Intercom::new(transport, base_url, token, ApiVersion::parse("1.4").expect("the version is known"))
}
