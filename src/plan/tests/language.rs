//! Results of expressions.

use super::*;

#[test]
fn a_missing_value_passes_through() {
    let missing =
        [json!({}), json!({"email": null, "custom_attributes": {"n": null}}), json!({"custom_attributes": null})];
    for body in missing {
        for value in [
            "user.email | lower",
            "user.email | domain | upper | trim | replace('a', 'b')",
            "user.custom_attributes.n + 1",
            "1 - user.custom_attributes.n * 2",
            "-user.custom_attributes.n",
            "10 / user.custom_attributes.n",
            "'Dear ' ~ user.name",
            "'Dear' | replace(user.name, 'x')",
            "price[user.custom_attributes.n]",
            "price[user.email | domain] + 1",
            "user.companies.companies | map(attribute='name') | first",
            "user.companies.companies[0].name",
            "user.avatar.image_url",
            "'x' if user.email is present",
            "user.name | length",
        ] {
            for kind in ["string", "bool", "int"] {
                assert_eq!(result(kind, value, body.clone()), None, "{value} {body}");
            }
        }
        let default = "(user.custom_attributes.n + 1) | default(5)";
        assert_eq!(result("int", default, body.clone()), Some(json!(5)), "{body}");
    }
}

#[test]
fn tests_of_a_missing_value_have_a_result() {
    let questions = [
        ("user.session_count < 5", false),
        ("user.session_count >= 5", false),
        ("user.session_count == none", true),
        ("user.session_count != none", false),
        ("user.session_count == 0", false),
        ("'a' in user.email", false),
        ("'a' not in user.email", true),
        ("user.email in ['a', 'b']", false),
        ("user.email in price", false),
        ("user.email not in price", true),
        ("user.email is startingwith('a')", false),
        ("user.email is present", false),
        ("'x' is startingwith(user.email)", false),
        ("not user.email", true),
        ("user.email and user.name", false),
        ("user.email or user.name", false),
    ];
    for body in [json!({}), json!({"session_count": null, "email": null})] {
        for (question, answer) in questions {
            assert_eq!(result("bool", question, body.clone()), Some(json!(answer)), "{question}");
        }
    }
}

#[test]
fn operators_have_the_documented_results() {
    let body = json!({"session_count": 7, "name": "Ann", "email": "Ann@Sub.ACME.com",
        "custom_attributes": {"plan": "starter", "f": 2.5, "id": 3, "neg": -7},
        "tags": {"tags": [{"name": "vip"}, {"name": "beta"}]},
        "companies": {"companies": [{"company_id": "a", "name": "A"}, {"company_id": "b", "name": "B"}]}});
    let values = [
        ("int", "user.session_count + 1 * 2", json!(9)),
        ("int", "(user.session_count + 1) * 2", json!(16)),
        ("int", "user.session_count - 2 - 1", json!(4)),
        ("int", "user.session_count // 2", json!(3)),
        ("int", "user.custom_attributes.neg // 2", json!(-4)),
        ("int", "user.custom_attributes.neg % 4", json!(1)),
        ("int", "-(user.session_count ** 2)", json!(-49)),
        ("string", "true ~ 1 ~ 2.5", json!("true12.5")),
        ("string", "user.session_count | string", json!("7")),
        ("string", "user.session_count | replace('7', '8')", json!("8")),
        ("int", "' 12' | trim | int", json!(12)),
        ("float", "user.session_count / 2", json!(3.5)),
        ("float", "user.custom_attributes.f * 2", json!(5.0)),
        ("int", "(user.custom_attributes.f + 0.1) | round | int", json!(3)),
        ("string", "'Dear ' ~ user.name ~ ' ' ~ user.session_count", json!("Dear Ann 7")),
        ("string", "user.name + '!'", json!("Ann!")),
        ("string", "user.email | domain", json!("sub.acme.com")),
        ("string", "user.name | upper | replace('N', \"'\\\"\\\\\")", json!("A'\"\\'\"\\")),
        ("int", "price[user.custom_attributes.plan]", json!(49)),
        ("int", "price[user.custom_attributes.id]", json!(7)),
        ("int", "price['Pro Plus']", json!(99)),
        ("int", "price.starter if user.name == 'Ann' else 0", json!(49)),
        ("bool", "5 < user.session_count and user.session_count <= 7", json!(true)),
        ("bool", "user.name == 'Ann' or user.name == 'Bob' and false", json!(true)),
        ("bool", "not (user.name == 'Ann' and user.email is present)", json!(false)),
        ("bool", "'vip' in user.tags.tags | map(attribute='name')", json!(true)),
        ("bool", "'nobody' in user.tags.tags | map(attribute='name')", json!(false)),
        ("bool", "user.custom_attributes.plan in price", json!(true)),
        ("bool", "user.name is not startingwith('B')", json!(true)),
        ("bool", "'plan' in user.custom_attributes", json!(true)),
        ("int", "user.companies.companies | length", json!(2)),
        ("string", "user.companies.companies[1].name", json!("B")),
        ("string", "user.companies.companies[-1]['name']", json!("B")),
        ("string", "(user.companies.companies | selectattr('company_id', 'eq', 'a') | first).name", json!("A")),
        ("string", "user.tags.tags | map(attribute='name') | sort | join(', ')", json!("beta, vip")),
        ("string", "user.email | split('@') | last", json!("Sub.ACME.com")),
        ("float", "1e-7 * 1", json!(1e-7)),
    ];
    for (kind, value, expected) in values {
        assert_eq!(result(kind, value, body.clone()), Some(expected), "{value}");
    }
}

