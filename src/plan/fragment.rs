//! Parts of an expression as they are written for the engine.

use minijinja::machinery::ast::{Expr, UnaryOpKind};
use minijinja::value::{Value, ValueKind};

use super::engine::internal;
use super::error::Fault;
use super::paths::Segment;

/// A part of the expression as it is written for the engine.
pub(super) struct Fragment {
    pub(super) text: String,
    pub(super) level: Level,
    /// Where in a user it comes from, unchanged.
    pub(super) path: Option<Vec<Segment>>,
    /// Whether it can tell who somebody is.
    pub(super) personal: bool,
    /// Whether it can be nothing but true or false.
    pub(super) answers: bool,
    /// Whether `| domain` gave it.
    pub(super) domain: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Can stand to the left of a filter, a dot or a bracket.
    Operand,
    /// Can stand to the left of a filter.
    Filtered,
    And,
    Or,
    Other,
}

impl Fragment {
    pub(super) fn new(text: String, level: Level, personal: bool) -> Self {
        Self { text, level, path: None, personal, answers: false, domain: false }
    }

    /// A part whose value is true or false.
    pub(super) fn answer(text: String, level: Level) -> Self {
        Self { answers: true, ..Self::new(text, level, false) }
    }

    /// The part as an operand of `and`, `or`, `not` and `if`, which take nothing but true and false.
    pub(super) fn condition(self) -> Self {
        if self.answers { self } else { Self { answers: true, ..call(&self, &internal("truth"), &[], false) } }
    }

    /// In parentheses unless it binds as tightly as what it becomes a part of.
    pub(super) fn within(&self, level: Level) -> String {
        let tight = self.level == Level::Operand || (self.level == Level::Filtered && level != Level::Operand);
        if tight || self.level == level { self.text.clone() } else { format!("({})", self.text) }
    }

    pub(super) fn operand(&self) -> String {
        self.within(Level::Filtered)
    }
}

/// `input|name(arguments)`.
pub(super) fn call(input: &Fragment, name: &str, arguments: &[String], personal: bool) -> Fragment {
    Fragment::new(format!("{}|{name}({})", input.operand(), arguments.join(", ")), Level::Filtered, personal)
}

/// A constant as it stands in the source; calculated ones are not looked for.
pub(super) fn constant(expr: &Expr<'_>) -> Option<Value> {
    match expr {
        Expr::Const(constant) => Some(constant.value.clone()),
        Expr::UnaryOp(unary) if matches!((&unary.op, &unary.expr), (UnaryOpKind::Neg, Expr::Const(_))) => {
            expr.as_const()
        }
        _ => None,
    }
}

pub(super) fn literal(value: &Value) -> Result<Fragment, Fault> {
    let text = match (value.kind(), value.as_str()) {
        (_, Some(text)) => quote(text),
        (ValueKind::Bool | ValueKind::None, _) => value.to_string(),
        (ValueKind::Number, _) if value.is_integer() => value.to_string(),
        (ValueKind::Number, _) => match f64::try_from(value.clone()) {
            Ok(float) if float.is_finite() => format!("{float:?}"),
            _ => return Err(Fault::Number),
        },
        _ => {
            return Err(Fault::NotInPlans {
                what: "this constant",
                write: "write a text, a number, true, false or none",
            });
        }
    };
    Ok(Fragment { answers: value.kind() == ValueKind::Bool, ..Fragment::new(text, Level::Operand, false) })
}

/// A text as a literal of the engine.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
