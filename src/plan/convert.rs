//! Filters that convert a value to another type, and times of dates.

use minijinja::value::Value;

use super::comparison::{Type, same};
use super::dates::{DATE_MAX_S, DAY_S, day_of, unix_seconds};
use super::failure::{Failure, FailureCode};
use super::operators::{Number, too_large};
use super::value::INT_MAX;

/// Parses a number of digits, sign, point and exponent. Words such as NaN or infinity are refused.
fn parse(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.chars().any(|c| c.is_alphabetic() && !matches!(c, 'e' | 'E')) {
        return None;
    }
    text.parse().map(Number::Int).or_else(|_| text.parse().map(Number::Float)).ok()
}

fn number(value: &Value) -> Result<Option<Number>, Failure> {
    match value.as_str() {
        Some(text) => Ok(parse(text)),
        None if Type::of(value) == Some(Type::Bool) => Ok(Some(Number::Int(value.is_true().into()))),
        None => Number::of(value).map(Some),
    }
}

/// Converts to a whole number; a fraction is cut off.
pub(super) fn int(value: &Value) -> Result<Option<Value>, Failure> {
    match number(value)? {
        None => Ok(None),
        Some(Number::Int(int)) => Ok(Some(Value::from(int))),
        Some(Number::Float(float)) if float.abs() <= INT_MAX as f64 => Ok(Some(Value::from(float.trunc() as i64))),
        Some(Number::Float(_)) => {
            Err(FailureCode::NumberTooLarge
                .because("`int` takes a number between -2^53 and 2^53; `| float` takes others"))
        }
    }
}

pub(super) fn float(value: &Value) -> Result<Option<Value>, Failure> {
    match number(value)?.map(Number::float) {
        None => Ok(None),
        Some(float) if float.is_finite() => Ok(Some(Value::from(float))),
        Some(_) => Err(too_large()),
    }
}

/// Converts a text or a number that spells true or false.
pub(super) fn to_bool(value: &Value) -> Option<Value> {
    if Type::of(value) == Some(Type::Bool) {
        return Some(value.clone());
    }
    let is = |number: i64| same(value, &Value::from(number));
    let text = value.as_str().map(|text| text.trim().to_lowercase());
    match text.as_deref() {
        Some("true" | "yes" | "on" | "1") => Some(Value::from(true)),
        Some("false" | "no" | "off" | "0") => Some(Value::from(false)),
        None if is(1) => Some(Value::from(true)),
        None if is(0) => Some(Value::from(false)),
        _ => None,
    }
}

/// Converts to Unix seconds; a number is already in Unix seconds.
pub(super) fn seconds(value: &Value) -> Option<Value> {
    match value.as_str() {
        Some(text) => unix_seconds(text).map(Value::from),
        None => (Type::of(value) == Some(Type::Number)).then(|| value.clone()),
    }
}

/// Counts the midnights in UTC from one time to another: 1 from any time of a day to any time of
/// the next.
pub(super) fn days_until(from: &Value, to: &Value, needs: &'static str) -> Result<Value, Failure> {
    let day = |value: &Value| {
        if Type::of(value) != Some(Type::Number) {
            return Err(FailureCode::FilterFailed.because(needs));
        }
        let seconds = Number::of(value)?.float().floor();
        if seconds.abs() > DATE_MAX_S as f64 {
            return Err(FailureCode::NotUnixSeconds.because("the date is in milliseconds; divide by 1000 with //"));
        }
        Ok(day_of(seconds as i64) / DAY_S)
    };
    Ok(Value::from(day(to)? - day(from)?))
}
