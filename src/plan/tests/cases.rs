//! Test cases of plans.

use strum::VariantNames;

use super::*;
use crate::plan::compile::PLAN_KEYS;
use crate::plan::read_cases::{CASE_KEYS, EXPECT_KEYS};

/// A plan of two targets, followed by its cases.
fn with_cases(cases: &str) -> Result<Plan, PlanError> {
    let plan = "name = \"p\"\nwhere = \"user.role == 'user'\"\ntables.price = { starter = 49 }\n\
                [set.custom_attributes.price]\ntype = \"int\"\nvalue = \"price[user.custom_attributes.plan]\"\n\
                [set.custom_attributes.days]\ntype = \"int\"\nvalue = \"user.signed_up_at | days_until(today)\"\n\
                otherwise = \"clear\"\n[set.name]\ntype = \"string\"\nvalue = \"user.tags.tags[0].name\"\n";
    Plan::from_toml("p.toml", &format!("{plan}{cases}"))
}

/// Returns the result of a case with this user and this expected result.
#[track_caller]
fn result(user: &str, expect: &str) -> CaseResult {
    let case =
        format!("[[test]]\ntoday = \"2016-11-24\"\nuser = {{ role = \"user\", {user} }}\nexpect = {{ {expect} }}\n");
    let plan = with_cases(&case).unwrap_or_else(|error| panic!("{error}"));
    let mut results = plan.check_cases();
    assert_eq!(results.len(), 1);
    results.pop().unwrap()
}

const STARTER: &str = "custom_attributes = { plan = \"starter\" }";

#[test]
fn a_case_passes_if_exactly_its_values_are_set() {
    for (user, expect, passed) in [
        (STARTER, "custom_attributes = { price = 49 }", true),
        (STARTER, "custom_attributes = { price = 49.0 }", true),
        (STARTER, "custom_attributes = { price = \"49\" }", false),
        (STARTER, "custom_attributes = { price = 50 }", false),
        (STARTER, "custom_attributes = { price = 49, days = 1 }", false),
        (STARTER, "custom_attributes = { price = 49 }, name = \"x\"", false),
        (STARTER, "nothing = true", false),
        ("tags = { data = [{ name = \"x\" }] }", "name = \"x\"", true),
        ("signed_up_at = 1479340800", "custom_attributes = { days = 7 }", true),
        ("custom_attributes = { days = 3 }", "custom_attributes = { days = { clear = true } }", true),
        ("custom_attributes = { days = 3 }", "nothing = true", false),
        ("custom_attributes = { plan = \"starter\", price = 49 }", "nothing = true", true),
    ] {
        assert_eq!(result(user, expect).passed, passed, "{user}: {expect}");
    }
}

#[test]
fn a_case_can_expect_a_skip_or_an_error() {
    let lead = "[[test]]\nuser = { role = \"lead\" }\nexpect = { skip = \"lead\" }\ntoday = \"2016-11-24\"\n";
    assert!(with_cases(lead).unwrap().check_cases()[0].passed);
    for (user, expect, passed) in [
        ("email = \"a\"", "skip = \"value_undefined\"", true),
        ("email = \"a\"", "skip = \"where_is_false\"", false),
        (STARTER, "skip = \"value_undefined\"", false),
        ("signed_up_at = \"x\"", "error = \"filter_failed\"", true),
        ("signed_up_at = \"x\"", "error = \"out_of_fuel\"", false),
        ("signed_up_at = \"x\"", "nothing = true", false),
        (STARTER, "error = \"wrong_type\"", false),
    ] {
        assert_eq!(result(user, expect).passed, passed, "{user}: {expect}");
    }
}

#[test]
fn a_failed_case_names_both_results() {
    let failed = result(STARTER, "custom_attributes = { days = { clear = true } }");
    assert_eq!(
        (failed.expected.as_str(), failed.got.as_str(), failed.number, failed.line),
        ("custom_attributes.days cleared", "custom_attributes.price = 49, skip value_undefined", 1, Some(14))
    );
    let failed = result("signed_up_at = \"x\"", "nothing = true");
    assert!(failed.got.contains("error filter_failed of custom_attributes.days ("), "{}", failed.got);
    assert_eq!(failed.expected, "nothing to change");
}

