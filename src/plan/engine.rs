//! The one minijinja environment of the process: only what a plan may use, without clock, randomness or loops.

use std::sync::LazyLock;

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, filters, tests};

use super::failure::{Failure, FailureCode};
use super::language::{self, Shape};
use super::operators::{self, is_present};
use super::table::Scope;

/// Instructions that one expression may cost for one user; a sensible one takes some tens.
const FUEL: u64 = 10_000;

/// Operators are called under names that no plan can spell, since a filter's name there must be in `language`.
pub(super) fn internal(operator: &str) -> String {
    format!("plan_{operator}")
}

/// Shared by all plans, so that a compiled expression can be kept without borrowing from its plan.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    add_operators(&mut engine);
    add_own_filters(&mut engine);
    add_builtin_filters(&mut engine);
    add_tests(&mut engine);
    engine
});

fn add_operators(engine: &mut Environment<'static>) {
    for name in operators::ARITHMETIC {
        engine.add_filter(internal(name), move |left: &Value, right: &Value| {
            operators::arithmetic(name, left, right).map_err(Error::from)
        });
    }
    for name in operators::COMPARISONS {
        engine.add_filter(internal(name), move |left: &Value, right: &Value| {
            operators::comparison(name, left, right).map_err(Error::from)
        });
    }
    engine.add_filter(internal("negate"), |value: &Value| {
        operators::arithmetic("subtract", &Value::from(0), value).map_err(Error::from)
    });
    engine.add_filter(internal("look_up"), |state: &State<'_, '_>, key: &Value, table: &str, personal: bool| {
        with_scope(state, |scope| scope.look_up(table, key, personal))
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

fn add_own_filters(engine: &mut Environment<'static>) {
    engine.add_filter("domain", domain);
    engine.add_filter("default", |value: Value, other: Value| if is_present(&value) { value } else { other });
    engine.add_filter(internal("pluck"), pluck);
    engine.add_filter("string", |value: Value| if is_present(&value) { text(&value) } else { Ok(value) });
}

/// One field of each item: the engine's `map` with a keyword, which a wrapped filter cannot pass on.
fn pluck(items: Value, field: &str) -> Result<Value, Error> {
    if !is_present(&items) {
        return Ok(items);
    }
    let fields = items.try_iter()?.map(|item| item.get_attr(field).unwrap_or_default());
    Ok(Value::from(fields.collect::<Vec<_>>()))
}

/// The part after the last @, lower-cased; undefined unless there is something on both sides of it.
fn domain(value: &Value) -> Value {
    let parts = value.as_str().and_then(|text| text.trim().rsplit_once('@'));
    match parts {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains(char::is_whitespace) => {
            Value::from(domain.to_lowercase())
        }
        _ => Value::UNDEFINED,
    }
}

/// The builtin filters that a plan may use; each passes a missing value through instead of failing or inventing one.
fn add_builtin_filters(engine: &mut Environment<'static>) {
    engine.add_filter(internal("lower"), filters::lower);
    engine.add_filter(internal("upper"), filters::upper);
    engine.add_filter(internal("title"), filters::title);
    engine.add_filter(internal("capitalize"), filters::capitalize);
    engine.add_filter(internal("trim"), filters::trim);
    engine.add_filter(internal("replace"), filters::replace);
    engine.add_filter(internal("split"), filters::split);
    engine.add_filter(internal("length"), filters::length);
    engine.add_filter(internal("join"), filters::join);
    engine.add_filter(internal("first"), filters::first);
    engine.add_filter(internal("last"), filters::last);
    engine.add_filter(internal("min"), filters::min);
    engine.add_filter(internal("max"), filters::max);
    engine.add_filter(internal("sum"), filters::sum);
    engine.add_filter(internal("sort"), filters::sort);
    engine.add_filter(internal("unique"), filters::unique);
    engine.add_filter(internal("map"), filters::map);
    engine.add_filter(internal("selectattr"), filters::selectattr);
    engine.add_filter(internal("rejectattr"), filters::rejectattr);
    engine.add_filter(internal("int"), filters::int);
    engine.add_filter(internal("float"), filters::float);
    engine.add_filter(internal("round"), filters::round);
    engine.add_filter(internal("abs"), filters::abs);
    for filter in language::FILTERS.iter().filter(|filter| filter.builtin) {
        let builtin = internal(filter.name);
        engine.add_filter(filter.name, move |state: &mut State<'_, '_>, value: Value, rest: Rest<Value>| {
            // A test's argument may be none; another filter's missing argument leaves nothing to work with.
            let complete = filter.shape == Shape::Chosen || rest.iter().all(is_present);
            if !is_present(&value) || !complete {
                return Ok(Value::UNDEFINED);
            }
            let value = if filter.shape == Shape::Text { text(&value)? } else { value };
            let mut arguments = vec![value];
            arguments.extend(rest.0);
            state.apply_filter(&builtin, &arguments)
        });
    }
}

fn text(value: &Value) -> Result<Value, Error> {
    let text = operators::plain_text(value).map(Value::from);
    text.ok_or_else(|| {
        let message = "a list or an object has no text; `| join` makes one of a list";
        FailureCode::WrongType.because(message).into()
    })
}

fn add_tests(engine: &mut Environment<'static>) {
    engine.add_test("present", is_present);
    engine.add_test("defined", tests::is_defined);
    engine.add_test("undefined", tests::is_undefined);
    engine.add_test("none", tests::is_none);
    engine.add_test("string", tests::is_string);
    engine.add_test("number", tests::is_number);
    engine.add_test("integer", tests::is_integer);
    engine.add_test("float", tests::is_float);
    engine.add_test("boolean", tests::is_boolean);
    engine.add_test("true", tests::is_true);
    engine.add_test("false", tests::is_false);
    engine.add_test("odd", tests::is_odd);
    engine.add_test("even", tests::is_even);
    engine.add_test("divisibleby", tests::is_divisibleby);
    engine.add_test("startingwith", |value: &Value, start: &Value| text_test(value, start, |a, b| a.starts_with(b)));
    engine.add_test("endingwith", |value: &Value, end: &Value| text_test(value, end, |a, b| a.ends_with(b)));
    engine.add_test("eq", |left: &Value, right: &Value| {
        operators::comparison("equals", left, right).is_ok_and(|yes| yes)
    });
    engine.add_test("ne", |left: &Value, right: &Value| {
        operators::comparison("differs", left, right).is_ok_and(|yes| yes)
    });
}

/// A question about two texts: no where one is missing, a failure where one is no text.
fn text_test(value: &Value, part: &Value, holds: fn(&str, &str) -> bool) -> Result<bool, Error> {
    if !is_present(value) || !is_present(part) {
        return Ok(false);
    }
    match (value.as_str(), part.as_str()) {
        (Some(value), Some(part)) => Ok(holds(value, part)),
        _ => Err(FailureCode::WrongType.because("`startingwith` and `endingwith` take texts").into()),
    }
}
