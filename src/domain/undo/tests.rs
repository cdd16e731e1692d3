use proptest::prelude::*;
use serde_json::json;

use super::*;

fn target() -> Target {
    Target::Attribute("plan".to_owned())
}

/// A change from one value to another. An absent value is the text `absent`.
fn change(old: &Value, new: Value) -> Change {
    let replaced = (*old != json!("absent")).then(|| old.clone());
    Change { target: target(), new, replaced }
}

#[expect(clippy::needless_pass_by_value, reason = "a table's values are written in its rows")]
fn done(old: Value, new: Value) -> Made {
    Made { change: change(&old, new), is_done: true }
}

fn maybe(old: Value, new: Value) -> Made {
    Made { is_done: false, ..done(old, new) }
}

/// Returns the outcome as text: the restored value, or the word of the reason.
fn outcome(made: &[Made], found: Option<&Value>) -> String {
    let made: Vec<&Made> = made.iter().collect();
    match undo(&made, found, |_, _| false) {
        Some(Undone::Restored(change)) => {
            assert_eq!(change.replaced.as_ref(), found);
            change.new.to_string()
        }
        Some(Undone::Stays(why)) => why.word().to_owned(),
        None => "nothing".to_owned(),
    }
}

#[test]
fn every_outcome_of_one_change() {
    let long = "a long text about this user, and more";
    for (old, new, found, expected) in [
        (json!("a"), json!("b"), Some(json!("b")), "\"a\""),
        (json!("a"), json!("b"), Some(json!("a")), "not_written"),
        (json!("a"), json!("b"), Some(json!("z")), "changed_since"),
        (json!("a"), json!("b"), Some(json!(null)), "changed_since"),
        (json!("a"), json!("b"), None, "changed_since"),
        (json!("a"), json!("b"), Some(json!("")), "changed_since"),
        (json!("a"), json!("b"), Some(json!(" ")), "changed_since"),
        (json!("a"), json!(""), Some(json!("")), "\"a\""),
        (json!("a"), json!(" "), Some(json!("")), "\"a\""),
        (json!(""), json!("b"), Some(json!("")), "not_written"),
        // Null and absent are equal.
        (json!("absent"), json!("b"), Some(json!("b")), "null"),
        (json!(null), json!("b"), Some(json!("b")), "null"),
        (json!("absent"), json!("b"), Some(json!(null)), "not_written"),
        (json!(null), json!("b"), None, "not_written"),
        (json!("a"), json!(null), Some(json!(null)), "\"a\""),
        (json!("a"), json!(null), None, "\"a\""),
        (json!("a"), json!(null), Some(json!("z")), "changed_since"),
        // The value as Intercom kept it.
        (json!(1), json!(49), Some(json!(49.0)), "1"),
        (json!(1), json!(49.5), Some(json!("49.5")), "1"),
        (json!("a"), json!(" b "), Some(json!("b")), "\"a\""),
        (json!("a"), json!(long), Some(json!(&long[..31])), "\"a\""),
        (json!(false), json!(true), Some(json!(true)), "false"),
    ] {
        let said = outcome(&[done(old.clone(), new.clone())], found.as_ref());
        assert_eq!(said, expected, "{old} → {new}, now {found:?}");
        let said = outcome(&[maybe(old.clone(), new.clone())], found.as_ref());
        assert_eq!(said, expected, "a request without a known end tells by its value: {old} → {new}, now {found:?}");
    }
    assert_eq!(outcome(&[], Some(&json!("b"))), "nothing");
}

#[test]
fn user_written_twice_gets_the_oldest_value() {
    let [a, b, c, z] = ["a", "b", "c", "z"].map(|text| json!(text));
    let (done, maybe) = (
        |old: &Value, new: &Value| done(old.clone(), new.clone()),
        |old: &Value, new: &Value| maybe(old.clone(), new.clone()),
    );
    for (name, made, found, expected) in [
        ("something else set z in between", vec![done(&a, &b), done(&z, &b)], &b, "\"a\""),
        ("a lagging list", vec![done(&a, &b), done(&a, &b)], &b, "\"a\""),
        ("another value in the second generation", vec![done(&a, &b), done(&b, &c)], &c, "\"a\""),
        ("the value of the first write came back", vec![done(&a, &b), done(&b, &c)], &b, "changed_since"),
        ("the second write set the oldest value", vec![done(&a, &b), done(&b, &a)], &a, "not_written"),
        ("restored already", vec![done(&a, &b), done(&z, &b)], &a, "not_written"),
        ("the value between the writes", vec![done(&a, &b), done(&z, &b)], &z, "changed_since"),
        ("a first request without a known end, alike", vec![maybe(&a, &b), done(&a, &b)], &b, "\"a\""),
        ("a first request without a known end, unlike", vec![maybe(&a, &b), done(&z, &b)], &b, "unsure"),
        ("its old value is there", vec![maybe(&a, &b), done(&z, &b)], &a, "not_written"),
        ("a last request without a known end that had no effect", vec![done(&a, &b), maybe(&b, &c)], &b, "\"a\""),
        ("a last request without a known end that had one", vec![done(&a, &b), maybe(&b, &c)], &c, "\"a\""),
        ("a last request of an older reading", vec![done(&a, &b), maybe(&z, &c)], &c, "\"a\""),
        ("two without a known end, alike", vec![maybe(&a, &b), maybe(&a, &b)], &b, "\"a\""),
        ("two without a known end: the first one tells", vec![maybe(&a, &b), maybe(&z, &c)], &b, "\"a\""),
        ("two without a known end: the second one tells", vec![maybe(&a, &b), maybe(&z, &c)], &c, "unsure"),
        ("neither of two without a known end", vec![maybe(&a, &b), maybe(&b, &c)], &z, "changed_since"),
    ] {
        assert_eq!(outcome(&made, Some(found)), expected, "{name}");
    }
}