#[test]
fn mixed_types_fail_and_are_never_guessed() {
    let body = json!({"name": "Ann", "session_count": 7, "custom_attributes": {"t": true}});
    for (value, code) in [
        ("user.name < 5", "wrong_type"),
        ("user.name + 5", "wrong_type"),
        ("user.name * 3", "wrong_type"),
        ("user.custom_attributes.t + 1", "wrong_type"),
        ("5 in user.name", "wrong_type"),
        ("user.session_count / 0", "division_by_zero"),
        ("user.session_count % 0.0", "division_by_zero"),
        ("9 ** 99", "number_too_large"),
        ("9007199254740993", "number_too_large"),
        ("user.name", "wrong_type"),
        ("[1, 2]", "wrong_type"),
        ("user.name | abs", "filter_failed"),
        ("user.name | int", "filter_failed"),
        ("[1] | lower", "wrong_type"),
        ("user.custom_attributes | string", "wrong_type"),
        ("user.name is startingwith(1)", "wrong_type"),
    ] {
        assert_eq!(failure("int", value, body.clone()), code, "{value}");
    }
}

#[test]
fn domains_are_extracted_from_addresses() {
    for (email, domain) in [
        (json!("a@b@Acme.COM"), Some("acme.com")),
        (json!(" ann@acme.com "), Some("acme.com")),
        (json!("ann@BÜCHER.example"), Some("bücher.example")),
        (json!("ann"), None),
        (json!("@acme.com"), None),
        (json!("ann@"), None),
        (json!("ann@a b"), None),
        (json!("ann@acme.com."), Some("acme.com")),
        (json!("ann@."), None),
        (json!(null), None),
    ] {
        assert_eq!(result("string", "user.email | domain", json!({"email": email})), domain.map(Json::from), "{email}");
    }
}

#[test]
fn a_missed_key_is_shown_unless_it_is_personal() {
    let body =
        json!({"email": "ann@acme.com", "name": "Ann", "custom_attributes": {"plan": "gold", "owner": "bob@acme.com"}});
    for (value, key) in [
        ("price[user.custom_attributes.plan]", None),
        ("price[user.custom_attributes.plan | lower]", None),
        ("price[user.custom_attributes.owner | domain]", Some("acme.com")),
        ("price[user.email | domain]", Some("acme.com")),
        ("price[user.name]", None),
        ("price[user.name | lower]", None),
        ("price[user.name ~ '']", None),
        ("price[user.custom_attributes.owner]", None),
        ("price[user.name if true else 'x']", None),
    ] {
        let plan = plan("int", value, "tables.price = { starter = 49 }").unwrap();
        let missed = Note::MissedKey { table: "price".into(), key: key.map(str::to_owned) };
        for _ in 0..2 {
            assert_eq!(
                plan.evaluate(&user(body.clone())).notes,
                [Note::Skipped(SkipReason::ValueUndefined), missed.clone()],
                "{value}"
            );
        }
        let other = plan
            .evaluate(&user(json!({"name": "starter", "custom_attributes": {"plan": "starter", "owner": "starter"}})));
        assert!(!other.notes.contains(&missed), "a miss of one user is told of another: {value}");
    }
}

/// End users can write custom attributes, so a plan must request that their values are stored and
/// shown.
#[test]
fn a_plan_may_request_its_missed_keys() {
    let key = |value: &str, asked: &str| {
        let plan = plan("int", value, &format!("{asked}tables.price = {{ starter = 49 }}")).unwrap();
        let body = json!({"custom_attributes": {"plan": "gold", "owner": "bob@acme.com"}});
        plan.evaluate(&user(body)).notes.into_iter().find_map(|note| match note {
            Note::MissedKey { key, .. } => Some(key),
            _ => None,
        })
    };
    let attribute = "price[user.custom_attributes.plan]";
    assert_eq!(key(attribute, "show_missed = true\n"), Some(Some("gold".to_owned())));
    assert_eq!(key(attribute, "show_missed = false\n"), Some(None));
    assert_eq!(key(attribute, ""), Some(None));
    let address = "price[user.custom_attributes.owner]";
    assert_eq!(key(address, "show_missed = true\n"), Some(None), "an address is never shown");
    assert!(plan("int", attribute, "show_missed = 1\ntables.price = { starter = 49 }").is_err());
}
