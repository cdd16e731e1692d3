//! Expressions that need excessive work or memory.

use super::*;

/// Evaluates on a thread with a test's stack and without a timer: a bomb that works would hang or
/// abort.
fn survives(value: &str, body: &Json) {
    if let Ok(plan) = plan("string", value, "") {
        let evaluation = plan.evaluate(&user(body.clone()));
        assert!(!matches!(&evaluation.patch, Some(patch) if patch.changes[0].new.to_string().len() > 2000), "{value}");
    }
}

#[test]
fn bombs_are_refused_or_run_out() {
    let long = "x".repeat(100_000);
    let body = json!({"name": long, "tags": {"tags": vec![json!({"name": "a"}); 10_000]}});
    for value in [
        "'a' * 1000000000".to_owned(),
        "[1] * 1000000000".to_owned(),
        "2 ** 4000000000".to_owned(),
        "2.0 ** 4000000000".to_owned(),
        "9 ** 9 ** 9 ** 9".to_owned(),
        "range(1000000000)".to_owned(),
        "dict()".to_owned(),
        "lipsum()".to_owned(),
        "debug()".to_owned(),
        "now()".to_owned(),
        "1e999".to_owned(),
        "(".repeat(4000),
        "[".repeat(4000),
        "{".repeat(4000),
        format!("{}1{}", "(".repeat(1900), ")".repeat(1900)),
        format!("{}1", "-".repeat(4000)),
        format!("{}1", "not ".repeat(1000)),
        format!("1{}", "+1".repeat(2000)),
        format!("1{}", "**1".repeat(1300)),
        format!("user.name{}", "|lower".repeat(600)),
        format!("user{}", ".a".repeat(2000)),
        format!("user{}", "[0]".repeat(1300)),
        format!("1{}", " or 1".repeat(800)),
        format!("1{}", " if 1 else 1".repeat(330)),
        format!("'aaaaaaaa'{}", "|replace('a','aaaaaaaaaaaaaaaa')".repeat(60)),
        format!("user.name{}", " ~ user.name".repeat(60)),
        format!("user.name{}", "|replace('','yyyyyyyyyy')".repeat(50)),
        "user.tags.tags | map(attribute='name') | join(user.name)".to_owned(),
    ] {
        survives(&value, &body);
    }
}

#[test]
fn spent_fuel_fails_that_user_only() {
    let growing = format!("'aaaaaaaa'{}", "|replace('a','aaaaaaaaaaaaaaaa')".repeat(30));
    assert_eq!(failure("string", &growing, json!({})), "out_of_fuel");
}

#[test]
fn ordinary_expressions_are_not_bombs() {
    let many = format!("user.name == 'a'{}", " or user.name == 'b'".repeat(50));
    assert_eq!(result("bool", &many, json!({"name": "c"})), Some(json!(false)));
    let nested = format!("{}user.name is present{}", "(".repeat(20), ")".repeat(20));
    assert_eq!(result("bool", &nested, json!({})), Some(json!(false)));
    let choices = (0..25).fold("0".to_owned(), |rest, n| format!("{n} if user.session_count == {n} else ({rest})"));
    assert_eq!(result("int", &choices, json!({"session_count": 3})), Some(json!(3)));
}

#[test]
fn sizes_are_bounded() {
    let long = format!("'{}'", "x".repeat(4096));
    assert!(plan("string", &long, "").unwrap_err().to_string().contains("4098 bytes in an expression"));
    let huge = format!("name = \"p\" # {}", "x".repeat(PLAN_BYTES_MAX));
    assert!(matches!(Plan::from_toml("p", &huge), Err(PlanError::TooLarge { .. })));
    let rows: Vec<String> = (0..5000).map(|n| format!("k{n} = \"{}\"\n", "x".repeat(60))).collect();
    let rows = rows.concat();
    let error = plan("int", "t[user.name]", &format!("[tables.t]\n{rows}")).unwrap_err();
    assert!(error.to_string().contains("divide the rows among several plans"), "{error}");
    let targets: Vec<String> =
        (0..65).map(|n| format!("[set.custom_attributes.a{n}]\ntype = \"int\"\nvalue = \"1\"\n")).collect();
    let targets = targets.concat();
    let error = Plan::from_toml("p", &format!("name = \"p\"\n{targets}")).unwrap_err();
    assert!(error.to_string().contains("65 targets are too many"), "{error}");
    let value = format!("'{}'", "x".repeat(4000));
    let targets: Vec<String> = (0..60)
        .map(|n| format!("[set.custom_attributes.a{n}]\ntype = \"string\"\nvalue = {}\n", Json::from(value.as_str())))
        .collect();
    let tables = format!("[tables.t]\na = \"{}\"\n", "x".repeat(200_000));
    let error = Plan::from_toml("p", &format!("name = \"p\"\n{tables}{}", targets.concat())).unwrap_err();
    assert!(error.to_string().contains("bytes in a plan are too many"), "{error}");
    let deep = (0..200).fold(json!(1), |inner, _| json!({"a": inner}));
    assert!(Plan::from_json(&deep).is_err());
    drop_deep(deep);
    assert!(Plan::from_toml("p", &format!("a = {}1{}", "{b=".repeat(5000), "}".repeat(5000))).is_err());
}

/// Takes the value apart without recursion: `serde_json`'s own drop is recursive.
fn drop_deep(mut value: Json) {
    while let Json::Object(mut entries) = value {
        value = entries.remove("a").unwrap_or(Json::Null);
    }
}
