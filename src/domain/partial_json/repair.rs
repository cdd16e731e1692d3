//! Repairs JSON whose texts are not valid Unicode, so that a user's name that was cut within a
//! character does not cost its page.

/// The escaped replacement character.
const REPLACEMENT: &str = "\\ufffd";

/// Returns the document with valid texts. U+FFFD replaces invalid UTF-8 and `\u` escapes of half a
/// surrogate pair; control characters are escaped. Nothing else changes.
pub(super) fn repaired(document: &[u8]) -> String {
    let text = String::from_utf8_lossy(document);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    let mut within = false;
    while let Some(letter) = rest.chars().next() {
        let (kept, length) = match (within, letter) {
            (true, '\\') => escape(rest),
            (true, control) if control.is_ascii_control() && control < ' ' => {
                out.push_str(&format!("\\u{:04x}", control as u32));
                rest = &rest[1..];
                continue;
            }
            (_, letter) => (&rest[..letter.len_utf8()], letter.len_utf8()),
        };
        within ^= letter == '"';
        out.push_str(kept);
        rest = &rest[length..];
    }
    out
}

/// Returns the replacement of the escape at the start of the text, and the length of the escape.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        // `from_str_radix` also accepts a sign.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let after = text.chars().nth(1).map_or(0, char::len_utf8);
    match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[..12], 12),
        (Some(0xd800..=0xdfff), _) => (REPLACEMENT, 6),
        (Some(_), _) => (&text[..6], 6),
        (None, _) => (&text[..=after], 1 + after),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(document: &[u8]) -> Value {
        serde_json::from_str(&repaired(document)).unwrap()
    }

    #[test]
    fn invalid_unicode_becomes_the_replacement_character() {
        for (document, value) in [
            (&br#"["Zo\ud83d"]"#[..], json!(["Zo\u{fffd}"])),
            (br#"["\ude00 \ud83d\ude00 \ud83d\ud83d\ude00"]"#, json!(["\u{fffd} 😀 \u{fffd}😀"])),
            (br#"["\ud83dx", "\ud83d\n", "\ud83d\\ude00"]"#, json!(["\u{fffd}x", "\u{fffd}\n", "\u{fffd}\\ude00"])),
            (br#"{"na\uDC00me": "\"\\"}"#, json!({"na\u{fffd}me": "\"\\"})),
            (b"[\"caf\xe9\", \"\xf0\x9f\x98\"]", json!(["caf\u{fffd}", "\u{fffd}"])),
            (b"[\"a\nb\0\",\n 1]", json!(["a\nb\0", 1])),
        ] {
            assert_eq!(read(document), value, "{}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn invalid_json_is_not_repaired() {
        for bad in [r#"["\x"]"#, r#"["\u12"]"#, r#"["\u+123"]"#, r#"["\"#, r#"["a"#, "[1,]", "é", ""] {
            assert!(serde_json::from_str::<Value>(&repaired(bad.as_bytes())).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_valid_document_is_unchanged(text in any::<String>()) {
            let document = json!({text.clone(): [text, 1]}).to_string();
            prop_assert_eq!(repaired(document.as_bytes()), document);
        }

        #[test]
        fn any_bytes_are_accepted(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            repaired(&bytes);
        }

        #[test]
        fn any_escapes_are_accepted(units in prop::collection::vec(any::<u16>(), 0..9)) {
            let text = units.iter().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"));
            let read = read(format!("[\"{text}\"]").as_bytes());
            prop_assert_eq!(read[0].as_str().unwrap(), String::from_utf16_lossy(&units));
        }
    }
}
