//! The types of a plan and the limits of a value. They are checked here because a bulk job would
//! report an error hours later.

use minijinja::value::{Value, ValueKind};
use serde_json::{Number, Value as Json};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::comparison::truth;
use super::dates::DATE_MAX_S;
use super::failure::{Failure, FailureCode};

/// The most characters of a text attribute that Intercom stores (its help article on custom
/// attributes; clients cut there too).
pub(super) const TEXT_CHARS_MAX: usize = 255;

/// The largest integer that JSON readers represent exactly: Intercom stores numbers as doubles.
pub(super) const INT_MAX: i64 = 1 << 53;

/// The type of a target, by the words of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub(super) enum ValueType {
    Bool,
    Int,
    Float,
    #[strum(serialize = "string")]
    Text,
    /// Unix seconds.
    Date,
}

impl ValueType {
    /// Returns the value to send, or why Intercom would refuse it. Types are not converted.
    pub(super) fn accept(self, value: &Value) -> Result<Json, Failure> {
        match self {
            Self::Bool => truth(value).map(Json::Bool),
            Self::Int => integer(value).map(Json::from),
            Self::Float => float(value),
            Self::Text => text(value),
            Self::Date if value.kind() != ValueKind::Number => Err(mismatch(
                "a date is Unix seconds: `| unix_seconds` makes them of an ISO date, as 2016-11-24, and `| int` of a text \
                 of digits",
            )),
            Self::Date => match integer(value)? {
                seconds if seconds.abs() <= DATE_MAX_S => Ok(Json::from(seconds)),
                _ => Err(FailureCode::NotUnixSeconds.because("the date is in milliseconds; divide by 1000 with //")),
            },
        }
    }
}

fn mismatch(message: &'static str) -> Failure {
    FailureCode::WrongType.because(message)
}

/// Returns a whole number: 49.0 is one, true is not.
fn integer(value: &Value) -> Result<i64, Failure> {
    if value.kind() != ValueKind::Number {
        return Err(mismatch("a whole number is needed; `| int` turns a text into one"));
    }
    let exact = i64::try_from(value.clone()).ok().or_else(|| {
        let float = f64::try_from(value.clone()).ok()?;
        (float.fract() == 0.0 && float.abs() <= INT_MAX as f64).then_some(float as i64)
    });
    match exact {
        Some(int) if (-INT_MAX..=INT_MAX).contains(&int) => Ok(int),
        None if f64::try_from(value.clone()).is_ok_and(|float| float.is_finite() && float.fract() != 0.0) => {
            Err(mismatch("a whole number is needed; `| round | int` makes one"))
        }
        _ => Err(FailureCode::NumberTooLarge.because("the number is beyond 2^53 and would not be kept exactly")),
    }
}

fn float(value: &Value) -> Result<Json, Failure> {
    if value.kind() != ValueKind::Number {
        return Err(mismatch("a number is needed; `| float` turns a text into one"));
    }
    let number = f64::try_from(value.clone()).ok().and_then(Number::from_f64);
    number.map(Json::Number).ok_or_else(|| FailureCode::NumberTooLarge.because("the number is not finite"))
}

fn text(value: &Value) -> Result<Json, Failure> {
    let text = value.as_str().ok_or_else(|| mismatch("a text is needed; `| string` makes one"))?;
    match text.chars().count() {
        0..=TEXT_CHARS_MAX => Ok(Json::from(text)),
        _ => Err(FailureCode::TextTooLong
            .because("the text is longer than the 255 characters that Intercom keeps; `| truncate` cuts it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::kept::is_same;
    use serde_json::json;

    fn code(kind: ValueType, value: impl Into<Value>) -> &'static str {
        kind.accept(&value.into()).unwrap_err().code.as_str()
    }

    #[test]
    fn values_are_accepted_up_to_their_limits() {
        assert_eq!(ValueType::Int.accept(&Value::from(INT_MAX)).unwrap(), json!(9_007_199_254_740_992_i64));
        assert_eq!(code(ValueType::Int, INT_MAX + 1), "number_too_large");
        assert_eq!(code(ValueType::Int, i128::MAX), "number_too_large");
        assert_eq!(code(ValueType::Int, i64::MIN), "number_too_large");
        assert_eq!(code(ValueType::Int, f64::NAN), "number_too_large");
        assert_eq!(code(ValueType::Float, f64::INFINITY), "number_too_large");
        assert!(ValueType::Text.accept(&Value::from("é".repeat(TEXT_CHARS_MAX))).is_ok());
        assert_eq!(code(ValueType::Text, "é".repeat(TEXT_CHARS_MAX + 1)), "text_too_long");
        assert_eq!(ValueType::Date.accept(&Value::from(1_475_569_818)).unwrap(), json!(1_475_569_818));
        assert_eq!(code(ValueType::Date, 1_475_569_818_000_i64), "not_unix_seconds");
    }

    #[test]
    fn types_are_not_guessed() {
        assert_eq!(code(ValueType::Int, "49"), "wrong_type");
        assert_eq!(code(ValueType::Int, true), "wrong_type");
        assert_eq!(code(ValueType::Int, 49.5), "wrong_type");
        assert_eq!(code(ValueType::Text, 49), "wrong_type");
        assert_eq!(code(ValueType::Date, "2016-11-24"), "wrong_type");
        assert_eq!(ValueType::Int.accept(&Value::from(49.0)).unwrap(), json!(49));
        for value in [Value::from(""), Value::from("false"), Value::from("true"), Value::from(0), Value::from(vec![1])]
        {
            assert_eq!(ValueType::Bool.accept(&value).unwrap_err().code.as_str(), "wrong_type", "{value}");
        }
        assert_eq!(ValueType::Bool.accept(&Value::from(false)).unwrap(), json!(false));
    }

    /// The value is serialized for the queue and for Intercom, and read back from both. If one bit
    /// differed, it would be written again.
    #[test]
    fn a_float_survives_a_json_round_trip() {
        for float in [-1.384_849_446_903_336_2e190, 49.3 * 1.1, 0.1 + 0.2, f64::MIN_POSITIVE, f64::MAX] {
            let json = ValueType::Float.accept(&Value::from(float)).unwrap();
            let read: Json = serde_json::from_str(&json.to_string()).unwrap();
            assert!(is_same(&read, &json), "{read} is {json}");
        }
    }
}
