//! Targets, types and `otherwise`: patched and skipped values.

use super::*;
use crate::domain::patch::{Change, Target};

fn evaluate(text: &str, body: Json) -> Evaluation {
    Plan::from_toml("p.toml", text).unwrap_or_else(|e| panic!("{e}")).evaluate(&user(body))
}

fn attribute(otherwise: &str) -> String {
    format!("name = \"p\"\n[set.custom_attributes.x]\ntype = \"string\"\nvalue = \"user.name\"\n{otherwise}\n")
}

#[test]
fn otherwise_decides_without_a_value() {
    let with = |x: Json| json!({"name": null, "custom_attributes": {"x": x}});
    let set = |otherwise: &str, body: Json| {
        evaluate(&attribute(otherwise), body).patch.map(|patch| patch.changes[0].new.clone())
    };
    for keep in ["", "otherwise = \"keep\""] {
        let evaluation = evaluate(&attribute(keep), with(json!("old")));
        assert_eq!(evaluation, Evaluation { patch: None, notes: vec![Note::Skipped(SkipReason::ValueUndefined)] });
    }
    assert_eq!(set("otherwise = \"clear\"", with(json!("old"))), Some(Json::Null));
    assert_eq!(set("otherwise = \"clear\"", with(json!(null))), None);
    assert_eq!(set("otherwise = \"clear\"", json!({"custom_attributes": {}})), None);
    assert_eq!(set("otherwise = \"clear\"", json!({})), None);
    assert_eq!(set("otherwise = \"nobody\"", with(json!("old"))), Some(json!("nobody")));
    assert_eq!(set("otherwise = \"nobody\"", with(json!("nobody"))), None);
    assert_eq!(set("otherwise = { value = \"keep\" }", with(json!("old"))), Some(json!("keep")));
    let error = evaluate(&attribute("otherwise = \"error\""), with(json!("old")));
    assert!(
        matches!(&error.notes[..], [Note::Failed { target, code: FailureCode::ValueUndefined, .. }] if target == "custom_attributes.x")
    );
    assert_eq!(error.patch, None);
}

#[test]
fn only_a_difference_is_sent_with_what_it_replaces() {
    let text = "name = \"p\"\n[set.custom_attributes.\"plan price\"]\ntype = \"int\"\nvalue = \"49\"\n";
    for old in [json!(49), json!(49.0)] {
        let evaluation = evaluate(text, json!({"custom_attributes": {"plan price": old}}));
        assert_eq!(evaluation, Evaluation { patch: None, notes: vec![Note::Same] });
    }
    for (body, replaced) in [
        (json!({"custom_attributes": {"plan price": "49"}}), Some(json!("49"))),
        (json!({"custom_attributes": {"plan price": null}}), Some(Json::Null)),
        (json!({"custom_attributes": {}}), None),
        (json!({"custom_attributes": 5}), None),
    ] {
        let evaluation = evaluate(text, body);
        let target = Target::Attribute("plan price".into());
        assert_eq!(evaluation.patch.unwrap().changes, [Change { target, new: json!(49), replaced }]);
        assert_eq!(evaluation.notes, []);
    }
}

#[test]
fn standard_fields_are_set_by_their_own_names() {
    let text = "name = \"p\"\n[set.signed_up_at]\ntype = \"date\"\nvalue = \"user.custom_attributes.joined\"\n\
                [set.unsubscribed_from_emails]\ntype = \"bool\"\nvalue = \"user.has_hard_bounced\"\n";
    let body = json!({"signed_up_at": 5, "unsubscribed_from_emails": true, "has_hard_bounced": false, "custom_attributes": {"joined": 7.0}});
    let changes = evaluate(text, body).patch.unwrap().changes;
    assert_eq!(
        changes,
        [
            Change { target: Target::Field("signed_up_at".into()), new: json!(7), replaced: Some(json!(5)) },
            Change {
                target: Target::Field("unsubscribed_from_emails".into()),
                new: json!(false),
                replaced: Some(json!(true))
            },
        ]
    );
    let evaluation = evaluate(text, json!({"custom_attributes": {"joined": 1_475_569_818_000_i64}}));
    assert!(
        matches!(&evaluation.notes[..], [Note::Failed { target, code: FailureCode::NotUnixSeconds, .. }, _] if target == "signed_up_at")
    );
}

