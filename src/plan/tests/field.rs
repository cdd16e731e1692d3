//! Plans and users from public bug reports.

use super::*;

/// Evaluates a plan for users with a custom attribute `a`. Returns the new value, `None` for none,
/// or the code of the failure.
fn outcomes(kind: &str, value: &str, users: &[Json]) -> Vec<Result<Option<Json>, &'static str>> {
    let plan = plan(kind, value, "").unwrap().on_day_of(TODAY_S);
    let outcome = |a: &Json| {
        let evaluation = plan.evaluate(&user(json!({"custom_attributes": {"a": a}})));
        let failed = evaluation.notes.iter().find_map(|note| match note {
            Note::Failed { code, .. } => Some(code.as_str()),
            _ => None,
        });
        failed.map_or_else(|| Ok(evaluation.patch.map(|patch| patch.changes[0].new.clone())), Err)
    };
    users.iter().map(outcome).collect()
}

#[test]
fn the_text_false_is_never_true() {
    let users = [json!("false"), json!("true"), json!(false), json!("0"), json!(0), json!(null)];
    let wrong = Err("wrong_type");
    let expected = [wrong.clone(), wrong.clone(), Ok(Some(json!(false))), wrong.clone(), wrong, Ok(None)];
    assert_eq!(outcomes("bool", "user.custom_attributes.a", &users), expected);
    let (no, yes) = (Ok(Some(json!(false))), Ok(Some(json!(true))));
    let converted = [no.clone(), yes, no.clone(), no.clone(), no, Ok(None)];
    assert_eq!(outcomes("bool", "user.custom_attributes.a | bool", &users), converted);
}

#[test]
fn dates_in_every_format_are_parsed_or_fail() {
    let users = [
        json!("2016-11-24"),
        json!("2016-11-24T10:05:00Z"),
        json!(1_479_981_900),
        json!(1_479_981_900_000_i64),
        json!("1479981900"),
        json!("24/11/2016"),
        json!(null),
        json!(0),
        json!(-1),
        json!(1_479_981_900.0),
        json!(1_479_981_900.5),
        json!("Mon Jan 30 2023 11:27:02 GMT+0000"),
        json!(true),
    ];
    let date = |seconds: i64| Ok(Some(json!(seconds)));
    let expected = [
        date(1_479_945_600),
        date(1_479_981_900),
        date(1_479_981_900),
        Err("not_unix_seconds"),
        Err("filter_failed"),
        Err("filter_failed"),
        Ok(None),
        date(0),
        date(-1),
        date(1_479_981_900),
        Err("wrong_type"),
        Err("filter_failed"),
        Err("filter_failed"),
    ];
    assert_eq!(outcomes("date", "user.custom_attributes.a | unix_seconds", &users), expected);
    let (code, message) = failed("date", "user.custom_attributes.a", json!({"custom_attributes": {"a": "2016-11-24"}}));
    assert_eq!(code, "wrong_type");
    assert!(message.contains("| unix_seconds"), "{message}");
}

#[test]
fn long_names_can_be_cut() {
    let name = "名".repeat(300);
    let (code, message) = failed("string", "user.name", json!({"name": name}));
    assert_eq!(code, "text_too_long");
    assert!(message.contains("| truncate"), "{message}");
    let cut = result("string", "user.name | truncate | trim", json!({"name": name}));
    assert_eq!(cut, Some(json!("名".repeat(255))));
    assert_eq!(result("string", "user.name | trim | truncate", json!({"name": "  spaced  "})), Some(json!("spaced")));
}

#[test]
fn fields_of_every_version_are_known() {
    for path in
        ["owner_id", "referrer", "utm_source", "utm_term", "last_seen_ip", "marked_email_as_spam", "do_not_track"]
    {
        let plan = plan("string", &format!("user.{path} | string"), "").unwrap();
        let body = json!({path: 1});
        assert_eq!(new_value(&plan, body.clone()), Some(json!("1")), "{path}");
        assert_eq!(
            (plan.unseen(0), plan.unseen(plan.seen(&user(body)))),
            (vec![format!("user.{path}").as_str()], vec![])
        );
    }
}

#[test]
fn segment_names_without_a_user_are_unseen() {
    let value = "'VIP' in (user.segments.segments | map(attribute='name'))";
    let plan = plan("bool", value, "").unwrap();
    let segments = |list: Json| user(json!({"segments": {"type": "segment.list", "segments": list}}));
    let ids = segments(json!([{"type": "segment", "id": "56cc69cc8618d37b45000000"}]));
    let seen = plan.seen(&ids) | plan.seen(&segments(json!([])));
    assert_eq!(plan.unseen(seen), ["user.segments.segments[].name"]);
    let named = plan.seen(&segments(json!([{"name": "VIP"}])));
    assert_eq!(plan.unseen(named), [] as [&str; 0]);
}

#[test]
fn a_plan_cannot_read_what_its_own_writes_change() {
    for value in ["user.updated_at // 86400", "user['updated_at'] | days_until(today)"] {
        let error = plan("int", value, "").unwrap_err().to_string();
        assert!(error.contains("each write of a run changes it"), "{error}");
    }
    assert!(plan("int", "1", "where = \"user.updated_at > 5\"").is_err());
}

/// New rules do not stop a run that an earlier version began.
#[test]
fn a_run_in_progress_continues_with_its_plan() {
    let with = |value: &str, tables: Json| json!({"name": "p", "tables": tables, "set": {"custom_attributes": {"x": {"type": "int", "value": value}}}});
    for (stored, body) in [
        (with("user.updated_at // 86400", json!({})), json!({"updated_at": 3 * 86_400})),
        (with("today[user.name]", json!({"today": {"Ann": 3}})), json!({"name": "Ann"})),
        (with("4 if 'VIP' in user.tags else 3", json!({})), json!({"tags": {"tags": []}})),
    ] {
        assert!(Plan::from_json(&stored).is_err(), "{stored}");
        assert_eq!(new_value(&Plan::of_run(&stored).unwrap(), body), Some(json!(3)), "{stored}");
    }
}
