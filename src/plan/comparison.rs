//! Types, conditions and comparisons. A comparison with a missing value is false. Values of
//! different types are not compared.

use minijinja::value::{Value, ValueKind};

use super::failure::{Failure, FailureCode};
use super::operators::is_present;

/// The types that operators distinguish. Integers and floats are one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Type {
    /// Returns the type of a value; `None` if it is undefined or null.
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

/// Returns the value as a condition of `and`, `or`, `not`, `if` and `where`. A missing value is
/// false.
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

/// Returns the failure for two different types, with a way to convert one.
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

/// Returns whether two values are equal. Missing values equal each other and nothing else, so
/// `x == none` is true if Intercom left the key out.
fn equals(left: &Value, right: &Value) -> Result<bool, Failure> {
    match (Type::of(left), Type::of(right)) {
        (Some(left), Some(right)) if left != right => Err(unlike(left, right)),
        _ => Ok(same(left, right)),
    }
}

/// Returns whether any two values are equal. Values of different types differ, and so do items of
/// lists.
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

/// Returns whether a list has the item. If no item of the list has its type, that is a failure. In
/// a mixed list it is not, so that `x in ['true', true]` is possible.
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

/// Evaluates an operator with a boolean result, which is false if an operand is missing.
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

/// The operators of [`comparison`].
pub(super) const COMPARISONS: [&str; 8] =
    ["equals", "differs", "contained", "not_contained", "less", "less_or_equal", "greater", "greater_or_equal"];
