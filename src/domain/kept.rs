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
    /// The value from before the write is there.
    Old,
    /// The written value is there in another form: null, trimmed, cut, escaped, of another type, or
    /// rounded.
    Altered,
    /// Another value is there: something else set it after the write.
    ChangedSince,
}

/// A text that begins like the written one is a cut one from this length on. A shorter one may be
/// another value: `pro` and `pro_annual`.
const CUT_CHARS_LEAST: usize = 30;
/// The most decimals of a rounded number. A number of 64 bits has 17 digits.
const DECIMALS_MAX: i32 = 15;

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
        return Fate::Old;
    }
    if is_altered(new, found) { Fate::Altered } else { Fate::ChangedSince }
}

/// Returns whether `found` is `new` in another form.
fn is_altered(new: &Value, found: &Value) -> bool {
    match (new, found) {
        (_, Value::Null) => true,
        (Value::String(new), Value::String(found)) => is_text_form(new, found),
        _ => is_coerced(new, found),
    }
}

fn is_text_form(new: &str, found: &str) -> bool {
    let (new, found) = (spaced(new), spaced(found));
    let is_scalar = || scalar(&new).is_some() && scalar(&new) == scalar(&found);
    found.is_empty() || new == found || html::is_same(&new, &found) || is_cut(&new, &found) || is_scalar()
}

/// Returns whether `found` is the beginning of `new`. Its last character may be cut in half.
fn is_cut(new: &str, found: &str) -> bool {
    let kept = found.trim_end_matches(['…', '.', '\u{fffd}', ' ']);
    let is_marked = found.ends_with(['…', '\u{fffd}']) && !kept.is_empty();
    let is_start = || new.starts_with(kept) || html_form(new).starts_with(kept);
    (is_marked || kept.chars().count() >= CUT_CHARS_LEAST) && is_start()
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

/// Returns whether `found` is `new` as another type or with fewer digits: a text of a number, 1 for
/// true, and the like.
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

/// Returns whether `found` is `new` as a number of 32 bits, or rounded or cut to some decimals.
fn is_rounded(new: f64, found: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the nearest number of 32 bits is what is meant")]
    let nearest = f64::from(new as f32);
    let is_found = |value: f64| (value - found).abs() <= f64::EPSILON * found.abs() * 4.0;
    is_found(nearest)
        || (0..=DECIMALS_MAX).map(|decimals| 10f64.powi(decimals)).any(|unit| {
            let wholes = [(new * unit).round(), (new * unit).trunc()];
            wholes.into_iter().any(|whole| is_found(whole / unit))
        })
}

#[cfg(test)]
mod tests;
