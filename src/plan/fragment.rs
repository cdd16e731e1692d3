//! Parts of an expression in the engine's syntax.

use minijinja::machinery::ast::{Expr, UnaryOpKind};
use minijinja::value::{Value, ValueKind};

use super::engine::internal;
use super::error::Fault;
use super::paths::Segment;

/// A part of an expression in the engine's syntax.
pub(super) struct Fragment {
    pub(super) text: String,
    pub(super) level: Level,
    /// The path in the user, if the value is unchanged.
    pub(super) path: Option<Vec<Segment>>,
    /// True if it can identify a person.
    pub(super) personal: bool,
    /// True if its value can only be true or false.
    pub(super) answers: bool,
    /// True for a result of `| domain`.
    pub(super) domain: bool,
    /// Texts of the plan that the value may be, as it stands.
    pub(super) texts: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Valid to the left of a filter, a dot or a bracket.
    Operand,
    /// Valid to the left of a filter.
    Filtered,
    And,
    Or,
    Other,
}

impl Fragment {
    pub(super) fn new(text: String, level: Level, personal: bool) -> Self {
        Self { text, level, path: None, personal, answers: false, domain: false, texts: Vec::new() }
    }

    /// Creates a part whose value is true or false.
    pub(super) fn answer(text: String, level: Level) -> Self {
        Self { answers: true, ..Self::new(text, level, false) }
    }

    /// Returns the part as an operand of `and`, `or`, `not` and `if`, which accept only true and
    /// false.
    pub(super) fn condition(self) -> Self {
        if self.answers { self } else { Self { answers: true, ..call(&self, &internal("truth"), &[], false) } }
    }

    /// Returns the text, in parentheses unless it binds as tightly as `level`.
    pub(super) fn within(&self, level: Level) -> String {
        let tight = self.level == Level::Operand || (self.level == Level::Filtered && level != Level::Operand);
        if tight || self.level == level { self.text.clone() } else { format!("({})", self.text) }
    }

    pub(super) fn operand(&self) -> String {
        self.within(Level::Filtered)
    }
}

/// Returns `input|name(arguments)`.
pub(super) fn call(input: &Fragment, name: &str, arguments: &[String], personal: bool) -> Fragment {
    Fragment::new(format!("{}|{name}({})", input.operand(), arguments.join(", ")), Level::Filtered, personal)
}

/// Returns a constant that is written in the source; calculated constants are ignored.
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
    let texts = value.as_str().map(str::to_owned).into_iter().collect();
    Ok(Fragment { answers: value.kind() == ValueKind::Bool, texts, ..Fragment::new(text, Level::Operand, false) })
}

/// Returns a text as a literal of the engine.
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
