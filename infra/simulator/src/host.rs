//! The `Host` values that a local server accepts.
//!
//! A web page can point its own name at 127.0.0.1 (DNS rebinding) and then read a local server's
//! answers as its own. Its requests carry that name as their `Host`. A local client sends an
//! address or one of a few names.

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};

/// Names of this machine, including those that containers use for it.
const NAMES: [&str; 3] = ["localhost", "host.docker.internal", "host.containers.internal"];

/// Adds the check to a server's routes.
pub fn local_hosts_only(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| {
        let host = request.headers().get(HOST);
        if host.is_none_or(|host| host.to_str().is_ok_and(is_local)) { next.run(request).await } else { refused() }
    }))
}

fn refused() -> Response {
    let words = "this server is for clients of this machine: name it by its address, or as localhost\n";
    (StatusCode::MISDIRECTED_REQUEST, words).into_response()
}

/// Returns whether a `Host` header is an address or a name of this machine.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
        || name.to_ascii_lowercase().ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[test]
    fn addresses_and_names_of_this_machine_are_local() {
        for local in ["127.0.0.1:4566", "[::1]:80", "::1", "172.17.0.1", "localhost", "LocalHost:1", "a.localhost:1"] {
            assert!(is_local(local), "{local}");
        }
        assert!(is_local("host.docker.internal:4566"));
        for foreign in
            ["evil.example", "evil.example:4566", "localhost.evil.example", "127.0.0.1.evil.example", "", ":80"]
        {
            assert!(!is_local(foreign), "{foreign}");
        }
    }

    #[tokio::test]
    async fn rebound_name_is_refused() {
        let status = async |host: Option<&str>| {
            let router = local_hosts_only(Router::new().route("/", get(async || "the state")));
            let mut request = Request::get("/");
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
        };
        assert_eq!(status(Some("evil.example:8787")).await, StatusCode::MISDIRECTED_REQUEST);
        assert_eq!(status(Some("127.0.0.1:8787")).await, StatusCode::OK);
        assert_eq!(status(None).await, StatusCode::OK, "a client without a Host is no browser");
    }
}
