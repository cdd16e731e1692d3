//! Escapes text as HTML: API 1.x returns the names of users and companies in this form.

use serde_json::Value;

/// Returns the text with HTML's five special characters as entities.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Escapes the name of a user and the names of its companies.
pub(crate) fn escape_names(user: &mut Value) {
    user.get_mut("name").into_iter().for_each(escape);
    let companies = user.get_mut("companies").and_then(|list| list.get_mut("companies")).and_then(Value::as_array_mut);
    for company in companies.into_iter().flatten() {
        company.get_mut("name").into_iter().for_each(escape);
    }
}

fn escape(name: &mut Value) {
    if let Value::String(name) = name {
        *name = escaped(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_users_and_companies_are_escaped_once() {
        let mut user = json!({
            "name": "O'Neil & <Söhne> \"x\" &amp;", "email": "a&b@example.com",
            "companies": {"companies": [{"name": "A & B", "company_id": "a&b"}, {"name": null}]},
        });
        escape_names(&mut user);
        assert_eq!(user["name"], "O&#39;Neil &amp; &lt;Söhne&gt; &quot;x&quot; &amp;amp;");
        assert_eq!(user["companies"]["companies"], json!([{"name": "A &amp; B", "company_id": "a&b"}, {"name": null}]));
        assert_eq!(user["email"], "a&b@example.com");
    }
}
