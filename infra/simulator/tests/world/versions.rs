//! The version of a request selects its resources.

use axum::body::Body;
use intercom_simulator::{Choice, ChoiceError, ContactOptions, Options, World};
use serde_json::json;

use crate::call::{Answer, options, request, send};

/// Creates a world with these options of API 2.x.
pub(crate) fn chosen(choices: &[&str], faults: &[&str]) -> World {
    let options = choices.iter().fold(options(faults), |options, text| options.with(text.parse().unwrap()));
    World::new(options)
}

/// Sends a request without a body, with a version.
pub(crate) async fn call(world: &World, method: &str, path: &str, version: Option<&str>) -> Answer {
    let mut request = request(method, path);
    if let Some(version) = version {
        request = request.header("intercom-version", version);
    }
    send(world, request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn status(world: &World, path: &str, version: Option<&str>) -> (u16, String, String) {
    let answer = call(world, "GET", path, version).await;
    let echo = answer.header("intercom-version").unwrap().to_owned();
    (answer.status, answer.error().1.to_owned(), echo)
}

#[tokio::test(start_paused = true)]
async fn each_family_has_its_own_resources() {
    let world = chosen(&[], &[]);
    for version in ["1.0", "1.4", "2.0", "2.3", "2.10", "2.17", "Preview"] {
        let (new, own) = (!version.starts_with('1'), (200, String::new(), version.to_owned()));
        let other = (400, "intercom_version_invalid".to_owned(), version.to_owned());
        for (path, of_new) in [("/users?per_page=1", false), ("/contacts", true), ("/data_attributes", true)] {
            let expected = if of_new == new { &own } else { &other };
            assert_eq!(&status(&world, path, Some(version)).await, expected, "{version} {path}");
        }
        assert_eq!(status(&world, "/me", Some(version)).await, own);
    }
    for unknown in ["1.5", "2.18", "3.0", "latest", ""] {
        assert_eq!(status(&world, "/me", Some(unknown)).await.1, "intercom_version_invalid", "{unknown}");
    }
    assert_eq!(status(&world, "/contacts", Some("Unstable")).await.2, "Preview");
    assert_eq!(status(&world, "/contacts", None).await, (400, "intercom_version_invalid".into(), "1.4".into()));
    assert_eq!(status(&world, "/nowhere", Some("2.17")).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn app_has_a_version_of_its_own() {
    let world = chosen(&["app-version=2.3"], &[]);
    assert_eq!(status(&world, "/contacts", None).await, (200, String::new(), "2.3".into()));
    assert_eq!(status(&world, "/users", None).await.0, 400);
    assert_eq!(status(&world, "/users?per_page=1", Some("1.4")).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn workspace_can_serve_one_family() {
    for (families, version, other) in [("1.x", "1.4", "2.17"), ("2.x", "2.17", "1.4")] {
        let own = format!("app-version={version}");
        let families = format!("families={families}");
        let refused = chosen(&[&families, &own], &[]);
        assert_eq!(status(&refused, "/me", Some(version)).await.0, 200);
        assert_eq!(status(&refused, "/me", Some(other)).await.1, "intercom_version_invalid");
        let missing = chosen(&[&families, &own, "unserved-version=missing"], &[]);
        assert_eq!(status(&missing, "/me", Some(other)).await.0, 404);
        let served = chosen(&[&families, &own, "unserved-version=other"], &[]);
        assert_eq!(status(&served, "/me", Some(other)).await, (200, String::new(), version.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn workspace_may_be_hosted_elsewhere() {
    for (hosted, expected) in
        [("own", 200), ("unauthorized", 401), ("forbidden", 403), ("missing", 404), ("redirected", 307)]
    {
        let world = chosen(&[&format!("hosted={hosted}")], &[]);
        for (path, version) in [("/me", "1.4"), ("/contacts", "2.17")] {
            assert_eq!(status(&world, path, Some(version)).await.0, expected, "{hosted} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_may_not_name_their_version() {
    let world = chosen(&["version-header=missing"], &[]);
    let answer = call(&world, "GET", "/me", Some("2.17")).await;
    assert_eq!((answer.status, answer.headers.get("intercom-version")), (200, None));
}

#[tokio::test(start_paused = true)]
async fn companies_are_scrolled_in_both_families() {
    let world = chosen(&[], &[]);
    let old = call(&world, "GET", "/companies/scroll", Some("1.4")).await.body;
    let path = format!("/companies/scroll?scroll_param={}", old["scroll_param"].as_str().unwrap());
    let last = call(&world, "GET", &path, Some("2.17")).await.body;
    assert_eq!(
        (&last["type"], &last["data"], &last["scroll_param"]),
        (&"list".into(), &json!([]), &old["scroll_param"])
    );
    let new = call(&world, "GET", "/companies/scroll", Some("2.17")).await.body;
    assert!(old["companies"].is_array() && new["data"] == old["companies"] && new["total_count"].is_null());
}

#[tokio::test(start_paused = true)]
async fn me_names_the_workspace_in_both_families() {
    let world = chosen(&["region=EU"], &[]);
    let old = call(&world, "GET", "/me", Some("1.4")).await.body;
    let new = call(&world, "GET", "/me", Some("2.17")).await.body;
    assert_eq!(old["app"]["id_code"], new["app"]["id_code"]);
    assert_eq!((&new["app"]["region"], &new["app"]["timezone"]), (&"EU".into(), &"America/Los_Angeles".into()));
    assert_eq!(old["app"].get("region"), None);
}

#[tokio::test(start_paused = true)]
async fn invalid_token_has_the_code_of_its_family() {
    let world = World::new(Options { token: Some("tok".into()), ..options(&[]) });
    for (version, code) in [("1.4", "token_unauthorized"), ("2.17", "unauthorized")] {
        assert_eq!(call(&world, "GET", "/me", Some(version)).await.error(), (401, code));
    }
}

#[test]
fn every_option_of_the_help_is_taken() {
    let parse = |text: &str| text.parse::<Choice>();
    let mut count = 0;
    for line in ContactOptions::NAMES_HELP.lines().filter(|line| !line.starts_with(' ')) {
        let (name, rest) = line.split_once('=').unwrap();
        let values = rest.split(' ').next().unwrap().replace("NAME:TYPE", "plan:string:A|B");
        let values: Vec<&str> = if values.contains(':') { vec![&values] } else { values.split('|').collect() };
        for value in values {
            assert!(matches!(parse(&format!("{name}={value}")), Ok(Choice::Contacts { .. })), "{name}={value}");
        }
        count += 1;
    }
    assert_eq!(count, 28, "the help or this test lacks an option");
    let unknown = parse("index-lags=1").unwrap_err();
    assert!(matches!(unknown, ChoiceError::Unknown { .. }) && unknown.to_string().contains("\nindex-lag-s=0"));
    assert!(parse("attribute=plan:text").unwrap_err().to_string().contains("string, integer"));
}