#[test]
fn a_name_is_compared_with_its_escaped_form() {
    let change = Change { target: Target::Field("name".into()), new: json!("A & B"), replaced: Some(json!("C & D")) };
    let made = Made { change, is_done: true };
    let undone = |found: &str| undo(&[&made], Some(&json!(found)), |_, _| false).unwrap();
    for found in ["A & B", "A &amp; B"] {
        assert!(matches!(undone(found), Undone::Restored(change) if change.new == json!("C & D")), "{found}");
    }
    assert_eq!(undone("C &amp; D"), Undone::Stays(Stays::NotWritten));
    assert_eq!(undone("E"), Undone::Stays(Stays::ChangedSince));
}

#[test]
fn values_that_the_api_shows_alike_are_equal() {
    let made = done(json!(null), json!("b"));
    let shows_empty = |one: &Value, other: &Value| one.is_null() && *other == json!("");
    assert_eq!(undo(&[&made], Some(&json!("")), shows_empty), Some(Undone::Stays(Stays::NotWritten)));
}

#[test]
fn each_value_of_a_user_is_decided_alone() {
    let made = |target: Target, old: &str, new: &str| Made {
        change: Change { target, new: json!(new), replaced: Some(json!(old)) },
        is_done: true,
    };
    let attribute = |name: &str| Target::Attribute(name.to_owned());
    let all = [
        made(attribute("x"), "a", "b"),
        made(attribute("y"), "a", "b"),
        made(Target::CompanyName("c1".into()), "a", "b"),
        made(Target::CompanyName("c2".into()), "a", "b"),
        made(attribute("x"), "q", "b"),
    ];
    let (b, z) = (json!("b"), json!("z"));
    let found = |target: &Target| match target {
        Target::CompanyName(id) if id == "c2" => None,
        Target::Attribute(name) if name == "y" => Some(Some(&z)),
        _ => Some(Some(&b)),
    };
    let user = UserId::new("u1").unwrap();
    let UndoneUser { patch, stays } = undo_user(&user, &all, found, |_, _, _| false);
    let restored: Vec<_> = patch.unwrap().changes.into_iter().map(|change| (change.target, change.new)).collect();
    assert_eq!(restored, [(attribute("x"), json!("a")), (Target::CompanyName("c1".into()), json!("a"))]);
    let expected = [(attribute("y"), Stays::ChangedSince), (Target::CompanyName("c2".into()), Stays::ChangedSince)];
    assert_eq!(stays, expected);
}

#[test]
fn a_made_change_keeps_its_stored_form() {
    for (made, stored) in [
        (done(json!("absent"), json!(1)), json!({"t": {"attribute": "plan"}, "n": 1, "d": true})),
        (maybe(json!(null), json!(1)), json!({"t": {"attribute": "plan"}, "n": 1, "o": null})),
    ] {
        assert_eq!(serde_json::to_value(&made).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Made>(stored).unwrap(), made);
    }
}

proptest! {
    /// Nothing is restored unless the run's value is there, and then only a value that was there before.
    #[test]
    fn only_a_value_that_was_there_before_is_restored(
        steps in prop::collection::vec((0u8..4, 4u8..8, any::<bool>()), 1..5),
        present in 0u8..9,
    ) {
        let made: Vec<Made> = steps
            .iter()
            .map(|(old, new, is_done)| Made { is_done: *is_done, ..done(json!(old), json!(new)) })
            .collect();
        let refs: Vec<&Made> = made.iter().collect();
        let found = json!(present);
        if let Some(Undone::Restored(change)) = undo(&refs, Some(&found), |_, _| false) {
            prop_assert!(steps.iter().any(|(_, new, _)| *new == present));
            prop_assert!(steps.iter().any(|(old, _, _)| json!(old) == change.new));
            prop_assert_ne!(change.new, found);
        }
    }

    /// A chain of writes that were all carried out goes back to its begin.
    #[test]
    fn a_chain_of_writes_goes_back_to_its_begin(values in prop::collection::vec(0u8..200, 2..6)) {
        let made: Vec<Made> = values.windows(2).map(|of| done(json!(of[0]), json!(of[1]))).collect();
        let refs: Vec<&Made> = made.iter().collect();
        let (first, last) = (values[0], values[values.len() - 1]);
        // A step without a change is no write.
        prop_assume!(values.windows(2).all(|of| of[0] != of[1]) && first != last);
        let undone = undo(&refs, Some(&json!(last)), |_, _| false);
        prop_assert!(matches!(undone, Some(Undone::Restored(change)) if change.new == json!(first)));
    }
}
