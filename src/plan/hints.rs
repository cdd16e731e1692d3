//! Words of other languages, and the plan's words for them. A suggestion by spelling would mislead:
//! `list` is not a misspelt `last`.

/// Link to the reference of the language.
pub(super) const REFERENCE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/plans.md");

type Hints = &'static [(&'static [&'static str], &'static str)];

const NAMES: Hints = &[
    (
        &["now", "utcnow", "date", "datetime", "time", "timestamp", "current_date", "current_timestamp", "strftime"],
        "a plan has no clock on purpose: a page that is read again must give the same values. `today` is the UTC day that \
         the run was scheduled on, in Unix seconds: write user.signed_up_at > today - 30 * 86400, or \
         user.signed_up_at | days_until(today)",
    ),
    (&["null", "nil", "undefined", "missing", "nothing", "Null", "NULL"], "write none, or ask `x is present`"),
    (&["TRUE", "yes"], "write true"),
    (&["FALSE", "no"], "write false"),
    (&["contact", "customer", "person", "lead"], "the user is `user`"),
    (&["custom_attributes", "attributes"], "write user.custom_attributes.NAME"),
    (&["tables", "table"], "a table is read by its own name, as price[user.custom_attributes.plan]"),
];

const FILTERS: Hints = &[
    (
        &["list", "items", "values", "batch", "tojson", "json"],
        "a list is one already, and only one value can be written",
    ),
    (
        &[
            "date",
            "to_date",
            "datetime",
            "timestamp",
            "to_timestamp",
            "unix",
            "to_unix",
            "epoch",
            "strptime",
            "parse_date",
        ],
        "`| unix_seconds` makes Unix seconds of an ISO date, and type = \"date\" takes them",
    ),
    (
        &["strftime", "dateformat", "datetimeformat", "format_date", "timeformat"],
        "a date is not formatted: write it with type = \"date\" to an attribute whose name ends in _at, and Intercom shows it",
    ),
    (&["days_since", "days_between", "days_ago", "datediff", "age"], "write user.signed_up_at | days_until(today)"),
    (
        &["regex_replace", "regex_search", "regex_match", "regex", "match", "matches", "search", "sub", "gsub"],
        "there are no regular expressions: use `| replace`, `| split` or `is startingwith`",
    ),
    (&["d", "or", "coalesce", "ifnull"], "write `| default(x)`"),
    (&["count", "len", "size"], "write `| length`"),
    (&["text", "str", "tostring", "to_string"], "write `| string`"),
    (&["strip", "lstrip", "rstrip"], "write `| trim`"),
    (&["downcase", "lowercase", "tolower"], "write `| lower`"),
    (&["upcase", "uppercase", "toupper"], "write `| upper`"),
    (&["integer", "number", "to_i", "toint", "parse_int", "num"], "write `| int` or `| float`"),
    (&["decimal", "double", "to_f"], "write `| float`"),
    (&["boolean", "to_bool"], "write `| bool`"),
    (&["slice", "substr", "substring", "left", "cut"], "write `| truncate(10)` for the first characters"),
    (&["select", "filter", "where"], "write `| selectattr('name', 'eq', 'x')`"),
    (&["reject"], "write `| rejectattr('name', 'eq', 'x')`"),
    (&["contains", "includes", "has"], "write 'x' in y"),
    (&["reverse"], "there is no order but that of `| sort`: take `| last`"),
    (&["safe", "escape", "e", "urlencode"], "nothing is escaped: the value is sent as it is"),
    (&["lookup", "get"], "write price[key], or `| map(table='price')` for each item of a list"),
    (&["floor", "trunc", "truncated"], "write `// 1` or `| int`"),
    (&["ceil"], "write `| round | int`"),
    (&["concat"], "write a ~ b, or `| join(', ')` for a list"),
];

const TESTS: Hints = &[
    (&["empty"], "write `is blank`, or (x | length) == 0 for a list"),
    (&["null", "nil", "missing"], "write `is not present`"),
    (&["startswith", "starting_with"], "write `is startingwith('x')`"),
    (&["endswith", "ending_with"], "write `is endingwith('x')`"),
    (&["in", "containing", "contains", "containedin"], "write 'x' in y"),
    (&["equal", "equalto", "sameas"], "write x == y"),
    (&["gt", "greaterthan", "ge", "lt", "lessthan", "le"], "write x > y, x >= y, x < y or x <= y"),
    (&["text", "str"], "write `is string`"),
    (&["int"], "write `is integer`"),
    (&["bool"], "write `is boolean`"),
    (&["truthy", "falsy"], "only true and false are conditions: compare the value, or ask `is present`"),
    (
        &["matching", "match", "regex"],
        "there are no regular expressions: use `in`, `is startingwith` or `is endingwith`",
    ),
    (&["list", "sequence", "iterable", "mapping", "dict"], "the reference says which fields are lists"),
    (&["lower", "upper"], "compare x == x | lower"),
];

