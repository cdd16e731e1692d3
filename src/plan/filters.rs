//! The filters of the language. A filter returns a missing value unchanged. For a value of a type
//! that it does not accept, it fails with a message that names the filter.

use std::collections::BTreeSet;

use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State, filters};

use super::comparison::{Type, truth};
use super::convert::{days_until, float, int, seconds, to_bool};
use super::engine::internal;
use super::failure::{Failure, FailureCode};
use super::language::{FILTERS, FilterWord, Shape, Takes};
use super::operators::{self, Number, is_present, plain_text, too_large};
use super::value::TEXT_CHARS_MAX;

pub(super) fn add(engine: &mut Environment<'static>) {
    engine.add_filter(internal("pluck"), pluck);
    // The engine's own filters that do not guess. They get only values of the type that they
    // accept.
    engine.add_filter(internal("lower"), filters::lower);
    engine.add_filter(internal("upper"), filters::upper);
    engine.add_filter(internal("title"), filters::title);
    engine.add_filter(internal("capitalize"), filters::capitalize);
    engine.add_filter(internal("trim"), filters::trim);
    engine.add_filter(internal("replace"), filters::replace);
    engine.add_filter(internal("split"), filters::split);
    engine.add_filter(internal("length"), filters::length);
    engine.add_filter(internal("first"), filters::first);
    engine.add_filter(internal("last"), filters::last);
    engine.add_filter(internal("round"), filters::round);
    for word in FILTERS {
        engine.add_filter(word.name, move |state: &mut State<'_, '_>, value: Value, rest: Rest<Value>| {
            filter(state, word, value, &rest.0)
        });
    }
}

/// Calls a filter.
fn filter(state: &mut State<'_, '_>, word: &FilterWord, value: Value, rest: &[Value]) -> Result<Value, Error> {
    if word.name == "default" {
        return Ok(if is_present(&value) { value } else { rest.first().cloned().unwrap_or_default() });
    }
    // A test's argument may be none. Any other filter with a missing argument is undefined.
    if !is_present(&value) || (word.shape != Shape::Chosen && !rest.iter().all(is_present)) {
        return Ok(Value::UNDEFINED);
    }
    if !takes(word.takes, &value) {
        let code = if word.takes == Takes::Scalar { FailureCode::WrongType } else { FailureCode::FilterFailed };
        return Err(code.because(word.needs).into());
    }
    let value = if word.shape == Shape::Text { plain_text(&value).map_or(value, Value::from) } else { value };
    let result = call(state, word, value, rest).map_err(|error| named(&error, word))?;
    let finite = Type::of(&result) != Some(Type::Number) || Number::of(&result).is_ok_and(|n| n.float().is_finite());
    if finite { Ok(result) } else { Err(too_large().into()) }
}

fn takes(takes: Takes, value: &Value) -> bool {
    match (takes, Type::of(value)) {
        (Takes::Any, _) => true,
        (Takes::Scalar, found) => matches!(found, Some(Type::Text | Type::Number | Type::Bool)),
        (Takes::Text, found) => found == Some(Type::Text),
        (Takes::Number, found) => found == Some(Type::Number),
        (Takes::List, found) => found == Some(Type::List),
        (Takes::TextOrList, found) => matches!(found, Some(Type::Text | Type::List)),
    }
}

/// Replaces an error of the engine by the filter's own message. Our failures and spent fuel stay
/// unchanged.
fn named(error: &Error, word: &FilterWord) -> Error {
    let ours = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Failure>);
    let failure = if ours || error.kind() == ErrorKind::OutOfFuel {
        Failure::from(error)
    } else {
        FailureCode::FilterFailed.because(word.needs)
    };
    failure.into()
}

fn call(state: &mut State<'_, '_>, word: &FilterWord, value: Value, rest: &[Value]) -> Result<Value, Error> {
    let refused = || Error::from(FailureCode::FilterFailed.because(word.needs));
    Ok(match word.name {
        "domain" => domain(&value),
        "truncate" => truncate(&value, rest.first()).ok_or_else(refused)?,
        "join" => join(&value, rest.first())?,
        "sum" => present(&value)?.iter().try_fold(Value::from(0), |sum, item| operators::sum(&sum, item))?,
        "min" => ordered(&value)?.into_iter().next().unwrap_or_default(),
        "max" => ordered(&value)?.pop().unwrap_or_default(),
        "sort" => Value::from(ordered(&value)?),
        "unique" => unique(&value)?,
        "map" => map(state, &value, rest)?,
        "selectattr" => chosen(state, &value, rest, true)?,
        "rejectattr" => chosen(state, &value, rest, false)?,
        "int" => int(&value)?.ok_or_else(refused)?,
        "float" => float(&value)?.ok_or_else(refused)?,
        "bool" => to_bool(&value).ok_or_else(refused)?,
        "string" => plain_text(&value).map(Value::from).ok_or_else(refused)?,
        "abs" => match Number::of(&value)? {
            Number::Int(int) => Value::from(int.checked_abs().ok_or_else(too_large)?),
            Number::Float(float) => Value::from(float.abs()),
        },
        "unix_seconds" => seconds(&value).ok_or_else(refused)?,
        "days_until" => days_until(&value, rest.first().ok_or_else(refused)?, word.needs)?,
        name => {
            let mut arguments = vec![value];
            arguments.extend(rest.iter().cloned());
            state.apply_filter(&internal(name), &arguments)?
        }
    })
}

