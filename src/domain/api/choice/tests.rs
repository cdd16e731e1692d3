//! The choice of an API, as a table: answers of Intercom by version, and the choice.

use super::*;
use crate::domain::run::RunId;

fn run(time: &str) -> RunId {
    RunId::parse(&format!("p.{time}")).unwrap()
}

fn version(text: &str) -> ApiVersion {
    ApiVersion::parse(text).unwrap()
}

/// Returns an answer in short: a version that served it, `-` for none, or a status.
fn answer(short: &str) -> ApiAnswer {
    let denied = |kind| ApiAnswer::Denied { kind, said: short.to_owned(), advice: "do this." };
    match short {
        "-" => ApiAnswer::Served(ServedBy::Unnamed),
        "400" | "404" => ApiAnswer::NotServed { said: short.to_owned() },
        "401" => denied(Denial::Token),
        "403" => denied(Denial::Permission),
        "302" | "402" => denied(Denial::Other),
        "429" | "503" => ApiAnswer::Later { said: short.to_owned() },
        "3.0" => ApiAnswer::Served(ServedBy::Unknown(short.to_owned())),
        short => ApiAnswer::Served(ServedBy::Version(version(short))),
    }
}

/// Answers the questions of a choice as in `facts`, until it is made. Returns it in short, and the
/// asked questions. `facts` are pairs like `2.17=400`, `contacts=…` for
/// `GET /contacts`, and `users=…` for `GET /users`.
fn decided(last: Option<&str>, facts: &str) -> (String, Vec<String>) {
    let facts: Vec<(&str, &str)> = facts.split_whitespace().map(|fact| fact.split_once('=').unwrap()).collect();
    let last = last.map(|text| LastApi { run: run("20161124T100500Z"), version: version(text), unwritable: None });
    let (mut answers, mut asked) = (Vec::new(), Vec::new());
    loop {
        let said = match decide_api(ApiSetting::Auto, last.as_ref(), &answers) {
            ApiDecision::Ask(question) => {
                let name = match question {
                    ApiQuestion::Me(version) => version.as_str(),
                    ApiQuestion::Contacts(_) => "contacts",
                    ApiQuestion::Users(_) => "users",
                };
                assert!(!asked.contains(&name.to_owned()), "{name} is asked twice");
                asked.push(name.to_owned());
                let fact = facts.iter().find(|(of, _)| *of == name);
                answers.push((question, answer(fact.unwrap_or_else(|| panic!("no fact for {name}")).1)));
                continue;
            }
            ApiDecision::Choose(ApiChoice { version, reason }) => format!("{version}: {reason}"),
            ApiDecision::Refuse(refusal) => format!("refused: {refusal}"),
            ApiDecision::Wait { said } => format!("waits: {said}"),
        };
        return (said, asked);
    }
}

