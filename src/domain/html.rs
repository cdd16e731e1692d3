//! Text that the API escapes as HTML. Intercom's API 1.x escapes names of people and companies in
//! its answers.

use std::borrow::Cow;

/// Length of the longest entity of the five escaped characters, `&#x0027;`, without its first
/// character.
const ENTITY_BYTES_MAX: usize = 8;

/// Removes one level of escaping: the entities of `&`, `<`, `>`, `"` and `'`, by name or number.
/// Other entities are part of the text and stay.
pub fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((character(&rest[..end])?, end))) {
            Some((character, end)) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => out.push('&'),
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns whether two texts are equal, or one is the HTML form of the other.
pub fn is_same(one: &str, other: &str) -> bool {
    one == other || decoded(one) == other || one == decoded(other)
}

/// Returns the character of an entity, which is given without `&` and `;`.
fn character(entity: &str) -> Option<char> {
    let number = entity.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) if hex.bytes().all(|digit| digit.is_ascii_hexdigit()) => u32::from_str_radix(hex, 16).ok(),
        None if number.bytes().all(|digit| digit.is_ascii_digit()) => number.parse().ok(),
        _ => None,
    });
    match number {
        Some(number) => char::from_u32(number).filter(|found| "&<>\"'".contains(*found)),
        None => match entity {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_level_of_the_five_characters_is_decoded() {
        for (html, text) in [
            ("Siobhán O&#39;Brien", "Siobhán O'Brien"),
            ("O&#039;Brien &#x27;&#X0027;&apos;", "O'Brien '''"),
            ("Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
            ("&quot;a&quot; &gt; &#34;&#60;&#62;&#38;", "\"a\" > \"<>&"),
            ("&amp;lt;", "&lt;"),
            ("&amp;amp;#39;", "&amp;#39;"),
            ("AT&T, R&D; &", "AT&T, R&D; &"),
            (
                "&eacute; &nbsp; &#233; &#x1F600; &#; &#x; &#+39; &#x+27;",
                "&eacute; &nbsp; &#233; &#x1F600; &#; &#x; &#+39; &#x+27;",
            ),
            ("&#00000000039; &é;", "&#00000000039; &é;"),
            ("", ""),
        ] {
            assert_eq!(decoded(html), text, "{html}");
        }
    }

    #[test]
    fn both_forms_of_a_text_are_equal() {
        assert!(is_same("O'Brien", "O&#39;Brien") && is_same("O&#39;Brien", "O'Brien"));
        assert!(is_same("a", "a") && is_same("&amp;", "&amp;amp;"));
        assert!(!is_same("O'Brien", "O'Neil") && !is_same("&amp;amp;", "&"));
    }

    proptest! {
        #[test]
        fn decoding_undoes_escaping(text in "[a-z&;#39<>\"'é ]{0,30}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let escaped = escaped.replace('"', "&quot;").replace('\'', "&#39;");
            prop_assert_eq!(decoded(&escaped), text.as_str());
            prop_assert!(is_same(&escaped, &text));
        }

        #[test]
        fn any_text_is_accepted(text in any::<String>()) {
            decoded(&text);
        }
    }
}