/// Returns one field of each item.
fn pluck(items: Value, field: &str) -> Result<Value, Error> {
    if !is_present(&items) {
        return Ok(items);
    }
    if Type::of(&items) != Some(Type::List) {
        return Err(FailureCode::FilterFailed
            .because("`map` takes a list; read the field of one object with a dot")
            .into());
    }
    let fields = items.try_iter()?.map(|item| item.get_attr(field).unwrap_or_default());
    Ok(Value::from(fields.collect::<Vec<_>>()))
}

/// Returns the part after the last @, in lower case and without a dot at its end. Undefined unless
/// there is text on both sides of the @.
pub(super) fn domain(value: &Value) -> Value {
    let parts = value.as_str().and_then(|text| text.trim().rsplit_once('@'));
    let parts = parts.map(|(local, domain)| (local, domain.trim_end_matches('.')));
    match parts {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains(char::is_whitespace) => {
            Value::from(domain.to_lowercase())
        }
        _ => Value::UNDEFINED,
    }
}

/// Returns the first characters, as Intercom counts them. It also removes white space at the cut,
/// because Intercom trims texts, and a different stored value would be sent again in every run. It
/// also removes the joiner of a cut emoji.
fn truncate(value: &Value, most: Option<&Value>) -> Option<Value> {
    const JOINER: char = '\u{200d}';
    let text = value.as_str()?;
    let most = match most {
        None => TEXT_CHARS_MAX,
        Some(most) if Type::of(most) == Some(Type::Number) => usize::try_from(most.clone()).ok()?,
        Some(_) => return None,
    };
    Some(match text.char_indices().nth(most) {
        None => value.clone(),
        Some((end, _)) => Value::from(text[..end].trim_end_matches(|c: char| c.is_whitespace() || c == JOINER)),
    })
}

/// Returns the items that are neither undefined nor null.
fn present(list: &Value) -> Result<Vec<Value>, Error> {
    Ok(list.try_iter()?.filter(is_present).collect())
}

fn join(list: &Value, between: Option<&Value>) -> Result<Value, Error> {
    let failed = FailureCode::FilterFailed.because("`join` takes a list of texts and numbers, and a text between them");
    let between = match between {
        None => "",
        Some(between) => between.as_str().ok_or(failed)?,
    };
    let mut text = String::new();
    for (index, item) in present(list)?.iter().enumerate() {
        if index > 0 {
            text.push_str(between);
        }
        text.push_str(&plain_text(item).ok_or(failed)?);
        if text.len() > operators::TEXT_BYTES_MAX {
            break;
        }
    }
    Ok(operators::bounded(text)?)
}

/// Returns the items in order. They must be all numbers or all texts.
fn ordered(list: &Value) -> Result<Vec<Value>, Error> {
    let mut items = present(list)?;
    let first = items.first().and_then(Type::of);
    let alike = items.iter().all(|item| Type::of(item) == first);
    if !alike || !matches!(first, None | Some(Type::Number | Type::Text)) {
        let message = "`min`, `max` and `sort` take numbers or texts, not both: `| map('float')` or `| map('string')` \
                       makes the items alike";
        return Err(FailureCode::WrongType.because(message).into());
    }
    items.sort();
    Ok(items)
}

/// Returns each item once, in the order of first occurrence. Items of different types are
/// different.
fn unique(list: &Value) -> Result<Value, Error> {
    let mut seen = BTreeSet::new();
    let mut items = present(list)?;
    items.retain(|item| seen.insert((Type::of(item), item.clone())));
    Ok(Value::from(items))
}

/// Applies a filter to each item.
fn map(state: &mut State<'_, '_>, list: &Value, rest: &[Value]) -> Result<Value, Error> {
    let name = rest.first().and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = list.try_iter()?.map(|item| state.apply_filter(&name, &[item]));
    items.collect::<Result<Vec<_>, _>>().map(Value::from)
}

/// Returns the items whose field passes the test (or fails it). Without a test, the field itself
/// must be true or false.
fn chosen(state: &mut State<'_, '_>, list: &Value, rest: &[Value], wanted: bool) -> Result<Value, Error> {
    let argument = |at: usize| rest.get(at).and_then(Value::as_str);
    let field = argument(0).unwrap_or_default();
    let mut items = Vec::new();
    for item in list.try_iter()? {
        let value = item.get_attr(field).unwrap_or_default();
        let holds = match argument(1) {
            None => truth(&value)?,
            Some(test) => {
                let mut arguments = vec![value];
                arguments.extend(rest.iter().skip(2).cloned());
                state.perform_test(test, &arguments)?
            }
        };
        if holds == wanted {
            items.push(item);
        }
    }
    Ok(Value::from(items))
}
