//! The simulated workspace behind the client's transport, without a socket.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use intercom_bulk::intercom::{ApiVersion, BaseUrl, Intercom, Token, Transport, TransportError};
use intercom_simulator::World;
use tower::ServiceExt;

/// The only token of these tests.
pub(crate) const TOKEN: &str = "dG9rOjEyMzQ=";

/// A client of this workspace. A body that breaks off is an answer that was lost, as on a socket.
pub(crate) fn client(world: &World) -> Intercom {
    let router = world.router();
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let router = router.clone();
        async move {
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
