//! The operators of the language. Arithmetic on a missing value is undefined, a comparison with one is false, and
//! operands of different types are a failure: the engine's own operators would guess.

use minijinja::value::{Value, ValueKind};

use super::failure::{Failure, FailureCode};

/// Longer texts than this are nobody's attribute; a chain of `~` must not build one.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Neither undefined nor null. An empty text is present: Intercom keeps it apart from null too.
pub(super) fn is_present(value: &Value) -> bool {
    !value.is_undefined() && !value.is_none()
}

/// The types that operators keep apart. Integers and floats are one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Type {
    /// The type of a present value; `None` where it is undefined or null.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Some(match value.kind() {
            ValueKind::Undefined | ValueKind::None => return None,
            ValueKind::Bool => Self::Bool,
            ValueKind::Number => Self::Number,
            ValueKind::String => Self::Text,
            ValueKind::Seq | ValueKind::Iterable => Self::List,
            _ => Self::Object,
        })
    }
}

/// The answer that a value gives to `and`, `or`, `not`, `if` and `where`; a missing value answers no.
pub(super) fn truth(value: &Value) -> Result<bool, Failure> {
    let message = match Type::of(value) {
        None => return Ok(false),
        Some(Type::Bool) => return Ok(value.is_true()),
        Some(Type::Text) => {
            "a text is neither true nor false: compare it, as x == 'true', ask `x is present`, or write `x | bool` \
             where it holds \"true\" or \"false\""
        }
        Some(Type::Number) => "a number is neither true nor false: compare it, as x > 0, or ask `x is present`",
        Some(Type::List) => "a list is neither true nor false: compare its length, as (x | length) > 0",
        Some(Type::Object) => "an object is neither true nor false: read one of its fields, or ask `x is present`",
    };
    Err(FailureCode::WrongType.because(message))
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

/// The sum of two numbers.
pub(super) fn sum(left: &Value, right: &Value) -> Result<Value, Failure> {
    calculate(left, right, i64::checked_add, |a, b| a + b)
}

/// Two numbers, of integers where both are: `exact` is `None` where the result does not fit.
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

/// Rounds down, so that -7 // 2 is -4 and the remainder has the divisor's sign.
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

/// A text that was put together, unless it is longer than any attribute.
pub(super) fn bounded(text: String) -> Result<Value, Failure> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(FailureCode::TextTooLong.because("a text in the calculation is longer than 64 KB"));
    }
    Ok(Value::from(text))
}

/// A scalar as a text; the engine would spell true as Python does.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::Bool => Some(value.is_true().to_string()),
        ValueKind::String | ValueKind::Number => Some(value.to_string()),
        _ => None,
    }
}

fn compare(left: &Value, right: &Value, holds: fn(std::cmp::Ordering) -> bool) -> Result<bool, Failure> {
    match (Type::of(left), Type::of(right)) {
        (Some(Type::Text), Some(Type::Text)) | (Some(Type::Number), Some(Type::Number)) => Ok(holds(left.cmp(right))),
        (Some(left), Some(right)) if left != right => Err(unlike(left, right)),
        (Some(_), Some(_)) => {
            Err(FailureCode::WrongType.because("only numbers and texts have an order: use == or != for true and false"))
        }
        _ => Ok(false),
    }
}

/// Two types that have nothing in common, and the way to make them alike.
fn unlike(left: Type, right: Type) -> Failure {
    let message = match (left.min(right), left.max(right)) {
        (Type::Number, Type::Text) => {
            "a text is compared with a number: `| int` or `| float` makes a number of a text, `| string` a text of a \
             number"
        }
        (Type::Bool, Type::Text) => {
            "a text is compared with true or false: compare it with a text, as x == 'true', or write `x | bool`"
        }
        (Type::Bool, Type::Number) => {
            "a number is compared with true or false: compare it with a number, as x == 1, or write `x | bool`"
        }
        (_, Type::List) => "a list is compared with one value: ask `value in list`, or take one item with `| first`",
        _ => "an object is compared with another type: read one of its fields",
    };
    FailureCode::WrongType.because(message)
}

