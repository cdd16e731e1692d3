//! Arithmetic and the joining of texts. If an operand is missing, the result is undefined. Operands
//! of different types are a failure; the engine's own operators would guess.

use minijinja::value::{Value, ValueKind};

use super::failure::{Failure, FailureCode};

/// The most bytes of a text, far above any attribute: a chain of `~` must not build a longer one.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Returns whether a value is neither undefined nor null. An empty text is present: Intercom also
/// distinguishes it from null.
pub(super) fn is_present(value: &Value) -> bool {
    !value.is_undefined() && !value.is_none()
}

#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(super) fn of(value: &Value) -> Result<Self, Failure> {
        if value.kind() != ValueKind::Number {
            return Err(
                FailureCode::WrongType.because("arithmetic takes numbers; `| int` or `| float` turns a text into one")
            );
        }
        if value.is_integer() {
            return i64::try_from(value.clone()).map(Self::Int).map_err(|_| too_large());
        }
        f64::try_from(value.clone()).map(Self::Float).map_err(|_| too_large())
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    fn is_zero(self) -> bool {
        self.float() == 0.0
    }
}

pub(super) fn too_large() -> Failure {
    FailureCode::NumberTooLarge.because("a number in the calculation is too large")
}

/// Returns the sum of two numbers.
pub(super) fn sum(left: &Value, right: &Value) -> Result<Value, Failure> {
    calculate(left, right, i64::checked_add, |a, b| a + b)
}

/// Calculates with two numbers, as integers if both are integers. `exact` returns `None` on
/// overflow.
fn calculate(
    left: &Value,
    right: &Value,
    exact: fn(i64, i64) -> Option<i64>,
    float: fn(f64, f64) -> f64,
) -> Result<Value, Failure> {
    match (Number::of(left)?, Number::of(right)?) {
        (Number::Int(left), Number::Int(right)) => exact(left, right).map(Value::from).ok_or_else(too_large),
        (left, right) => {
            let result = float(left.float(), right.float());
            if result.is_finite() { Ok(Value::from(result)) } else { Err(too_large()) }
        }
    }
}

fn no_zero(right: &Value) -> Result<(), Failure> {
    if Number::of(right)?.is_zero() {
        return Err(FailureCode::DivisionByZero.because("a division by zero; guard it with `if`"));
    }
    Ok(())
}

fn add(left: &Value, right: &Value) -> Result<Value, Failure> {
    if left.as_str().is_some() && right.as_str().is_some() {
        return join(left, right);
    }
    sum(left, right)
}

fn divide(left: &Value, right: &Value) -> Result<Value, Failure> {
    no_zero(right)?;
    calculate(&Value::from(Number::of(left)?.float()), right, |_, _| None, |a, b| a / b)
}

/// Divides and rounds down, so that -7 // 2 is -4 and the remainder has the divisor's sign.
fn floor_divide(left: &Value, right: &Value) -> Result<Value, Failure> {
    no_zero(right)?;
    calculate(
        left,
        right,
        |a, b| {
            let rounds = a.checked_rem(b)? != 0 && (a < 0) != (b < 0);
            a.checked_div(b)?.checked_sub(i64::from(rounds))
        },
        |a, b| (a / b).floor(),
    )
}

fn remainder(left: &Value, right: &Value) -> Result<Value, Failure> {
    no_zero(right)?;
    calculate(
        left,
        right,
        |a, b| {
            let rest = a.checked_rem(b)?;
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        },
        |a, b| a - b * (a / b).floor(),
    )
}

fn power(left: &Value, right: &Value) -> Result<Value, Failure> {
    calculate(left, right, |a, b| a.checked_pow(u32::try_from(b).ok()?), f64::powf)
}

fn join(left: &Value, right: &Value) -> Result<Value, Failure> {
    let (Some(left), Some(right)) = (plain_text(left), plain_text(right)) else {
        return Err(
            FailureCode::WrongType.because("texts are joined with texts and numbers, not with a list or an object")
        );
    };
    bounded(left + &right)
}

/// Returns a joined text, unless it is longer than any attribute.
pub(super) fn bounded(text: String) -> Result<Value, Failure> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FailureCode::TextTooLong.because("a text in the calculation is longer than 64 KB"));
    }
    Ok(Value::from(text))
}

/// Returns a scalar as a text. The engine would spell true as Python does.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true().to_string()),
        ValueKind::String | ValueKind::Number => Some(value.to_string()),
        _ => None,
    }
}

/// Evaluates an operator with a value; undefined if an operand is missing.
pub(super) fn arithmetic(name: &str, left: &Value, right: &Value) -> Result<Value, Failure> {
    if !is_present(left) || !is_present(right) {
        return Ok(Value::UNDEFINED);
    }
    match name {
        "add" => add(left, right),
        "subtract" => calculate(left, right, i64::checked_sub, |a, b| a - b),
        "multiply" => calculate(left, right, i64::checked_mul, |a, b| a * b),
        "divide" => divide(left, right),
        "floor_divide" => floor_divide(left, right),
        "remainder" => remainder(left, right),
        "power" => power(left, right),
        _ => join(left, right),
    }
}

/// The operators of [`arithmetic`].
pub(super) const ARITHMETIC: [&str; 8] =
    ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "join_texts"];
