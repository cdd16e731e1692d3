//! The plans in `plans/`, with users as Intercom sends them.

use super::*;
use crate::domain::patch::Target;

fn shipped(name: &str) -> Plan {
    let text = match name {
        "has-avatar" => include_str!("../../../plans/has-avatar.toml"),
        "plan-price" => include_str!("../../../plans/plan-price.toml"),
        "account-by-email" => include_str!("../../../plans/account-by-email.toml"),
        _ => include_str!("../../../plans/company-name.toml"),
    };
    let plan = Plan::from_toml(name, text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(plan.name(), name);
    let stored = Plan::from_json(&plan.to_json()).unwrap();
    assert_eq!(stored.projection(), plan.projection());
    assert_eq!(stored.to_json(), plan.to_json());
    plan
}

#[test]
fn an_identicon_is_not_an_avatar_and_false_is_written() {
    let plan = shipped("has-avatar");
    let identicon = "https://secure.gravatar.com/avatar/0c3c17fd49f45c43f482730782b36d36?s=24&d=identicon";
    for (avatar, has) in [
        (json!({"type": "avatar", "image_url": "https://static.intercomassets.com/avatars/1/ann.png"}), true),
        (json!({"type": "avatar", "image_url": identicon}), false),
        (json!({"type": "avatar", "image_url": "https://SECURE.GRAVATAR.COM/avatar/x?d=identicon"}), false),
        (json!({"type": "avatar", "image_url": "https://i0.wp.com/secure.gravatar.com/avatar/x"}), false),
        (json!({"type": "avatar", "image_url": ""}), false),
        (json!({"type": "avatar", "image_url": "  "}), false),
        (json!({}), false),
        (json!({"type": "avatar", "image_url": null}), false),
        (json!({"type": "avatar"}), false),
        (json!(null), false),
    ] {
        assert_eq!(new_value(&plan, json!({"avatar": avatar})), Some(json!(has)), "{avatar}");
    }
    assert_eq!(new_value(&plan, json!({})), Some(json!(false)));
    let settled = plan.evaluate(&user(json!({"avatar": null, "custom_attributes": {"has avatar": false}})));
    assert_eq!(settled, Evaluation { patch: None, notes: vec![Note::Same] });
    assert_eq!(plan.targets(), ["custom_attributes.\"has avatar\""]);
}

#[test]
fn a_price_comes_from_its_table() {
    let plan = shipped("plan-price");
    let on = |name: Json| json!({"custom_attributes": {"plan": name}});
    assert_eq!(new_value(&plan, on(json!("Pro Plus"))), Some(json!(99)));
    assert_eq!(new_value(&plan, on(json!("free"))), Some(json!(0)), "a price of nothing is a price");
    assert_eq!(plan.evaluate(&user(on(json!(null)))).notes, [Note::Skipped(SkipReason::WhereIsFalse)]);
    let missed = plan.evaluate(&user(on(json!("pro plus")))).notes;
    let miss = Note::MissedKey { table: "price".into(), key: Some("pro plus".into()) };
    assert_eq!(missed, [Note::Skipped(SkipReason::ValueUndefined), miss], "keys are compared by case");
    assert_eq!(plan.unseen(0), ["user.custom_attributes.plan"]);
}

#[test]
fn an_account_is_found_by_domain() {
    let plan = shipped("account-by-email");
    for (email, account) in
        [("ann@ACME.com", "Acme Inc"), ("bob@acme.example.com", "Acme Inc"), ("zoë@BÜCHER.example", "Bücher GmbH")]
    {
        assert_eq!(new_value(&plan, json!({"email": email})), Some(json!(account)), "{email}");
    }
    assert_eq!(plan.evaluate(&user(json!({"email": null}))).notes, [Note::Skipped(SkipReason::ValueUndefined)]);
}

#[test]
fn a_company_is_renamed() {
    let plan = shipped("company-name");
    let body = json!({"email": "ann@acme.com", "companies": {"type": "company.list", "companies": [
        {"type": "company", "company_id": "366", "id": "574854e3ecd0c547ae0000e4", "name": "acme"}]}});
    let patch = plan.evaluate(&user(body)).patch.unwrap();
    assert_eq!(patch.changes[0].target, Target::CompanyName("366".into()));
    assert_eq!((&patch.changes[0].new, &patch.changes[0].replaced), (&json!("Acme Inc"), &Some(json!("acme"))));
    assert_eq!(plan.evaluate(&user(json!({"email": "ann@acme.com"}))).notes, [Note::Skipped(SkipReason::NoCompany)]);
}
