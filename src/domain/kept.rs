//! Compares a written value with the value that a later read shows.
//!
//! A value that another program set since then is no fault of the run. A value that Intercom dropped
//! or stored in another form is: the plan's value is not there, and the next run sends it again.

use serde_json::Value;

use crate::domain::html;
use crate::domain::patch::Change;

/// The fate of a written value, as a later read shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The value is there.
    Kept,
    /// The old value is there, or the written one in another form.
    NotKept(Form),
    /// Another value is there: something else set it after the write.
    ChangedSince,
}

/// The form in which a written value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// The value from before the write.
    Old,
    /// No value, or null.
    Null,
    /// Without whitespace at its ends, or with other whitespace.
    Trimmed,
    /// The beginning of the text.
    Cut,
    /// The HTML form of the text, or the text of the HTML form.
    Escaped,
    /// In capital or small letters.
    Case,
    /// As a value of another type.
    Coerced,
    /// The number with fewer digits.
    Rounded,
}

/// Decimal digits that a JSON number of 64 bits can have.
const DIGITS_MAX: i32 = 17;
/// Decimal digits that a whole number keeps at least: 6 is what `%g` of C prints.
const WHOLE_DIGITS: i32 = 6;

/// Returns whether two values are equal: 49 and 49.0 are, 49 and "49" are not.
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_i64(), other.as_i64()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        _ => one == other,
    }
}

/// Returns whether two names are equal, or one is the HTML form of the other: Intercom's API 1.x
/// returns names as HTML.
pub fn is_same_name(one: &Value, other: &Value) -> bool {
    matches!((one, other), (Value::String(one), Value::String(other)) if html::is_same(one, other))
}

/// Compares a change with the value that is there now; `None` if there is none. `equal` decides
/// whether the API shows the first value as the second by its own rules.
pub fn fate(change: &Change, found: Option<&Value>, equal: impl Fn(&Value, &Value) -> bool) -> Fate {
    let Change { target, new, replaced } = change;
    let found = found.unwrap_or(&Value::Null);
    let is_equal = |one: &Value, other: &Value| {
        is_same(one, other) || equal(one, other) || target.is_name() && is_same_name(one, other)
    };
    if is_equal(new, found) {
        return Fate::Kept;
    }
    if is_equal(replaced.as_ref().unwrap_or(&Value::Null), found) {
        return Fate::NotKept(Form::Old);
    }
    form(new, found).map_or(Fate::ChangedSince, Fate::NotKept)
}

/// Returns the form of `new` that `found` is; `None` if it is another value.
fn form(new: &Value, found: &Value) -> Option<Form> {
    match (new, found) {
        (_, Value::Null) => Some(Form::Null),
        (Value::String(new), Value::String(found)) => text_form(new, found),
        (Value::Number(new), Value::Number(found)) => {
            is_rounded(new.as_f64()?, found.as_f64()?).then_some(Form::Rounded)
        }
        // An empty text is no value.
        (Value::String(new), Value::Bool(false)) if new.trim().is_empty() => Some(Form::Null),
        _ => is_coerced(new, found).then_some(Form::Coerced),
    }
}

fn text_form(new: &str, found: &str) -> Option<Form> {
    let (short, shown) = (spaced(new), spaced(found));
    if short == shown {
        return Some(Form::Trimmed);
    }
    if found.is_empty() {
        return Some(Form::Null);
    }
    if html::is_same(&short, &shown) {
        return Some(Form::Escaped);
    }
    if short.to_lowercase() == shown.to_lowercase() {
        return Some(Form::Case);
    }
    // A cut text may end with a sign of it, and its last character may be cut in half.
    let kept = shown.trim_end_matches(['…', '.', '\u{fffd}', ' ']);
    let is_start = |of: &str| !kept.is_empty() && of.starts_with(kept);
    if is_start(&short) || is_start(&html_form(&short)) {
        return Some(Form::Cut);
    }
    // A number or a boolean that Intercom reads from the text and writes in another way.
    (scalar(new).is_some() && scalar(new) == scalar(found)).then_some(Form::Coerced)
}

/// Returns the text with single spaces, and none at its ends.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn html_form(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A value that forms of different types have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scalar {
    Bool(bool),
    Number(f64),
}

fn scalar(text: &str) -> Option<Scalar> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        return Some(Scalar::Bool(true));
    }
    if text.eq_ignore_ascii_case("false") {
        return Some(Scalar::Bool(false));
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Scalar::Number)
}

/// Returns whether `found` is `new` as another type: a text of a number, 1 for true, and the like.
fn is_coerced(new: &Value, found: &Value) -> bool {
    let of = |value: &Value| match value {
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        Value::String(text) => scalar(text),
        _ => None,
    };
    match (of(new), of(found)) {
        (Some(new), Some(found)) if new == found => true,
        (Some(Scalar::Number(new)), Some(Scalar::Number(found))) => is_rounded(new, found),
        (Some(Scalar::Bool(yes)), Some(number @ Scalar::Number(_)))
        | (Some(number @ Scalar::Number(_)), Some(Scalar::Bool(yes))) => {
            number == Scalar::Number(f64::from(u8::from(yes)))
        }
        _ => false,
    }
}

/// Returns whether `found` is `new` with fewer digits: rounded, cut off, or as a number of 32 bits.
fn is_rounded(new: f64, found: f64) -> bool {
    if new == 0.0 || !new.is_finite() {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the nearest number of 32 bits is what is meant")]
    let nearest = f64::from(new as f32);
    if Scalar::Number(nearest) == Scalar::Number(found) {
        return true;
    }
    // A whole number of few digits is not rounded: 50 is another number than 49.
    let magnitude = new.abs().log10().floor() as i32;
    let least = if new.fract() == 0.0 { WHOLE_DIGITS } else { magnitude + 1 };
    (least.max(0)..=DIGITS_MAX).any(|digits| {
        let unit = 10f64.powi(magnitude + 1 - digits);
        let wholes = [(new / unit).round(), (new / unit).trunc()];
        wholes.into_iter().any(|whole| (whole * unit - found).abs() <= f64::EPSILON * found.abs() * 4.0)
    })
}

#[cfg(test)]
mod tests;
