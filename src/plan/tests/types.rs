//! Types are never mixed: a user whose value has another type than needed fails.

use super::*;

/// A user with one value of each type that is neither true nor false.
fn others() -> Json {
    json!({"name": "false", "email": "", "session_count": 0, "tags": {"tags": []}, "avatar": {"image_url": null},
        "custom_attributes": {"t": true, "f": false, "one": 1, "yes": "true", "list": ["a"]}})
}

#[test]
fn only_true_and_false_are_conditions() {
    for value in ["user.name", "user.email", "user.session_count", "user.tags.tags", "user.avatar"] {
        for expression in [
            value.to_owned(),
            format!("not {value}"),
            format!("{value} and true"),
            format!("true and {value}"),
            format!("{value} or true"),
            format!("false or {value}"),
            format!("true if {value} else false"),
            format!("({value}) is true"),
            format!("{value} is false"),
        ] {
            let (code, message) = failed("bool", &expression, others());
            assert_eq!(code, "wrong_type", "{expression}: {message}");
        }
        let condition = format!("where = \"{value}\"");
        let evaluation = plan("int", "1", &condition).unwrap().evaluate(&user(others()));
        assert!(
            matches!(&evaluation.notes[..], [Note::Failed { target, code: FailureCode::WrongType, .. }] if target == "where"),
            "{condition}: {:?}",
            evaluation.notes
        );
    }
}

#[test]
fn conditions_answer_true_or_false() {
    for (value, answer) in [
        ("user.custom_attributes.t", true),
        ("user.custom_attributes.f", false),
        ("not user.custom_attributes.f", true),
        ("user.custom_attributes.t and not user.custom_attributes.f", true),
        ("user.custom_attributes.none and user.custom_attributes.t", false),
        ("user.custom_attributes.none or user.custom_attributes.t", true),
        ("not user.custom_attributes.none", true),
        ("user.custom_attributes.f is false", true),
        ("user.custom_attributes.none is false", false),
        ("false and user.name", false),
        ("true or user.name", true),
    ] {
        assert_eq!(result("bool", value, others()), Some(json!(answer)), "{value}");
    }
    assert_eq!(result("int", "1 if user.custom_attributes.none else 2", others()), Some(json!(2)));
    assert_eq!(result("bool", "user.custom_attributes.none", others()), None);
}

#[test]
fn values_of_different_types_are_not_compared() {
    for (left, right) in [
        ("user.name", "false"),
        ("user.name", "0"),
        ("user.session_count", "false"),
        ("user.session_count", "'0'"),
        ("user.custom_attributes.one", "true"),
        ("user.custom_attributes.yes", "true"),
        ("user.tags.tags", "'a'"),
        ("user.custom_attributes.list", "'a'"),
        ("user.avatar", "'a'"),
    ] {
        for expression in [
            format!("{left} == {right}"),
            format!("{left} != {right}"),
            format!("{right} == {left}"),
            format!("{left} < {right}"),
            format!("{left} is eq({right})"),
            format!("{left} is ne({right})"),
            format!("{left} in [{right}]"),
            format!("{left} not in [{right}, {right}]"),
        ] {
            let (code, message) = failed("bool", &expression, others());
            assert_eq!(code, "wrong_type", "{expression}: {message}");
        }
    }
    assert_eq!(failure("bool", "user.custom_attributes.t < user.custom_attributes.f", others()), "wrong_type");
}

#[test]
fn values_of_one_type_and_missing_values_are_compared() {
    for (value, answer) in [
        ("user.session_count == 0.0", true),
        ("user.custom_attributes.one == 1", true),
        ("user.name == 'false'", true),
        ("user.name != none", true),
        ("user.custom_attributes.none == 'x'", false),
        ("user.custom_attributes.none != 'x'", true),
        ("user.custom_attributes.none == none", true),
        ("user.custom_attributes.list == ['a']", true),
        ("user.custom_attributes.list == ['a', 'b']", false),
        ("[1] == [true]", false),
        ("user.name in ['true', true, 1]", false),
        ("user.name in ['false', false, 0]", true),
        ("user.name in []", false),
        ("user.custom_attributes.none in ['a']", false),
        ("user.name in [none, 'false']", true),
    ] {
        assert_eq!(result("bool", value, others()), Some(json!(answer)), "{value}");
    }
}

