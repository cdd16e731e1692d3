use proptest::prelude::*;
use serde_json::json;

use super::Fate::{Altered, ChangedSince, Kept, Old};
use super::*;
use crate::domain::patch::Target;

fn change(new: Value, replaced: Option<Value>) -> Change {
    Change { target: Target::Attribute("x".to_owned()), new, replaced }
}

fn none(_: &Value, _: &Value) -> bool {
    false
}

#[test]
fn value_is_kept_changed_or_in_another_form() {
    let long = "x".repeat(255);
    let rows = [
        // (new, replaced, found, fate)
        (json!(true), None, Some(json!(true)), Kept),
        (json!(49), Some(json!(7)), Some(json!(49.0)), Kept),
        (json!(null), Some(json!(7)), None, Kept),
        (json!(null), Some(json!(7)), Some(json!(null)), Kept),
        (json!("a"), None, Some(json!("a")), Kept),
        // The old value.
        (json!(true), None, None, Old),
        (json!(true), Some(json!(null)), None, Old),
        (json!(true), Some(json!(false)), Some(json!(false)), Old),
        (json!(49), Some(json!(7.0)), Some(json!(7)), Old),
        (json!("new"), Some(json!("old")), Some(json!("old")), Old),
        (json!(null), Some(json!("old")), Some(json!("old")), Old),
        // No value.
        (json!("new"), Some(json!("old")), None, Altered),
        (json!(0), Some(json!(7)), Some(json!(null)), Altered),
        (json!("new"), Some(json!("old")), Some(json!("")), Altered),
        (json!("  "), Some(json!("old")), Some(json!("")), Altered),
        // Texts.
        (json!(" a b "), None, Some(json!("a b")), Altered),
        (json!("a  b"), None, Some(json!("a b")), Altered),
        (json!("a\nb"), None, Some(json!("a b")), Altered),
        (json!(long), None, Some(json!(long[..100])), Altered),
        (json!(long), None, Some(json!(format!("{}...", &long[..30]))), Altered),
        (json!("Siobhán O'Brien"), None, Some(json!("Siobhán…")), Altered),
        (json!("Siobhán O'Brien"), None, Some(json!("Siobh\u{fffd}")), Altered),
        (json!("O'Brien & Söhne"), None, Some(json!("O&#39;Brien &amp; S…")), Altered),
        (json!("O'Brien"), None, Some(json!("O&#39;Brien")), Altered),
        (json!("O&#39;Brien"), None, Some(json!("O'Brien")), Altered),
        // Other types.
        (json!(49), None, Some(json!("49")), Altered),
        (json!(49.5), None, Some(json!("49.50")), Altered),
        (json!("49"), None, Some(json!(49)), Altered),
        (json!("007"), None, Some(json!(7)), Altered),
        (json!("007"), None, Some(json!("7")), Altered),
        (json!(true), None, Some(json!("true")), Altered),
        (json!(true), None, Some(json!(1)), Altered),
        (json!(1), None, Some(json!(true)), Altered),
        (json!("false"), Some(json!(true)), Some(json!(false)), Altered),
        (json!(49.6), None, Some(json!("50")), Altered),
        // Numbers.
        (json!(49.6), None, Some(json!(50)), Altered),
        (json!(49.6), None, Some(json!(49)), Altered),
        (json!(-0.004), None, Some(json!(0)), Altered),
        (json!(0.1 + 0.2), None, Some(json!(0.3)), Altered),
        (json!(12.3456), None, Some(json!(12.35)), Altered),
        (json!(16_777_217), None, Some(json!(16_777_216)), Altered),
        (json!(12.3456), None, Some(json!(12.34)), Altered),
        (json!(12.345_678_901), None, Some(json!(12.345_679)), Altered),
        // Values of others.
        (json!("A@b.C"), None, Some(json!("a@b.c")), ChangedSince),
        (json!("pro_annual"), Some(json!("free")), Some(json!("pro")), ChangedSince),
        (json!("10"), Some(json!("5")), Some(json!("1")), ChangedSince),
        (json!(long), None, Some(json!(long[..29])), ChangedSince),
        (json!(10), Some(json!(5)), Some(json!(1)), ChangedSince),
        (json!(1_234_567), None, Some(json!(1_234_570)), ChangedSince),
        (json!(49.61), None, Some(json!(49.7)), ChangedSince),
        (json!(123.4), None, Some(json!(120)), ChangedSince),
        (json!(true), Some(json!(7)), Some(json!(false)), ChangedSince),
        (json!(49), Some(json!(7)), Some(json!(50)), ChangedSince),
        (json!(49), None, Some(json!("fifty")), ChangedSince),
        (json!(123), Some(json!(7)), Some(json!(130)), ChangedSince),
        (json!(0), Some(json!(7)), Some(json!(1)), ChangedSince),
        (json!(49.6), None, Some(json!(51)), ChangedSince),
        (json!("starter"), Some(json!("free")), Some(json!("pro")), ChangedSince),
        (json!("starter"), Some(json!("free")), Some(json!("...")), ChangedSince),
        (json!("starter"), Some(json!("free")), Some(json!(["starter"])), ChangedSince),
        (json!(true), Some(json!(7)), Some(json!("no")), ChangedSince),
        (json!(null), Some(json!("old")), Some(json!("other")), ChangedSince),
        (json!("true"), Some(json!(7)), Some(json!(false)), ChangedSince),
    ];
    assert!(rows.len() > 50);
    for (new, replaced, found, expected) in rows {
        let change = change(new, replaced);
        assert_eq!(fate(&change, found.as_ref(), none), expected, "{change:?} {found:?}");
    }
}

