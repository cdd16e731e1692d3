//! The one minijinja environment of the process. It contains only what a plan may use: no clock, no
//! randomness, no loops.

use std::sync::LazyLock;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, tests};

use super::comparison::{self, Type};
use super::failure::{Failure, FailureCode};
use super::filters;
use super::operators::{self, is_present};
use super::table::Scope;

/// The most instructions of one expression for one user; a typical one needs some tens.
const FUEL: u64 = 10_000;

/// Returns the engine's name of an operator. No plan can use that name, because a plan's filters
/// must be in `language`.
pub(super) fn internal(operator: &str) -> String {
    format!("plan_{operator}")
}

/// Shared by all plans, so that a compiled expression does not borrow from its plan.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    add_operators(&mut engine);
    filters::add(&mut engine);
    add_tests(&mut engine);
    engine
});

fn add_operators(engine: &mut Environment<'static>) {
    for name in operators::ARITHMETIC {
        engine.add_filter(internal(name), move |left: &Value, right: &Value| {
            operators::arithmetic(name, left, right).map_err(Error::from)
        });
    }
    for name in comparison::COMPARISONS {
        engine.add_filter(internal(name), move |left: &Value, right: &Value| {
            comparison::comparison(name, left, right).map_err(Error::from)
        });
    }
    engine.add_filter(internal("negate"), |value: &Value| {
        operators::arithmetic("subtract", &Value::from(0), value).map_err(Error::from)
    });
    engine.add_filter(internal("truth"), |value: &Value| comparison::truth(value).map_err(Error::from));
    engine.add_filter(internal("look_up"), |state: &State<'_, '_>, key: &Value, table: &str, personal: bool| {
        with_scope(state, |scope| scope.look_up(table, key, personal))
    });
    engine.add_filter(internal("look_up_each"), |state: &State<'_, '_>, keys: &Value, table: &str, personal: bool| {
        if !is_present(keys) {
            return Ok(Value::UNDEFINED);
        }
        let keys: Vec<Value> = keys.try_iter()?.collect();
        with_scope(state, |scope| {
            keys.iter().map(|key| scope.look_up(table, key, personal)).collect::<Result<Vec<_>, _>>()
        })
        .map(Value::from)
    });
    engine.add_filter(internal("has_key"), |state: &State<'_, '_>, key: &Value, table: &str| {
        with_scope(state, |scope| scope.has_key(table, key))
    });
}

fn with_scope<T>(state: &State<'_, '_>, ask: impl FnOnce(&Scope) -> Result<T, Failure>) -> Result<T, Error> {
    let value = state.lookup(Scope::NAME);
    let scope = value.as_ref().and_then(|value| value.downcast_object_ref::<Scope>());
    ask(scope.ok_or_else(|| Error::from(ErrorKind::UndefinedError))?).map_err(Error::from)
}

fn add_tests(engine: &mut Environment<'static>) {
    engine.add_test("present", is_present);
    engine.add_test("blank", is_blank);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("undefined", tests::is_undefined);
    engine.add_test("none", tests::is_none);
    engine.add_test("string", tests::is_string);
    engine.add_test("number", tests::is_number);
    engine.add_test("integer", tests::is_integer);
    engine.add_test("float", tests::is_float);
    engine.add_test("boolean", tests::is_boolean);
    engine.add_test("true", |value: &Value| is_bool(value, true));
    engine.add_test("false", |value: &Value| is_bool(value, false));
    engine.add_test("odd", |value: &Value| divides(value, 2).map(|even| even == Some(false)));
    engine.add_test("even", |value: &Value| divides(value, 2).map(|even| even == Some(true)));
    engine.add_test("divisibleby", |value: &Value, by: &Value| match (Type::of(by), i64::try_from(by.clone())) {
        (None, _) => Ok(false),
        (Some(Type::Number), Ok(by)) if by != 0 => divides(value, by).map(|divides| divides == Some(true)),
        _ => Err(Error::from(FailureCode::WrongType.because("`divisibleby` takes a whole number other than 0"))),
    });
    engine.add_test("startingwith", |value: &Value, start: &Value| text_test(value, start, |a, b| a.starts_with(b)));
    engine.add_test("endingwith", |value: &Value, end: &Value| text_test(value, end, |a, b| a.ends_with(b)));
    engine.add_test("eq", |left: &Value, right: &Value| {
        comparison::comparison("equals", left, right).map_err(Error::from)
    });
    engine.add_test("ne", |left: &Value, right: &Value| {
        comparison::comparison("differs", left, right).map_err(Error::from)
    });
}

/// Returns whether a value is missing, a text of white space alone, or an empty list.
fn is_blank(value: &Value) -> bool {
    match Type::of(value) {
        None => true,
        Some(Type::Text) => value.as_str().is_some_and(|text| text.trim().is_empty()),
        Some(Type::List) => value.len() == Some(0),
        Some(_) => false,
    }
}

/// Evaluates `is true` and `is false`, which are false if the value is missing.
fn is_bool(value: &Value, wanted: bool) -> Result<bool, Error> {
    Ok(is_present(value) && comparison::truth(value)? == wanted)
}

/// Returns whether a whole number is a multiple; `None` if the value is missing.
fn divides(value: &Value, by: i64) -> Result<Option<bool>, Error> {
    match (Type::of(value), i64::try_from(value.clone())) {
        (None, _) => Ok(None),
        (Some(Type::Number), Ok(int)) => Ok(Some(int.checked_rem(by).is_none_or(|rest| rest == 0))),
        _ => {
            let message = "`odd`, `even` and `divisibleby` take a whole number; `| int` makes one of a text";
            Err(FailureCode::WrongType.because(message).into())
        }
    }
}

/// Evaluates a test of two texts: false if one is missing, a failure if one is not a text.
fn text_test(value: &Value, part: &Value, holds: fn(&str, &str) -> bool) -> Result<bool, Error> {
    if !is_present(value) || !is_present(part) {
        return Ok(false);
    }
    if let (Some(value), Some(part)) = (value.as_str(), part.as_str()) {
        return Ok(holds(value, part));
    }
    let message = "`startingwith` and `endingwith` take texts; `| string` makes one of a number";
    Err(FailureCode::WrongType.because(message).into())
}
