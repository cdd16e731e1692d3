//! The words of the language: its filters, its tests, and the engine's name of each operator.

use minijinja::machinery::ast::{BinOpKind, CompareOpKind};

/// The relation of a filter's result to its input. It decides which fields may be read from it and
/// whether it is personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A new value.
    Value,
    /// A new text, made from a text or a number; a list is refused.
    Text,
    /// A count or another value that does not identify a person.
    Plain,
    /// The same list with fewer items or in another order.
    List,
    /// One of the list's items.
    Item,
    /// One field of each item: `map(attribute="name")`.
    Fields,
    /// The same list, filtered by a field: `selectattr("name", "eq", "x")`.
    Chosen,
}

/// The types that a filter accepts. For any other type it fails and names the accepted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Any,
    /// A text, a number, true or false.
    Scalar,
    Text,
    Number,
    List,
    TextOrList,
}

/// A filter of the language.
pub(super) struct FilterWord {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// The fewest and the most arguments.
    pub(super) arguments: (usize, usize),
    pub(super) takes: Takes,
    /// The failure message: the accepted types, and an alternative.
    pub(super) needs: &'static str,
}

const fn filter(
    name: &'static str,
    shape: Shape,
    arguments: (usize, usize),
    takes: Takes,
    needs: &'static str,
) -> FilterWord {
    FilterWord { name, shape, arguments, takes, needs }
}

pub(super) const FILTERS: &[FilterWord] = &[
    // A domain names a mail host and not its user. It is shown in missed keys, because it helps to
    // complete a table.
    filter("domain", Shape::Plain, (0, 0), Takes::Text, "`domain` takes an e-mail address as a text"),
    filter("default", Shape::Value, (1, 1), Takes::Any, "`default` takes any value"),
    filter("lower", Shape::Text, (0, 0), Takes::Scalar, "`lower` takes a text; `| join(', ')` makes one of a list"),
    filter("upper", Shape::Text, (0, 0), Takes::Scalar, "`upper` takes a text; `| join(', ')` makes one of a list"),
    filter("title", Shape::Text, (0, 0), Takes::Scalar, "`title` takes a text; `| join(', ')` makes one of a list"),
    filter(
        "capitalize",
        Shape::Text,
        (0, 0),
        Takes::Scalar,
        "`capitalize` takes a text; `| join(', ')` makes one of a list",
    ),
    filter("trim", Shape::Text, (0, 1), Takes::Scalar, "`trim` takes a text; `| join(', ')` makes one of a list"),
    filter(
        "truncate",
        Shape::Text,
        (0, 1),
        Takes::Scalar,
        "`truncate` takes a text, and a whole number of characters from 0 on; `| join(', ')` makes a text of a list",
    ),
    filter(
        "replace",
        Shape::Text,
        (2, 2),
        Takes::Scalar,
        "`replace` takes a text, and two texts as its arguments; `| join(', ')` makes a text of a list",
    ),
    filter(
        "split",
        Shape::Text,
        (0, 2),
        Takes::Scalar,
        "`split` takes a text, and as its arguments a text and a whole number; `| join(', ')` makes a text of a list",
    ),
    filter(
        "join",
        Shape::Value,
        (0, 1),
        Takes::List,
        "`join` takes a list of texts and numbers, and a text between them",
    ),
    filter(
        "length",
        Shape::Plain,
        (0, 0),
        Takes::TextOrList,
        "`length` takes a text or a list; `| string` makes a text",
    ),
    filter(
        "sum",
        Shape::Plain,
        (0, 0),
        Takes::List,
        "`sum` takes a list of numbers; `| map('int')` makes one of texts",
    ),
    filter("first", Shape::Item, (0, 0), Takes::TextOrList, "`first` takes a list or a text; `| string` makes a text"),
    filter("last", Shape::Item, (0, 0), Takes::TextOrList, "`last` takes a list or a text; `| string` makes a text"),
    filter("min", Shape::Item, (0, 0), Takes::List, "`min` takes a list; write [a, b] | min for two values"),
    filter("max", Shape::Item, (0, 0), Takes::List, "`max` takes a list; write [a, b] | max for two values"),
    filter("sort", Shape::List, (0, 0), Takes::List, "`sort` takes a list; `| split(',')` makes one of a text"),
    filter("unique", Shape::List, (0, 0), Takes::List, "`unique` takes a list; `| split(',')` makes one of a text"),
    filter("map", Shape::Fields, (1, 1), Takes::List, "`map` takes a list; write the filter itself for one value"),
    filter("selectattr", Shape::Chosen, (1, 3), Takes::List, "`selectattr` takes a list of objects, as user.tags.tags"),
    filter("rejectattr", Shape::Chosen, (1, 3), Takes::List, "`rejectattr` takes a list of objects, as user.tags.tags"),
    filter(
        "int",
        Shape::Value,
        (0, 0),
        Takes::Scalar,
        "`int` takes a number, or a text that is one, as 49; `| trim` and `| replace(',', '')` remove what is not",
    ),
    filter(
        "float",
        Shape::Value,
        (0, 0),
        Takes::Scalar,
        "`float` takes a number, or a text that is one, as 49.5; `| trim` and `| replace(',', '')` remove what is not",
    ),
    filter(
        "string",
        Shape::Value,
        (0, 0),
        Takes::Scalar,
        "a list or an object has no text; `| join(', ')` makes one of a list",
    ),
    filter(
        "bool",
        Shape::Value,
        (0, 0),
        Takes::Scalar,
        "`bool` takes true, false, yes, no, on, off, 1 or 0; compare other values, as x == 'paying'",
    ),
    filter(
        "round",
        Shape::Value,
        (0, 1),
        Takes::Number,
        "`round` takes a number, and a whole number of digits; `| float` makes a number of a text",
    ),
    filter(
        "abs",
        Shape::Value,
        (0, 0),
        Takes::Number,
        "`abs` takes a number; `| int` or `| float` makes one of a text",
    ),
    filter(
        "unix_seconds",
        Shape::Value,
        (0, 0),
        Takes::Scalar,
        "`unix_seconds` takes an ISO date or time, as 2016-11-24 or 2016-11-24T10:05:00Z, or a number; `| int` makes a \
         number of a text of digits",
    ),
    filter(
        "days_until",
        Shape::Value,
        (1, 1),
        Takes::Number,
        "`days_until` takes two times in Unix seconds; `| unix_seconds` makes them of ISO dates",
    ),
];

/// The tests and the number of their arguments.
pub(super) const TESTS: &[(&str, usize)] = &[
    ("present", 0),
    ("blank", 0),
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

/// The variable for the UTC day on which the run was scheduled, in Unix seconds.
pub(super) const TODAY: &str = "today";

/// Words that cannot name a table: `user`, `today`, and words that the parser reads as something
/// else.
pub(super) const RESERVED: &[&str] = &[
    "user", TODAY, "true", "True", "false", "False", "none", "None", "and", "or", "not", "in", "is", "if", "else",
    "loop", "self",
];

/// Returns the engine's name of an operator; `None` for `and` and `or`, which stay unchanged.
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
