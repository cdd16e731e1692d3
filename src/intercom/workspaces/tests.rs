use super::*;
use serde_json::json;

fn token(text: &str) -> Token {
    Token::new(text.to_owned()).unwrap()
}

fn keep(asked: &Asked, token_text: &str, app_id: &str) {
    asked.keep(token(token_text), Whose::Workspace(app_id.to_owned()), 0);
}

fn refused(status: u16) -> Error {
    let (code, message) = ("".into(), "".into());
    let route = route::WORKSPACE;
    Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
}

#[test]
fn a_workspace_has_an_id_and_perhaps_a_name() {
    let me = |app: Value| read(json!({"type": "admin", "email": "ann@example.com", "app": app}).to_string().as_bytes());
    let name = Some("Acme".to_owned());
    let acme = WorkspaceInfo { app_id: "yf209ops".into(), name };
    assert_eq!(me(json!({"id_code": "yf209ops", "name": "Acme"})), Ok(acme));
    assert_eq!(me(json!({"id_code": "yf209ops", "name": null})).unwrap().name, None);
    for app in [json!(null), json!({}), json!({"id_code": "../etc"}), json!({"id_code": "x".repeat(65)})] {
        assert!(me(app).is_err());
    }
}

#[test]
fn only_final_answers_are_refusals() {
    for (status, is_final) in [(401, true), (403, true), (404, true), (429, false), (500, false), (503, false)] {
        assert_eq!(is_refusal(&refused(status)), is_final, "{status}");
    }
}

#[test]
fn a_token_is_used_once_its_workspace_is_known() {
    let asked = Asked::default();
    assert!(asked.allows(route::PAGE, None, &token("a")).is_ok(), "a client that never asked");
    keep(&asked, "a", "one");
    keep(&asked, "b", "one");
    keep(&asked, "c", "two");
    asked.keep(token("d"), Whose::Refused, 0);
    for (before, now, allowed) in [
        (None, "a", true),
        (None, "x", false),
        (Some("a"), "x", false),
        (Some("a"), "b", true),
        (Some("a"), "c", false),
        (Some("a"), "d", true),
        (Some("d"), "c", false),
    ] {
        let before = before.map(token);
        assert_eq!(asked.allows(route::SUBMIT, before.as_ref(), &token(now)).is_ok(), allowed, "{before:?} {now}");
        for asks in [route::WORKSPACE, route::ANY_USER] {
            assert!(asked.allows(asks, before.as_ref(), &token(now)).is_ok());
        }
    }
}

#[test]
fn refusals_hold_for_a_minute_and_workspaces_for_good() {
    let (asked, a) = (Asked::default(), token("a"));
    assert_eq!(asked.known(&a, 0), Known::Nothing);
    asked.keep_denied(a.clone(), 1_000);
    assert_eq!((asked.known(&a, 60_999), asked.known(&a, 61_000)), (Known::NotByItself, Known::Nothing));
    assert!(asked.allows(route::PAGE, None, &a).is_ok(), "no workspace is known");
    keep(&asked, "b", "two");
    assert!(asked.allows(route::PAGE, None, &a).is_err());
    asked.keep(a.clone(), Whose::Refused, 2_000);
    assert_eq!((asked.known(&a, 61_999), asked.known(&a, 62_000)), (Known::Answer(Whose::Refused), Known::Nothing));
    asked.keep_denied(a.clone(), 70_000);
    assert_eq!((asked.known(&a, 70_000), asked.of(&a)), (Known::NotByItself, Some(Whose::Refused)));
    keep(&asked, "a", "one");
    let one = Whose::Workspace("one".to_owned());
    assert_eq!((asked.known(&a, i64::MAX), asked.of(&a)), (Known::Answer(one.clone()), Some(one.clone())));
    asked.keep_denied(a.clone(), 80_000);
    assert_eq!(asked.known(&a, 80_000), Known::Answer(one), "it was known");
}

#[test]
fn old_tokens_are_forgotten() {
    let asked = Asked::default();
    for text in ["a", "b", "c", "d", "e"] {
        keep(&asked, text, "one");
    }
    assert_eq!((asked.of(&token("a")), asked.asked().len()), (None, REMEMBERED_MAX));
}
