//! The suggestions in the messages of failed values work.

use super::*;

/// A user whose values have types that a plan did not expect.
fn misfits() -> Json {
    json!({"name": "Ann", "session_count": 7, "phone": "49", "user_id": "true", "pseudonym": "49,5",
        "tags": {"tags": [{"name": "VIP"}]}, "avatar": {"image_url": "a"}, "email": "x".repeat(300),
        "custom_attributes": {"day": "2016-11-24", "digits": "1479981900", "ms": 1_479_981_900_000_i64, "one": 1,
            "mixed": [1, "2"], "half": 2.6, "texts": ["1", "2"]}})
}

/// Checks that the message of a failed value suggests a solution that works.
#[track_caller]
fn leads((kind, wrong, hint, right, value): (&str, &str, &str, &str, Json)) {
    let (_, message) = failed(kind, wrong, misfits());
    assert!(message.contains(hint), "{wrong}: {message}");
    assert!(message.len() < 200, "{message}");
    assert_eq!(result(kind, right, misfits()), Some(value), "{right}");
}

#[test]
fn hints_of_conditions_work() {
    [
        ("bool", "user.user_id", "x == 'true'", "user.user_id == 'true'", json!(true)),
        ("bool", "user.user_id", "`x is present`", "user.user_id is present", json!(true)),
        ("bool", "user.user_id", "`x | bool`", "user.user_id | bool", json!(true)),
        ("bool", "user.session_count", "x > 0", "user.session_count > 0", json!(true)),
        ("bool", "user.tags.tags", "(x | length) > 0", "(user.tags.tags | length) > 0", json!(true)),
        ("bool", "user.avatar", "read one of its fields", "user.avatar.image_url is present", json!(true)),
        ("bool", "user.phone == 49", "`| int`", "(user.phone | int) == 49", json!(true)),
        ("bool", "user.phone == 49", "`| string`", "user.phone == (49 | string)", json!(true)),
        ("bool", "user.phone < 50", "`| float`", "(user.phone | float) < 50", json!(true)),
        ("bool", "user.user_id == true", "x == 'true'", "user.user_id == 'true'", json!(true)),
        ("bool", "user.user_id == true", "`x | bool`", "(user.user_id | bool) == true", json!(true)),
        ("bool", "user.custom_attributes.one == true", "x == 1", "user.custom_attributes.one == 1", json!(true)),
        ("bool", "user.custom_attributes.one == true", "`x | bool`", "user.custom_attributes.one | bool", json!(true)),
        (
            "bool",
            "user.custom_attributes.texts == '1'",
            "`value in list`",
            "'1' in user.custom_attributes.texts",
            json!(true),
        ),
        (
            "bool",
            "user.custom_attributes.texts == '1'",
            "`| first`",
            "(user.custom_attributes.texts | first) == '1'",
            json!(true),
        ),
        ("bool", "7 in user.phone", "`| string`", "(9 | string) in user.phone", json!(true)),
        ("bool", "'a' in user.session_count", "[x]", "7 in [user.session_count]", json!(true)),
        (
            "bool",
            "user.session_count is startingwith('7')",
            "`| string`",
            "(user.session_count | string) is startingwith('7')",
            json!(true),
        ),
        ("bool", "user.phone is odd", "`| int`", "(user.phone | int) is odd", json!(true)),
    ]
    .into_iter()
    .for_each(leads);
}

#[test]
fn hints_of_values_work() {
    [
        ("int", "user.phone", "`| int`", "user.phone | int", json!(49)),
        (
            "int",
            "user.custom_attributes.half",
            "`| round | int`",
            "user.custom_attributes.half | round | int",
            json!(3),
        ),
        ("int", "user.pseudonym | int", "`| replace(',', '')`", "user.pseudonym | replace(',', '') | int", json!(495)),
        ("int", "user.phone + 1", "`| int`", "(user.phone | int) + 1", json!(50)),
        (
            "int",
            "user.custom_attributes.mixed | max",
            "`| map('float')`",
            "user.custom_attributes.mixed | map('float') | max",
            json!(2),
        ),
        (
            "int",
            "user.custom_attributes.texts | sum",
            "`| int`",
            "user.custom_attributes.texts | map('int') | sum",
            json!(3),
        ),
        ("int", "user.phone | sum", "`| map('int')`", "user.custom_attributes.texts | map('int') | sum", json!(3)),
        ("int", "user.phone | min", "[a, b] | min", "[user.session_count, 3] | min", json!(3)),
        ("int", "user.phone | round", "`| float`", "user.phone | float | round | int", json!(49)),
        ("int", "user.phone | abs", "`| int`", "user.phone | int | abs", json!(49)),
        ("int", "user.session_count | length", "`| string`", "user.session_count | string | length", json!(1)),
        (
            "int",
            "price[user.custom_attributes.texts]",
            "`| map(table='NAME')`",
            "user.custom_attributes.texts | map(table='price') | length",
            json!(2),
        ),
        (
            "int",
            "price[user.custom_attributes.texts]",
            "`| first`",
            "(user.custom_attributes.texts | first) | int",
            json!(1),
        ),
        (
            "int",
            "user.custom_attributes.day | days_until(today)",
            "`| unix_seconds`",
            "user.custom_attributes.day | unix_seconds | days_until(today)",
            json!(0),
        ),
        (
            "int",
            "user.custom_attributes.ms | days_until(today)",
            "divide by 1000 with //",
            "(user.custom_attributes.ms // 1000) | days_until(today)",
            json!(0),
        ),
    ]
    .into_iter()
    .for_each(leads);
}

#[test]
fn hints_of_texts_and_dates_work() {
    [
        ("float", "user.phone", "`| float`", "user.phone | float", json!(49.0)),
        ("string", "user.session_count", "`| string`", "user.session_count | string", json!("7")),
        ("string", "user.email", "`| truncate`", "user.email | truncate", json!("x".repeat(255))),
        (
            "string",
            "user.custom_attributes.texts | lower",
            "`| join(', ')`",
            "user.custom_attributes.texts | join(', ')",
            json!("1, 2"),
        ),
        (
            "string",
            "user.custom_attributes.texts | string",
            "`| join(', ')`",
            "user.custom_attributes.texts | join(', ')",
            json!("1, 2"),
        ),
        ("string", "user.phone | sort", "`| split(',')`", "user.pseudonym | split(',') | sort | join", json!("495")),
        (
            "date",
            "user.custom_attributes.day",
            "`| unix_seconds`",
            "user.custom_attributes.day | unix_seconds",
            json!(1_479_945_600),
        ),
        ("date", "user.custom_attributes.digits", "`| int`", "user.custom_attributes.digits | int", json!(TODAY_S)),
        (
            "date",
            "user.custom_attributes.digits | unix_seconds",
            "`| int`",
            "user.custom_attributes.digits | int",
            json!(TODAY_S),
        ),
        (
            "date",
            "user.custom_attributes.ms",
            "divide by 1000 with //",
            "user.custom_attributes.ms // 1000",
            json!(TODAY_S),
        ),
    ]
    .into_iter()
    .for_each(leads);
}
