//! The words of the language: its filters, its tests, and how each operator is called in the engine.

use minijinja::machinery::ast::{BinOpKind, CompareOpKind};

/// What a filter's result is of its input, which decides what may be read from it and whether it is personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A new value.
    Value,
    /// A new text, made from a text or a number: a list would be spelt out.
    Text,
    /// A count or another value that tells nothing of whom.
    Plain,
    /// The same list, fewer items or another order.
    List,
    /// One of the list's items.
    Item,
    /// One field of each item: `map(attribute="name")`.
    Fields,
    /// The same list, chosen by a field: `selectattr("name", "eq", "x")`.
    Chosen,
}

/// A filter that plans may use.
pub(super) struct FilterWord {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The fewest and the most arguments.
    pub(super) arguments: (usize, usize),
    /// Whether it is minijinja's, wrapped so that a missing value passes through.
    pub(super) builtin: bool,
}

const fn builtin(name: &'static str, shape: Shape, most: usize) -> FilterWord {
    FilterWord { name, shape, arguments: (0, most), builtin: true }
}

pub(super) const FILTERS: &[FilterWord] = &[
    // A domain names a mail host and not its user, and is what completes a table: it is shown where it missed.
    FilterWord { name: "domain", shape: Shape::Plain, arguments: (0, 0), builtin: false },
    FilterWord { name: "default", shape: Shape::Value, arguments: (1, 1), builtin: false },
    builtin("lower", Shape::Text, 0),
    builtin("upper", Shape::Text, 0),
    builtin("title", Shape::Text, 0),
    builtin("capitalize", Shape::Text, 0),
    builtin("trim", Shape::Text, 1),
    FilterWord { name: "replace", shape: Shape::Text, arguments: (2, 2), builtin: true },
    builtin("split", Shape::Text, 2),
    builtin("join", Shape::Value, 1),
    builtin("length", Shape::Plain, 0),
    builtin("sum", Shape::Plain, 0),
    builtin("first", Shape::Item, 0),
    builtin("last", Shape::Item, 0),
    builtin("min", Shape::Item, 0),
    builtin("max", Shape::Item, 0),
    builtin("sort", Shape::List, 0),
    builtin("unique", Shape::List, 0),
    FilterWord { name: "map", shape: Shape::Fields, arguments: (1, 1), builtin: true },
    FilterWord { name: "selectattr", shape: Shape::Chosen, arguments: (1, 3), builtin: true },
    FilterWord { name: "rejectattr", shape: Shape::Chosen, arguments: (1, 3), builtin: true },
    builtin("int", Shape::Value, 0),
    builtin("float", Shape::Value, 0),
    FilterWord { name: "string", shape: Shape::Value, arguments: (0, 0), builtin: false },
    builtin("round", Shape::Value, 1),
    builtin("abs", Shape::Value, 0),
];

/// The tests, each with the number of its arguments.
pub(super) const TESTS: &[(&str, usize)] = &[
    ("present", 0),
    ("defined", 0),
    ("undefined", 0),
    ("none", 0),
    ("string", 0),
    ("number", 0),
    ("integer", 0),
    ("float", 0),
    ("boolean", 0),
    ("true", 0),
    ("false", 0),
    ("odd", 0),
    ("even", 0),
    ("divisibleby", 1),
    ("startingwith", 1),
    ("endingwith", 1),
    ("eq", 1),
    ("ne", 1),
];

/// Words that cannot name a table: `user`, and what the parser reads as something else.
pub(super) const RESERVED: &[&str] = &[
    "user", "true", "True", "false", "False", "none", "None", "and", "or", "not", "in", "is", "if", "else", "loop",
    "self",
];

/// An operator as the engine calls it; `None` for `and` and `or`, which stay what they are.
pub(super) fn binary(operator: BinOpKind) -> Option<&'static str> {
    Some(match operator {
        BinOpKind::ScAnd | BinOpKind::ScOr => return None,
        BinOpKind::Eq => "equals",
        BinOpKind::Ne => "differs",
        BinOpKind::Lt => "less",
        BinOpKind::Lte => "less_or_equal",
        BinOpKind::Gt => "greater",
        BinOpKind::Gte => "greater_or_equal",
        BinOpKind::In => "contained",
        BinOpKind::Add => "add",
        BinOpKind::Sub => "subtract",
        BinOpKind::Mul => "multiply",
        BinOpKind::Div => "divide",
        BinOpKind::FloorDiv => "floor_divide",
        BinOpKind::Rem => "remainder",
        BinOpKind::Pow => "power",
        BinOpKind::Concat => "join_texts",
    })
}

pub(super) fn compare(operator: CompareOpKind) -> &'static str {
    match operator {
        CompareOpKind::Eq => "equals",
        CompareOpKind::Ne => "differs",
        CompareOpKind::Lt => "less",
        CompareOpKind::Lte => "less_or_equal",
        CompareOpKind::Gt => "greater",
        CompareOpKind::Gte => "greater_or_equal",
        CompareOpKind::In => "contained",
        CompareOpKind::NotIn => "not_contained",
    }
}