#[test]
fn a_company_is_renamed_only_if_one_is_selected() {
    let text = |id: &str| {
        format!("name = \"p\"\n[set.company.name]\ntype = \"string\"\nvalue = \"'Acme'\"\ncompany_id = \"{id}\"\n")
    };
    let all = text("user.companies.companies | map(attribute='company_id')");
    let of = |ids: &[Json]| json!({"companies": {"companies": ids.iter().map(|id| json!({"company_id": id, "name": "Old"})).collect::<Vec<_>>()}});
    let renamed =
        |id: &str| Change { target: Target::CompanyName(id.into()), new: json!("Acme"), replaced: Some(json!("Old")) };
    assert_eq!(evaluate(&all, of(&[json!("366")])).patch.unwrap().changes, [renamed("366")]);
    assert_eq!(evaluate(&all, of(&[json!(366), json!(null)])).patch.unwrap().changes, [renamed("366")]);
    for (text, body, reason) in [
        (&all, json!({}), SkipReason::NoCompany),
        (&all, json!({"companies": null}), SkipReason::NoCompany),
        (&all, of(&[]), SkipReason::NoCompany),
        (&all, of(&[json!(null)]), SkipReason::NoCompany),
        (&all, of(&[json!("1"), json!("2")]), SkipReason::SeveralCompanies),
        (&text("'9'"), of(&[json!("1")]), SkipReason::NotInCompany),
    ] {
        assert_eq!(
            evaluate(text, body.clone()),
            Evaluation { patch: None, notes: vec![Note::Skipped(reason)] },
            "{body}"
        );
    }
    let first = text("(user.companies.companies | first).company_id");
    assert_eq!(evaluate(&first, of(&[json!("1"), json!("2")])).patch.unwrap().changes, [renamed("1")]);
}

#[test]
fn where_decides_and_unsettled_targets_fail() {
    let once = "name = \"p\"\nwhere = \"user.custom_attributes.x is not present\"\n[set.custom_attributes.x]\ntype = \"int\"\nvalue = \"1\"\n";
    assert!(evaluate(once, json!({})).patch.is_some());
    let evaluation = evaluate(once, json!({"custom_attributes": {"x": 2}}));
    assert_eq!(evaluation, Evaluation { patch: None, notes: vec![Note::Skipped(SkipReason::WhereIsFalse)] });

    let counts = "name = \"p\"\n[set.custom_attributes.x]\ntype = \"int\"\nvalue = \"user.custom_attributes.x + 1\"\n";
    let evaluation = evaluate(counts, json!({"custom_attributes": {"x": 2}}));
    assert_eq!(evaluation.patch, None, "it would count again at each redelivery");
    assert!(matches!(&evaluation.notes[..], [Note::Failed { code: FailureCode::NeverSettles, .. }]));

    let tidies =
        "name = \"p\"\n[set.custom_attributes.x]\ntype = \"string\"\nvalue = \"user.custom_attributes.x | trim\"\n";
    assert!(evaluate(tidies, json!({"custom_attributes": {"x": " a "}})).patch.is_some());

    let broken = "name = \"p\"\nwhere = \"user.name < 5\"\n[set.custom_attributes.x]\ntype = \"int\"\nvalue = \"1\"\n";
    assert!(
        matches!(&evaluate(broken, json!({"name": "Ann"})).notes[..], [Note::Failed { target, .. }] if target == "where")
    );
}

#[test]
fn a_plan_describes_itself() {
    let text = "name = \"p\"\nwhere = \"user.custom_attributes.b\"\n[set.custom_attributes.\"has avatar\"]\ntype = \"int\"\nvalue = \"user.custom_attributes['a b'] + user.custom_attributes['has avatar']\"\n\
                [set.company.name]\ntype = \"string\"\nvalue = \"user.name\"\ncompany_id = \"user.custom_attributes.c\"\n";
    let plan = Plan::from_toml("p.toml", text).unwrap();
    assert_eq!(plan.targets(), ["company.name", "custom_attributes.\"has avatar\""]);
    let reads =
        ["user.custom_attributes[\"a b\"]", "user.custom_attributes.b", "user.custom_attributes.c", "user.name"];
    assert_eq!(plan.unseen(0), reads, "a target of the plan may be its own first value");
    let body = json!({"name": null, "custom_attributes": {"b": 1}});
    assert_eq!(plan.unseen(plan.seen(&user(body))), [reads[0], reads[2]]);
    assert_eq!(plan.name(), "p");
    shared(&plan);
}

fn shared<T: Send + Sync + Clone>(_: &T) {}
