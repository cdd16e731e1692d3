//! The explanation of one user's evaluation.

use super::*;

const PLAN: &str = "name = \"p\"\nwhere = \"user.role == 'user'\"\ntables.price = { starter = 49 }\n\
    [set.custom_attributes.price]\ntype = \"int\"\nvalue = \"price[user.custom_attributes.plan]\"\n\
    [set.custom_attributes.tags]\ntype = \"string\"\nvalue = \"user.tags.tags | map(attribute='name') | join(',')\"\n\
    [set.custom_attributes.days]\ntype = \"int\"\nvalue = \"user.signed_up_at | days_until(today)\"\n\
    [set.custom_attributes.email]\ntype = \"int\"\nvalue = \"user.email\"\n";

fn explain(body: Json) -> Explanation {
    Plan::from_toml("p.toml", PLAN).unwrap().on_day_of(TODAY_S).explain(&user(body))
}

#[test]
fn each_read_value_and_each_rule_is_shown() {
    let body = json!({"role": "user", "email": "ann@acme.com", "signed_up_at": null, "tags": {"tags": [{"name": "a"}, {"id": "7"}]},
        "custom_attributes": {"plan": "starter", "price": 9, "tags": "a"}});
    let explained = explain(body.clone());
    let value = |path: &str| {
        let found = explained.reads.iter().find(|(shown, _)| shown == path);
        found.unwrap_or_else(|| panic!("{path}: {:?}", explained.reads)).1.clone()
    };
    assert_eq!(value("user.custom_attributes.plan"), Some(json!("starter")));
    assert_eq!(value("user.signed_up_at"), Some(json!(null)));
    assert_eq!(value("user.tags.tags[].name"), Some(json!(["a", null])));
    assert_eq!(value("today"), Some(json!(1_479_945_600)));
    assert_eq!(explained.condition, Some(RuleOutcome::Holds));
    let rule = |target: &str| {
        let target = format!("custom_attributes.{target}");
        explained.rules.iter().find(|(shown, _)| *shown == target).unwrap().1.clone()
    };
    assert_eq!(rule("price"), RuleOutcome::Set { before: Some(json!(9)), after: json!(49) });
    assert_eq!(rule("tags"), RuleOutcome::Same);
    assert_eq!(rule("days"), RuleOutcome::Skipped(SkipReason::ValueUndefined));
    assert!(matches!(rule("email"), RuleOutcome::Failed { code: FailureCode::WrongType, .. }));
    let plan = Plan::from_toml("p.toml", PLAN).unwrap().on_day_of(TODAY_S);
    assert_eq!(explained.evaluation, plan.evaluate(&user(body)), "it is the evaluation of a run");
}

#[test]
fn no_rule_is_tried_if_the_condition_is_not_true() {
    let explained = explain(json!({"role": "lead"}));
    assert_eq!(explained.condition, Some(RuleOutcome::Skipped(SkipReason::WhereIsFalse)));
    assert_eq!((explained.rules, explained.evaluation.patch), (Vec::new(), None));
    let missing = explained.reads.iter().find(|(path, _)| path == "user.custom_attributes.plan").unwrap();
    assert_eq!(missing.1, None, "the user does not have it");
    let failed = Plan::from_toml("p.toml", &PLAN.replace("user.role == 'user'", "user.role < 5")).unwrap();
    let explained = failed.on_day_of(TODAY_S).explain(&user(json!({"role": "user"})));
    assert!(matches!(explained.condition, Some(RuleOutcome::Failed { .. })) && explained.rules.is_empty());
}