#[test]
fn answers_decide_the_api() {
    const KEPT: &str = "the API of this plan's last run p.20161124T100500Z, which Intercom still serves";
    for (last, facts, says, asked) in [
        // No run before: the newest version, or the one that served it.
        (None, "2.17=2.17", "2.17: Intercom served a request for the newest API with version 2.17", "2.17"),
        (None, "2.17=2.3", "2.3: Intercom served", "2.17"),
        (
            None,
            "2.17=400 1.4=1.4 users=-",
            "1.4: Intercom does not serve API 2.17 (400), and serves API 1.x",
            "2.17 1.4 users",
        ),
        (None, "2.17=404 1.4=1.4 users=-", "1.4: Intercom does not serve API 2.17 (404)", "2.17 1.4 users"),
        (
            None,
            "2.17=1.0 1.4=1.4 users=-",
            "1.4: Intercom does not serve API 2.17 (served as version 1.0)",
            "2.17 1.4 users",
        ),
        (None, "2.17=1.0 1.4=1.0 users=-", "1.0: Intercom does not serve", "2.17 1.4 users"),
        (None, "2.17=400 1.4=- users=-", "1.4: Intercom does not serve", "2.17 1.4 users"),
        // The answer names no version: the form of a list tells API 2.x from 1.x.
        (None, "2.17=- contacts=-", "2.17: Intercom's answer named no version", "2.17 contacts"),
        (None, "2.17=- contacts=2.17", "2.17: Intercom's answer named no version", "2.17 contacts"),
        (
            None,
            "2.17=- contacts=404 1.4=- users=-",
            "1.4: Intercom does not serve API 2.17 (404)",
            "2.17 contacts 1.4 users",
        ),
        (None, "2.17=- contacts=403", "refused: 403. do this.", "2.17 contacts"),
        (None, "2.17=- contacts=503", "waits: 503", "2.17 contacts"),
        // Refusals say what to do.
        (None, "2.17=403", "refused: the access token may not read its own app", "2.17"),
        (None, "2.17=400 1.4=403", "refused: the access token may not read its own app", "2.17 1.4"),
        (None, "2.17=401", "refused: 401. do this.", "2.17"),
        (None, "2.17=302", "refused: 302. do this.", "2.17"),
        (None, "2.17=404 1.4=404", "refused: neither API 2.17 nor API 1.4 is served (404; 404)", "2.17 1.4"),
        (None, "2.17=400 1.4=2.3", "refused: neither API 2.17 nor API 1.4", "2.17 1.4"),
        (None, "2.17=3.0", "refused: Intercom served a request for API 2.17 as version 3.0", "2.17"),
        (None, "2.17=Preview", "refused: Intercom served a request for API 2.17 as version Preview", "2.17"),
        // No answer: again later.
        (None, "2.17=429", "waits: 429", "2.17"),
        (None, "2.17=400 1.4=503", "waits: 503", "2.17 1.4"),
        // The last run's API is kept as long as it is served, or cannot be asked for.
        (Some("1.2"), "1.2=1.2 users=-", KEPT, "1.2 users"),
        (Some("1.4"), "1.4=- users=-", KEPT, "1.4 users"),
        (Some("2.3"), "2.3=2.3", KEPT, "2.3"),
        (Some("2.15"), "2.15=2.3", "2.3: the API of this plan's last run", "2.15"),
        (Some("1.4"), "1.4=403", "1.4: the API of this plan's last run", "1.4"),
        (Some("2.17"), "2.17=401", "2.17: the API of this plan's last run", "2.17"),
        (Some("2.17"), "2.17=302", "refused: 302. do this.", "2.17"),
        (Some("1.4"), "1.4=429", "waits: 429", "1.4"),
        // It is not served any more.
        (
            Some("1.4"),
            "1.4=400 2.17=2.17",
            "2.17: API 1.4 of this plan's last run p.20161124T100500Z is not",
            "1.4 2.17",
        ),
        (Some("1.4"), "1.4=2.3 2.17=2.17", "2.17: API 1.4 of this plan's last run", "1.4 2.17"),
        (Some("1.4"), "1.4=404 2.17=403", "refused: the access token may not", "1.4 2.17"),
        (Some("1.4"), "1.4=404 2.17=404", "refused: neither API 2.17 nor API 1.4", "1.4 2.17"),
        (Some("2.17"), "2.17=400 1.4=1.4 users=-", "1.4: API 2.17 of this plan's last run", "2.17 1.4 users"),
        (Some("2.3"), "2.3=404 2.17=400 1.4=1.4 users=-", "1.4: API 2.3 of this plan's last run", "2.3 2.17 1.4 users"),
        (Some("2.3"), "2.3=Preview 2.17=2.17", "2.17: API 2.3 of this plan's last run", "2.3 2.17"),
        // The users of 1.x are gone, and `GET /me` is still served.
        (Some("1.4"), "1.4=1.4 users=404 2.17=2.17", "is not served any more (its users: 404); ", "1.4 users 2.17"),
        (Some("1.4"), "1.4=- users=400 2.17=2.17", "is not served any more (its users: 400); ", "1.4 users 2.17"),
        (Some("1.4"), "1.4=1.4 users=403", "1.4: the API of this plan's last run", "1.4 users"),
        (Some("1.4"), "1.4=1.4 users=302", "refused: 302. do this.", "1.4 users"),
        (Some("1.4"), "1.4=1.4 users=503", "waits: 503", "1.4 users"),
        (None, "2.17=400 1.4=1.4 users=404", "is served (400; its users: 404)", "2.17 1.4 users"),
        (None, "2.17=400 1.4=1.4 users=403", "1.4: Intercom does not serve", "2.17 1.4 users"),
        (None, "2.17=400 1.4=1.4 users=429", "waits: 429", "2.17 1.4 users"),
        // Preview is not kept: a run asks for it by name.
        (Some("preview"), "2.17=2.17", "2.17: Intercom served", "2.17"),
        (Some("2.3"), "2.3=3.0 2.17=2.17", "2.17: API 2.3 of this plan's last run", "2.3 2.17"),
    ] {
        let (said, questions) = decided(last, facts);
        assert!(said.contains(says), "{last:?} {facts}: {said}");
        assert_eq!(questions.join(" "), asked, "{last:?} {facts}");
    }
}

/// The bulk jobs of 1.x are gone, and its users are still served.
#[test]
fn api_of_a_run_that_could_not_write_is_not_kept() {
    let (first, failed) = (run("20161124T100500Z"), run("20161125T100500Z"));
    let last = |version| LastApi { run: first.clone(), version, unwritable: Some(failed.clone()) };
    let answers = [(ApiQuestion::Me(NEWER), answer("2.17"))];
    let ApiDecision::Choose(choice) = decide_api(ApiSetting::Auto, Some(&last(OLDER)), &answers) else {
        panic!("not chosen")
    };
    assert_eq!(choice.version, NEWER);
    assert!(choice.reason.contains("does not serve the bulk jobs of run p.20161125T100500Z; "), "{}", choice.reason);
    let question = ApiQuestion::Me(version("2.3"));
    assert_eq!(decide_api(ApiSetting::Auto, Some(&last(version("2.3"))), &answers), ApiDecision::Ask(question));
}

#[test]
fn version_in_the_setting_is_used_without_a_question() {
    for version in ApiVersion::all() {
        let choice = ApiChoice { version, reason: "as set".to_owned() };
        let last = LastApi { run: run("20161124T100500Z"), version: NEWER, unwritable: None };
        assert_eq!(decide_api(ApiSetting::Fixed(version), Some(&last), &[]), ApiDecision::Choose(choice));
    }
}

#[test]
fn refusals_name_the_setting() {
    for refusal in [
        ApiRefusal::Permission { said: "403".to_owned() },
        ApiRefusal::NotChosen { asked: NEWER, served: "3.0".to_owned() },
        ApiRefusal::NoneServed { newer: "404".to_owned(), older: "404".to_owned() },
    ] {
        assert!(refusal.to_string().contains("set INTERCOM_API to "), "{refusal}");
    }
}