#[test]
fn a_case_with_a_mistake_is_refused_with_its_line() {
    let case =
        |user: &str, expect: &str| format!("[[test]]\ntoday = \"2016-11-24\"\nuser = {user}\nexpect = {expect}\n");
    for (cases, says) in [
        (
            case("{ emial = \"a\" }", "{ nothing = true }"),
            "p.toml:16: test.user.emial: a user has no `emial`; the nearest is `email`",
        ),
        (case("{ tags = { tags = [{ nam = 1 }] } }", "{ nothing = true }"), "a user has no `tags.tags[].nam`"),
        (case("{ email = { a = 1 } }", "{ nothing = true }"), "a user has no `email.a`"),
        (case("{ custom_attributes = { a = [1] } }", "{ nothing = true }"), "this is a list: write a text"),
        (case("{ id = 5 }", "{ nothing = true }"), "an id in quotes"),
        (case("{}", "{}"), "`expect` is missing: write expect.nothing = true"),
        (
            case("{}", "{ custom_attributes = { prise = 1 } }"),
            "no target `custom_attributes.prise`; the nearest is `custom_attributes.price`",
        ),
        (case("{}", "{ phone = \"1\" }"), "there is no target `phone`"),
        (case("{}", "{ custom_attributes = { price = { clear = false } } }"), "or { clear = true }"),
        (case("{}", "{ skip = \"where\" }"), "there is no reason to skip `where`"),
        (case("{}", "{ error = \"wrong_typ\" }"), "the nearest is `wrong_type`"),
        (case("{}", "{ nothing = false }"), "write nothing = true"),
        (case("{}", "{ email = \"a\" }"), "there is no key `email` here"),
        (case("5", "{ nothing = true }"), "this is a number: write a user"),
        ("[[test]]\nuser = {}\nexpect = { nothing = true }\n".to_owned(), "p.toml:14: test: `today` is missing"),
        (
            "[[test]]\ntoday = \"24.11.2016\"\nuser = {}\nexpect = { nothing = true }\n".to_owned(),
            "p.toml:15: test.today: this is a text: write a day",
        ),
        ("[[test]]\ntoday = \"2016-11-24\"\nexpect = { nothing = true }\n".to_owned(), "`user` is missing"),
        ("[[test]]\ntoday = \"2016-11-24\"\nuser = {}\n".to_owned(), "`expect` is missing"),
        ("[[test]]\nusr = {}\n".to_owned(), "there is no key `usr` here; the nearest is `user`"),
        ("[test]\nuser = {}\n".to_owned(), "this is a table: write a list of test cases, as [[test]]"),
    ] {
        let error = with_cases(&cases).unwrap_err().to_string();
        assert!(error.contains(says), "{cases}: {error}");
    }
}

/// A run of a plan file with cases is a run of the same plan without them.
#[test]
fn the_stored_copy_has_no_cases() {
    let case = "[[test]]\ntoday = \"2016-11-24\"\nuser = {}\nexpect = { skip = \"where_is_false\" }\n";
    let plan = with_cases(case).unwrap();
    assert_eq!(plan.to_json(), with_cases("").unwrap().to_json());
    let stored = Plan::of_run(&plan.to_json()).unwrap();
    assert_eq!((plan.check_cases().len(), stored.check_cases().len()), (1, 0));
}

#[test]
fn a_plan_in_json_can_have_cases_with_null() {
    let json = json!({"name": "p", "set": {"custom_attributes": {"x": {"type": "int", "value": "none", "otherwise": "clear"}}},
        "test": [{"user": {"custom_attributes": {"x": 5}}, "expect": {"custom_attributes": {"x": null}}},
                 {"user": {"custom_attributes": {"x": null}}, "expect": {"nothing": true}}]});
    let plan = Plan::from_json_text("p.json", &json.to_string()).unwrap();
    assert!(plan.check_cases().iter().all(|result| result.passed), "{:?}", plan.check_cases());
    let event = Plan::from_json(&json).unwrap();
    assert_eq!((plan.check_cases().len(), event.check_cases().len()), (2, 0), "an event's cases are left out");
    assert_eq!(plan.to_json(), event.to_json());
}

#[test]
fn the_shipped_plans_pass_their_cases() {
    for text in [
        include_str!("../../../plans/has-avatar.toml"),
        include_str!("../../../plans/plan-price.toml"),
        include_str!("../../../plans/account-by-email.toml"),
        include_str!("../../../plans/company-name.toml"),
    ] {
        let results = Plan::from_toml("plan.toml", text).unwrap().check_cases();
        assert!(!results.is_empty());
        assert!(results.iter().all(|result| result.passed), "{results:?}");
    }
}

#[test]
fn keys_of_plans_and_cases_are_described() {
    let reference = include_str!("../../../docs/plans.md");
    for key in PLAN_KEYS.into_iter().chain(CASE_KEYS).chain(EXPECT_KEYS) {
        assert!(reference.contains(key), "{key}");
    }
    let (_, section) = reference.split_once("\n## Test cases\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let words = SkipReason::VARIANTS.iter().chain(FailureCode::VARIANTS).chain(Contacts::ROLES);
    for word in words {
        assert!(section.contains(&format!("`{word}`")), "{word}");
    }
    let (_, example) = section.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let (_, plan) = reference.split_once("```toml\n").unwrap();
    let (plan, _) = plan.split_once("```").unwrap();
    let results =
        Plan::from_toml("plan.toml", &format!("{plan}\n{example}")).unwrap_or_else(|e| panic!("{e}")).check_cases();
    assert_eq!(results.len(), 3);
    assert!(results.iter().all(|result| result.passed), "{results:?}");
}