/// Whether two values are equal. Missing values equal each other and nothing else, so that `x == none` holds where
/// Intercom left the key out.
fn equals(left: &Value, right: &Value) -> Result<bool, Failure> {
    match (Type::of(left), Type::of(right)) {
        (Some(left), Some(right)) if left != right => Err(unlike(left, right)),
        _ => Ok(same(left, right)),
    }
}

/// Equality of any two values: those of different types differ, as do items of lists.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (Type::of(left), Type::of(right)) {
        (None, None) => true,
        (Some(Type::List), Some(Type::List)) => match (left.try_iter(), right.try_iter()) {
            (Ok(mut left), Ok(mut right)) => loop {
                match (left.next(), right.next()) {
                    (None, None) => return true,
                    (Some(a), Some(b)) if same(&a, &b) => {}
                    _ => return false,
                }
            },
            _ => false,
        },
        (a, b) => a == b && left == right,
    }
}

fn contains(item: &Value, whole: &Value) -> Result<bool, Failure> {
    let wanted = Type::of(item);
    match (Type::of(whole), wanted) {
        (None, _) | (Some(Type::Text | Type::Object), None) => Ok(false),
        (Some(Type::Text), Some(Type::Text)) => {
            Ok(item.as_str().zip(whole.as_str()).is_some_and(|(part, text)| text.contains(part)))
        }
        (Some(Type::Object), Some(Type::Text)) => Ok(whole.get_item(item).is_ok_and(|value| !value.is_undefined())),
        (Some(Type::Text | Type::Object), Some(_)) => Err(FailureCode::WrongType
            .because("`in` looks for a text in a text, or for a key: `| string` makes a text of a number")),
        (Some(Type::List), _) => in_list(item, wanted, whole),
        _ => Err(FailureCode::WrongType
            .because("`in` takes a text, a list or a table on its right: write [x] to make a list of one value")),
    }
}

/// Whether a list has the item. A list of another type than the item's is a failure; one of several types is not, so
/// that `x in ['true', true]` can be asked.
fn in_list(item: &Value, wanted: Option<Type>, list: &Value) -> Result<bool, Failure> {
    let (mut alike, mut other) = (false, None);
    let members = list.try_iter().map_err(|error| Failure::from(&error))?;
    for member in members {
        let found = Type::of(&member);
        if found == wanted && same(&member, item) {
            return Ok(true);
        }
        alike |= found == wanted;
        other = other.or(found);
    }
    match (wanted, other) {
        (Some(wanted), Some(other)) if !alike => Err(unlike(wanted, other)),
        _ => Ok(false),
    }
}

/// An operator that gives a value: undefined where an operand is missing.
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

/// An operator that answers yes or no: no where an operand is missing.
pub(super) fn comparison(name: &str, left: &Value, right: &Value) -> Result<bool, Failure> {
    match name {
        "equals" => equals(left, right),
        "differs" => equals(left, right).map(|equal| !equal),
        "contained" => contains(left, right),
        "not_contained" => contains(left, right).map(|found| !found),
        _ if !is_present(left) || !is_present(right) => Ok(false),
        "less" => compare(left, right, std::cmp::Ordering::is_lt),
        "less_or_equal" => compare(left, right, std::cmp::Ordering::is_le),
        "greater" => compare(left, right, std::cmp::Ordering::is_gt),
        _ => compare(left, right, std::cmp::Ordering::is_ge),
    }
}

/// The operators that [`arithmetic`] knows.
pub(super) const ARITHMETIC: [&str; 8] =
    ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "power", "join_texts"];

/// The operators that [`comparison`] knows.
pub(super) const COMPARISONS: [&str; 8] =
    ["equals", "differs", "contained", "not_contained", "less", "less_or_equal", "greater", "greater_or_equal"];
