//! Redacts texts from outside for logs and ledger rows: no e-mail address, no telephone number, a
//! bounded length.

use serde_json::error::Category;

/// The most characters of a message.
pub const MESSAGE_CHARS_MAX: usize = 300;

/// The fewest digits in a row that count as personal data, ignoring blanks and the punctuation of
/// telephone numbers. Intercom's own numbers ("rate limit of 83 in `10_seconds`") are shorter.
const DIGITS_MIN: usize = 7;

const REDACTED_EMAIL: &str = "[e-mail]";
const REDACTED_DIGITS: &str = "[digits]";

/// Redacts a message and cuts it to [`MESSAGE_CHARS_MAX`] characters.
pub fn redact(text: &str) -> String {
    redact_to(text, MESSAGE_CHARS_MAX)
}

/// Redacts a text and cuts it to `chars_max` characters. It redacts first, so that no half of an
/// address remains.
pub fn redact_to(text: &str, chars_max: usize) -> String {
    let text = redact_digits(&redact_emails(text, chars_max * 2));
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// Returns why an outside JSON text or value is unreadable, without its values. serde's own message
/// quotes them.
pub fn unread(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let told = match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => text,
        Category::Data => match text.split_once([' ', ':']).map(|(first, _)| first) {
            // These name a field: one of ours, or an unknown key that the reader must see to find
            // it.
            Some("missing" | "duplicate" | "unknown") if text.contains(" field `") => text,
            Some("invalid") => {
                let expected = text.rsplit_once(", expected ").map_or("another value", |(_, expected)| expected);
                format!("an unexpected value, expected {expected}")
            }
            _ => "an unexpected value".to_owned(),
        },
    };
    redact(&told)
}

/// Joins the words with single blanks and replaces each word with an at sign; stops after
/// `chars_enough`.
fn redact_emails(text: &str, chars_enough: usize) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.contains(['@', '\u{ff20}']) || word.contains("%40") {
            out.push_str(REDACTED_EMAIL);
        } else {
            out.extend(word.chars().filter(|c| !is_invisible(*c)));
        }
        if out.len() > chars_enough * 4 {
            break; // a character has at most four bytes
        }
    }
    out
}

/// Replaces long runs of digits, however they are grouped.
fn redact_digits(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(char::is_numeric) {
        let run = &rest[start..];
        let length = run.find(|c: char| !c.is_numeric() && !" +-.()/".contains(c)).unwrap_or(run.len());
        let run = run[..length].trim_end_matches(|c: char| !c.is_numeric());
        let digits = run.chars().filter(|c| c.is_numeric()).count();
        out.push_str(&rest[..start]);
        out.push_str(if digits >= DIGITS_MIN { REDACTED_DIGITS } else { run });
        rest = &rest[start + run.len()..];
    }
    out.push_str(rest);
    out
}

/// Returns whether a character moves a terminal's cursor (control characters), or hides or reorders
/// text.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn personal_looking_text_is_redacted_and_the_rest_stays() {
        for (text, redacted) in [
            ("Exceeded rate limit of 83 in 10_seconds", "Exceeded rate limit of 83 in 10_seconds"),
            ("scroll already exists for this workspace", "scroll already exists for this workspace"),
            ("email ann@example.com is taken", "email [e-mail] is taken"),
            ("<a href=\"mailto:a%40b.c\">", "<a [e-mail]"),
            ("{\"email\":\"a@b\"} twice a@b", "[e-mail] twice [e-mail]"),
            ("phone +1 (555) 671-2431, please", "phone +[digits], please"),
            ("5556712431", "[digits]"),
            ("555671", "555671"),
            ("at 12:30 of 5 users", "at 12:30 of 5 users"),
            ("\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}", "[digits]"),
            ("red\u{1b}[31m  two\r\nlines\0", "red[31m two lines"),
            ("", ""),
        ] {
            assert_eq!(redact(text), redacted, "{text:?}");
        }
    }

    #[test]
    fn read_errors_do_not_quote_values() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "it is only read")]
        struct Wanted {
            turn: u32,
            state: Option<crate::domain::run::State>,
        }
        for (text, told) in [
            (r#"{"turn": "Ann Smith, expected"}"#, "an unexpected value, expected u32 at line 1 column 30"),
            (r#"{"turn": 1, "state": "Ann Smith"}"#, "an unexpected value"),
            (r#"{"turn": -5}"#, "an unexpected value, expected u32 at line 1 column 11"),
            ("{}", "missing field `turn` at line 1 column 2"),
            (r#"{"tunr": 1}"#, "unknown field `tunr`, expected `turn` or `state` at line 1 column 7"),
            (r#"{"ann@example.com": 1}"#, "unknown field [e-mail] expected `turn` or `state` at line 1 column 18"),
            ("{", "EOF while parsing an object at line 1 column 1"),
        ] {
            assert_eq!(unread(&serde_json::from_str::<Wanted>(text).unwrap_err()), told);
        }
    }

    #[test]
    fn an_address_at_the_cut_is_redacted_first() {
        let text = format!("{} ann.long@example.com", "x".repeat(MESSAGE_CHARS_MAX - 5));
        assert!(!redact(&text).contains("ann"), "{}", redact(&text));
    }

    proptest! {
        #[test]
        fn the_result_is_bounded_and_clean(text in any::<String>(), chars_max in 0_usize..400) {
            let redacted = redact_to(&text, chars_max);
            prop_assert!(redacted.chars().count() <= chars_max);
            prop_assert!(!redacted.contains('@') && !redacted.chars().any(char::is_control));
        }

        #[test]
        fn no_address_and_no_long_number_survives(
            before in "[a-z <,\"]{0,400}", email in "[a-z]{3,9}@[a-z]{3,9}\\.com", digits in "[0-9]{7,20}", after in "[a-z >]{0,30}",
        ) {
            let redacted = redact(&format!("{before} {email} {after} {digits}{after}"));
            prop_assert!(!redacted.contains(&email));
            prop_assert!(!redacted.contains(&digits));
        }
    }
}