#[test]
fn filters_do_not_guess() {
    let body = json!({"name": "Ann", "session_count": 7, "custom_attributes": {"n": null, "f": 2.5, "huge": u64::MAX},
        "tags": {"tags": [{"id": 1, "name": "vip", "on": true}, {"id": "2", "name": null, "on": "true"}]}});
    for (value, code) in [
        ("'NaN' | int", "filter_failed"),
        ("'nan' | float", "filter_failed"),
        ("'inf' | int", "filter_failed"),
        ("'-Infinity' | float", "filter_failed"),
        ("'' | int", "filter_failed"),
        ("' ' | float", "filter_failed"),
        ("'1,000' | int", "filter_failed"),
        ("'0x10' | int", "filter_failed"),
        ("'49 euro' | int", "filter_failed"),
        ("'1e400' | float", "number_too_large"),
        ("'99999999999999999999' | int", "number_too_large"),
        ("user.custom_attributes.huge | int", "number_too_large"),
        ("1e300 | int", "number_too_large"),
        ("user.name | bool", "filter_failed"),
        ("2 | bool", "filter_failed"),
        ("'' | bool", "filter_failed"),
        ("user.name | abs", "filter_failed"),
        ("user.name | round", "filter_failed"),
        ("user.name | sum", "filter_failed"),
        ("user.name | join(',')", "filter_failed"),
        ("user.name | sort", "filter_failed"),
        ("user.name | min", "filter_failed"),
        ("user.session_count | length", "filter_failed"),
        ("user.session_count | first", "filter_failed"),
        ("user.session_count | domain", "filter_failed"),
        ("user.session_count is odd and user.name is odd", "wrong_type"),
        ("user.custom_attributes.f is even", "wrong_type"),
        ("user.name is divisibleby(2)", "wrong_type"),
        ("user.session_count is divisibleby('2')", "wrong_type"),
        ("[1, '2'] | min", "wrong_type"),
        ("[true, 1] | max", "wrong_type"),
        ("[1, '2'] | sort | first", "wrong_type"),
        ("['1', '2'] | sum", "wrong_type"),
        ("[true, false] | sum", "wrong_type"),
        ("user.tags.tags | join(',')", "filter_failed"),
        ("user.tags.tags | selectattr('id', 'eq', '2') | first", "wrong_type"),
    ] {
        assert_eq!(failure("int", value, body.clone()), code, "{value}");
    }
    for (kind, value, expected) in [
        ("int", "' 49 ' | int", json!(49)),
        ("int", "'49.9' | int", json!(49)),
        ("int", "-2.5 | int", json!(-2)),
        ("int", "'1e3' | int", json!(1000)),
        ("float", "'49.5' | float", json!(49.5)),
        ("int", "true | int", json!(1)),
        ("int", "[user.custom_attributes.n, 3, 1.5] | min | int", json!(1)),
        ("int", "[user.custom_attributes.n, 3, 1] | sum", json!(4)),
        ("int", "[] | sum", json!(0)),
        ("string", "['b', none, 'B', 'a'] | sort | join(',')", json!("B,a,b")),
        ("string", "['a', 'A', 'a', none] | unique | join(',')", json!("a,A")),
        ("int", "[1, true, '1', 1.0] | unique | length", json!(3)),
        ("string", "user.tags.tags | map(attribute='name') | join('-')", json!("vip")),
        ("bool", "'TRUE ' | bool", json!(true)),
        ("bool", "'no' | bool", json!(false)),
        ("bool", "0 | bool", json!(false)),
        ("bool", "false | bool", json!(false)),
    ] {
        assert_eq!(result(kind, value, body.clone()), Some(expected), "{value}");
    }
}

/// `selectattr` with a field alone tests whether the field is true.
#[test]
fn a_list_is_filtered_by_true_and_false_only() {
    let tags = |on: &[Json]| json!({"tags": {"tags": on.iter().map(|on| json!({"name": on})).collect::<Vec<_>>()}});
    let count = "user.tags.tags | selectattr('name') | length";
    assert_eq!(result("int", count, tags(&[json!(true), json!(false), json!(null)])), Some(json!(1)));
    assert_eq!(failure("int", count, tags(&[json!("true")])), "wrong_type");
    let rest = "user.tags.tags | rejectattr('name', 'eq', 'a') | length";
    assert_eq!(result("int", rest, tags(&[json!("a"), json!("b")])), Some(json!(1)));
}