#[test]
fn only_numbers_are_compared_as_numbers() {
    assert!(is_same(&json!(49), &json!(49.0)) && is_same(&json!(0.0), &json!(0)));
    assert!(!is_same(&json!(49), &json!("49")) && !is_same(&json!(0), &json!(false)));
    assert!(!is_same(&json!(9_007_199_254_740_992_i64), &json!(9_007_199_254_740_993_i64)));
}

#[test]
fn names_are_equal_in_both_forms() {
    for (target, expected) in [
        (Target::Field("name".to_owned()), Kept),
        (Target::CompanyName("7".to_owned()), Kept),
        (Target::Field("phone".to_owned()), Altered),
    ] {
        let change = Change { target, new: json!("O'Brien"), replaced: None };
        assert_eq!(fate(&change, Some(&json!("O&#39;Brien")), none), expected, "{change:?}");
    }
    let change = Change { target: Target::Field("name".to_owned()), new: json!("Ann"), replaced: Some(json!("A & B")) };
    assert_eq!(fate(&change, Some(&json!("A &amp; B")), none), Old);
}

#[test]
fn values_that_the_api_shows_alike_are_kept() {
    let alike = |new: &Value, found: &Value| new == "" && found.is_null();
    assert_eq!(fate(&change(json!(""), Some(json!(7))), None, alike), Kept);
    assert_eq!(fate(&change(json!(7), Some(json!(""))), None, alike), Old);
}

proptest! {
    #[test]
    fn written_value_is_kept(text in any::<String>(), number in any::<f64>(), old in any::<i64>()) {
        for new in [json!(text), json!(number), json!(old), Value::Null] {
            let change = change(new.clone(), Some(json!("replaced")));
            prop_assert_eq!(fate(&change, Some(&new), none), Kept);
        }
    }

    #[test]
    fn any_value_has_a_fate(new in any::<String>(), found in any::<String>(), number in any::<f64>()) {
        for found in [json!(found), json!(number), json!(true), json!([1]), Value::Null] {
            fate(&change(json!(new), None), Some(&found), none);
            fate(&change(json!(number), None), Some(&found), none);
        }
    }
}