const TYPES: Hints = &[
    (&["str", "text", "varchar", "char"], "string"),
    (&["integer", "long", "number", "numeric"], "int"),
    (&["double", "decimal", "real", "currency"], "float"),
    (&["boolean", "flag"], "bool"),
    (&["datetime", "timestamp", "time", "day"], "date"),
];

fn find(hints: Hints, name: &str) -> Option<&'static str> {
    hints.iter().find(|(words, _)| words.contains(&name)).map(|(_, hint)| *hint)
}

pub(super) fn name(name: &str) -> Option<&'static str> {
    find(NAMES, name)
}

pub(super) fn filter(name: &str) -> Option<&'static str> {
    find(FILTERS, name)
}

pub(super) fn test(name: &str) -> Option<&'static str> {
    find(TESTS, name)
}

/// Returns the plan's type for another language's type name.
pub(super) fn type_name(name: &str) -> Option<&'static str> {
    find(TYPES, &name.to_lowercase())
}

/// Returns a hint for the first text that no expression contains, and its column, from 1. Called
/// only for a source that the parser refused.
pub(super) fn syntax(source: &str) -> Option<(usize, &'static str)> {
    const WORDS: [&str; 7] = ["and", "or", "not", "in", "is", "if", "else"];
    let chars: Vec<char> = source.chars().collect();
    let mut quote = None;
    let mut word_before: Option<(String, usize)> = None;
    let mut at = 0;
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied());
        let before = at.checked_sub(1).map(|before| chars[before]);
        let hint = |text| Some((at + 1, text));
        match (quote, c) {
            (Some((open, _)), _) if c == open => quote = None,
            (Some(_), '\\') => at += 1,
            (None, '\'' | '"') => quote = Some((c, at)),
            (None, '“' | '”' | '„' | '‘' | '’' | '«' | '»' | '`') => {
                return hint("write straight quotes, as 'x'");
            }
            (None, '&') if next == Some('&') => return hint("write `and`"),
            (None, '|') if next == Some('|') => return hint("write `or`"),
            (None, '!') if next != Some('=') => return hint("write `not`"),
            (None, '?') => return hint("write `a if condition else b`"),
            (None, '=') if next == Some('=') => at += 1,
            (None, '=') if !matches!(before, Some('!' | '<' | '>')) && !is_argument(&chars, at) => {
                return hint("compare with ==");
            }
            (None, '<') if next == Some('>') => return hint("write !="),
            (None, ';' | '$' | '@' | '#') => return hint("no expression has this character: put a text in quotes"),
            (None, _) if c.is_alphabetic() || c == '_' => {
                let end = (at..chars.len()).find(|end| !(chars[*end].is_alphanumeric() || chars[*end] == '_'));
                let word: String = chars[at..end.unwrap_or(chars.len())].iter().collect();
                if !word.is_ascii() {
                    return hint("quote a name that has other letters than a to z: user.custom_attributes['größe']");
                }
                if let Some((_, end_before)) = &word_before
                    && chars[*end_before..at].iter().all(|c| c.is_whitespace())
                    && !WORDS.contains(&word.as_str())
                {
                    return hint(
                        "two names stand side by side: write an operator between them, or quote a name with a space, as \
                         user.custom_attributes['has avatar']",
                    );
                }
                at = end.unwrap_or(chars.len());
                word_before = (!WORDS.contains(&word.as_str())).then_some((word, at));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    quote.map(|(_, open)| (open + 1, "this quote is not closed"))
}

/// Returns whether `=` at this position names an argument, as in `map(attribute='name')`.
fn is_argument(chars: &[char], at: usize) -> bool {
    let text: String = chars[..at].iter().collect();
    let text = text.trim_end();
    ["attribute", "table"].iter().any(|name| text.ends_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_languages_get_a_hint() {
        for (source, found) in [
            ("user.name = 'x'", Some((11, "compare with =="))),
            ("user.a && user.b", Some((8, "write `and`"))),
            ("user.a || user.b", Some((8, "write `or`"))),
            ("!user.a", Some((1, "write `not`"))),
            ("user.a ? 1 : 2", Some((8, "write `a if condition else b`"))),
            ("user.name == ’x’", Some((14, "write straight quotes, as 'x'"))),
            ("user.name == 'x", Some((14, "this quote is not closed"))),
            ("user.a <> 1", Some((8, "write !="))),
            ("a == '=&&?' and b >= 1 and c != 2 | map(attribute='x')", None),
        ] {
            assert_eq!(syntax(source), found, "{source}");
        }
        assert_eq!(syntax("user.custom_attributes.größe").map(|(column, _)| column), Some(24));
        assert_eq!(syntax("user.custom_attributes.has avatar").map(|(column, _)| column), Some(28));
        assert_eq!(syntax("not a and b is not odd if c in d else e"), None);
    }
}
