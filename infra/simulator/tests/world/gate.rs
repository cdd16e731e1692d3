//! Admission of requests, and the headers of every answer.

use axum::body::Body;
use axum::http::Request;
use intercom_simulator::{Options, World};
use serde_json::json;

use crate::call::{Answer, get, options, send, world};

async fn with(world: &World, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri("/counts");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(world, request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn token_is_required_in_either_form() {
    let world = World::new(Options { token: Some("tok".into()), ..options(&[]) });
    for (authorization, status) in
        [("Bearer tok", 200), ("Basic dG9rOg==", 200), ("Bearer other", 401), ("Basic b3RoZXI6", 401), ("tok", 401)]
    {
        assert_eq!(with(&world, &[("authorization", authorization)]).await.status, status, "{authorization}");
    }
    let refused = with(&world, &[]).await;
    assert_eq!(refused.error(), (401, "token_unauthorized"));
    assert_eq!(refused.header("x-ratelimit-limit"), None);
    let any = crate::call::world(&[]);
    assert_eq!(with(&any, &[("authorization", "Bearer x")]).await.status, 200);
    assert_eq!(with(&any, &[("authorization", "Basic Og==")]).await.status, 401, "an empty token");
}

#[tokio::test(start_paused = true)]
async fn browser_gets_a_406() {
    let world = world(&[]);
    let token = ("authorization", "Bearer x");
    let refused = with(&world, &[("accept", "text/html")]).await;
    assert_eq!(refused.status, 406);
    assert_eq!(
        refused.body,
        json!({"errors": [{"code": "media_type_not_acceptable",
            "message": "The Accept header should send a media type of application/json"}], "type": "error.list"})
    );
    for accept in ["application/json", "text/html, */*;q=0.8", "application/vnd.intercom.3+json"] {
        assert_eq!(with(&world, &[token, ("accept", accept)]).await.status, 200, "{accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_versions_with_users_are_served() {
    let world = world(&[]);
    let token = ("authorization", "Bearer x");
    for (version, status) in [("1.0", 200), ("1.4", 200), ("2.0", 400), ("Preview", 400)] {
        let answer = with(&world, &[token, ("intercom-version", version)]).await;
        assert_eq!(answer.status, status, "{version}");
        assert!(status == 200 || answer.error().1 == "intercom_version_invalid");
    }
    for (asked, answered) in [(None, "1.4"), (Some("1.1"), "1.1")] {
        let headers: Vec<_> = std::iter::once(token).chain(asked.map(|asked| ("intercom-version", asked))).collect();
        let answer = with(&world, &headers).await;
        assert_eq!(answer.header("intercom-version"), Some(answered), "the version is echoed");
        let build = answer.header("x-intercom-version").unwrap();
        assert!(build.len() == 40 && build.bytes().all(|byte| byte.is_ascii_hexdigit()), "{build}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_carry_rate_headers_and_an_id() {
    let world = world(&[]);
    let first = get(&world, "/counts").await;
    let second = get(&world, "/nowhere").await;
    assert_eq!(second.error(), (404, "not_found"));
    assert_eq!(
        (first.header("x-ratelimit-remaining"), second.header("x-ratelimit-remaining")),
        (Some("1667"), Some("1666"))
    );
    let [reset, date] = [first.header("x-ratelimit-reset").unwrap().parse::<i64>().unwrap(), 1_480_550_400];
    assert_eq!(reset, date + 12, "two seconds after the end of the window");
    assert_eq!(second.body["request_id"].as_str(), second.header("x-request-id"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test(start_paused = true)]
async fn token_can_be_revoked() {
    let world = world(&["token-revoked-after=2"]);
    let statuses = [get(&world, "/me").await, get(&world, "/me").await, get(&world, "/me").await].map(|a| a.status);
    assert_eq!(statuses, [200, 200, 401]);
    assert_eq!(world.state().requests["GET /me"], 3);
}
