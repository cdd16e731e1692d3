//! The words for times and texts.

use super::*;

#[test]
fn iso_dates_become_unix_seconds() {
    let with = |value: Json| json!({"custom_attributes": {"d": value}});
    let value = "user.custom_attributes.d | unix_seconds";
    for (text, seconds) in [
        (json!("2016-11-24"), 1_479_945_600),
        (json!("2016-11-24T10:05:00Z"), TODAY_S),
        (json!(TODAY_S), TODAY_S),
        (json!(1_479_981_900.0), TODAY_S),
    ] {
        assert_eq!(result("date", value, with(text.clone())), Some(json!(seconds)), "{text}");
    }
    assert_eq!(result("date", value, with(json!(null))), None);
    for (text, code) in [
        (json!("24/11/2016"), "filter_failed"),
        (json!("1479981900"), "filter_failed"),
        (json!(true), "filter_failed"),
        (json!(1_479_981_900_000_i64), "not_unix_seconds"),
        (json!(1_479_981_900.5), "wrong_type"),
    ] {
        assert_eq!(failure("date", value, with(text.clone())), code, "{text}");
    }
}

#[test]
fn today_is_the_utc_day_of_the_run() {
    let plan = plan("int", "today", "").unwrap();
    assert!(plan.inner.reads.today);
    let midnight = 1_479_945_600;
    for second in [midnight, TODAY_S, midnight + 86_399] {
        assert_eq!(new_value(&plan.on_day_of(second), json!({})), Some(json!(midnight)));
    }
    assert_eq!(new_value(&plan.on_day_of(midnight + 86_400), json!({})), Some(json!(midnight + 86_400)));
    let unknown = plan.evaluate(&user(json!({})));
    assert!(matches!(&unknown.notes[..], [Note::Failed { target, .. }] if target == "today"), "never a guess");
    assert_eq!(plan.warnings(), ["the plan reads `today`: each run on another day can change users again"]);
    assert!(!self::plan("int", "1", "").unwrap().inner.reads.today);
}

#[test]
fn a_second_run_on_the_same_day_changes_nothing() {
    let plan = plan("int", "user.signed_up_at | days_until(today)", "").unwrap();
    let mut body = json!({"signed_up_at": TODAY_S - 3 * 86_400});
    assert_eq!(new_value(&plan.on_day_of(TODAY_S), body.clone()), Some(json!(3)));
    body["custom_attributes"] = json!({"x": 3});
    assert_eq!(plan.on_day_of(TODAY_S + 40_000).evaluate(&user(body.clone())).patch, None);
    assert!(plan.on_day_of(TODAY_S + 86_400).evaluate(&user(body)).patch.is_some());
}

#[test]
fn days_are_counted_by_midnights_in_utc() {
    for (value, days) in [
        ("'2016-11-24' | unix_seconds | days_until(today)", 0),
        ("'2016-11-23T23:59:59Z' | unix_seconds | days_until(today)", 1),
        ("today | days_until('2016-12-24' | unix_seconds)", 30),
        ("(today + 86399) | days_until(today)", 0),
        ("'2016-11-25T00:00:00Z' | unix_seconds | days_until(today)", -1),
        ("0.5 | days_until(-0.5)", -1),
    ] {
        assert_eq!(result("int", value, json!({})), Some(json!(days)), "{value}");
    }
    assert_eq!(result("int", "user.signed_up_at | days_until(today)", json!({})), None);
    assert_eq!(
        result("bool", "user.signed_up_at > today - 30 * 86400", json!({"signed_up_at": TODAY_S})),
        Some(json!(true))
    );
}

#[test]
fn a_text_is_cut_as_intercom_counts() {
    let family = "👩\u{200d}👩\u{200d}👧\u{200d}👦".repeat(40);
    for (name, cut) in [
        ("x".repeat(256), "x".repeat(255)),
        ("é".repeat(300), "é".repeat(255)),
        (family.clone(), family.chars().take(255).collect()),
        (format!("{} {}", "x".repeat(254), "y".repeat(9)), "x".repeat(254)),
        ("short".to_owned(), "short".to_owned()),
    ] {
        assert_eq!(result("string", "user.name | truncate", json!({"name": name})), Some(json!(cut)), "{name}");
    }
    for (value, cut) in [
        ("user.name | truncate(3)", "Ann"),
        ("user.name | truncate(4)", "Ann"),
        ("user.name | truncate(0)", ""),
        ("user.session_count | truncate(1)", "4"),
        ("'👩\u{200d}👩' | truncate(2)", "👩"),
    ] {
        assert_eq!(
            result("string", value, json!({"name": "Ann O'Neil", "session_count": 41})),
            Some(json!(cut)),
            "{value}"
        );
    }
    for value in ["user.name | truncate(-1)", "user.name | truncate('3')", "user.name | truncate(1.5)"] {
        assert_eq!(failure("string", value, json!({"name": "Ann"})), "filter_failed", "{value}");
    }
}

#[test]
fn blank_is_missing_empty_or_white_space() {
    for (name, blank) in [
        (json!(null), true),
        (json!(""), true),
        (json!(" \t\n"), true),
        (json!([]), true),
        (json!("a"), false),
        (json!(0), false),
        (json!(false), false),
        (json!(["a"]), false),
    ] {
        assert_eq!(result("bool", "user.name is blank", json!({"name": name})), Some(json!(blank)), "{name}");
        let present = !name.is_null();
        assert_eq!(result("bool", "user.name is present", json!({"name": name})), Some(json!(present)), "{name}");
    }
    assert_eq!(result("bool", "user.name is blank", json!({})), Some(json!(true)));
}

#[test]
fn each_item_of_a_list_is_looked_up() {
    let body = json!({"tags": {"tags": [{"name": "starter"}, {"name": null}, {"name": "Pro Plus"}, {"name": "gold"}]}});
    let rows = "user.tags.tags | map(attribute='name') | map(table='price')";
    assert_eq!(result("int", &format!("{rows} | sum"), body.clone()), Some(json!(148)));
    assert_eq!(result("int", &format!("{rows} | max"), body.clone()), Some(json!(99)));
    assert_eq!(result("int", &format!("{rows} | max"), json!({})), None);
    let plan = plan("int", &format!("{rows} | max"), "tables.price = { starter = 49, \"Pro Plus\" = 99 }").unwrap();
    let missed = Note::MissedKey { table: "price".into(), key: Some("gold".into()) };
    assert_eq!(plan.evaluate(&user(body)).notes, [missed]);
}
