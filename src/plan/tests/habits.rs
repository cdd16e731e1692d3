//! Words of other languages, and the plan's words for them.

use super::refusals::refuses;
use super::*;

/// A word of another language leads to the plan's word, and a name is suggested only if it is near.
#[test]
fn words_of_other_languages_are_explained() {
    for (value, message) in [
        ("user.signed_up_at > now", "a plan has no clock on purpose"),
        ("now()", "`today` is the UTC day that the run was scheduled on"),
        ("user.email == null", "no `null` in a plan: write none"),
        ("session_count", "a user has a field `session_count`: write user.session_count"),
        ("foo", "no `foo` in a plan; write one of user, today, price"),
        ("user.name | list", "no filter `list`: a list is one already"),
        ("user.name | date", "no filter `date`: `| unix_seconds`"),
        ("user.name | strftime('%Y')", "a date is not formatted"),
        ("user.name | regex_replace('a', 'b')", "there are no regular expressions"),
        ("user.name | xyzzy", "no filter `xyzzy`; write one of domain, default, lower"),
        ("user.name is empty", "write `is blank`"),
        ("user.custom_attributes.plan = 'free'", "column 29: compare with =="),
        ("user.email && user.name", "column 12: write `and`"),
        ("user.email ? 1 : 2", "column 12: write `a if condition else b`"),
        ("user.custom_attributes.größe", "user.custom_attributes['größe']"),
        ("user.custom_attributes.has avatar", "user.custom_attributes['has avatar']"),
        ("user.custom_attributes.last-login", "user.custom_attributes['last-login']"),
        ("user.custom_attributes.last-phone", "user.custom_attributes['last-phone']"),
        ("user.name == “x”", "write straight quotes"),
        ("'VIP' in user.tags", "'VIP' in (user.tags.tags | map(attribute='name'))"),
        ("'x' not in user.avatar", "look into its list"),
        ("user.name == 'x", "this quote is not closed"),
        ("user.tags.tags | map(table='prices')", "no `prices` in a plan; the nearest is `price`"),
    ] {
        refuses(value, message);
        let error = plan("bool", value, "tables.price = { starter = 49 }").unwrap_err().to_string();
        assert!(error.ends_with("/blob/main/docs/plans.md)"), "{error}");
    }
    for (kind, message) in [
        ("str", "no type `str`; the nearest is `string`"),
        ("text", "no type `text`; the nearest is `string`"),
        ("Number", "the nearest is `int`"),
        ("boolean", "the nearest is `bool`"),
        ("datetime", "the nearest is `date`"),
        ("xyzzy", "no type `xyzzy`; write one of bool, int, float, string, date"),
    ] {
        let error = plan(kind, "1", "").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

/// Every suggestion of an error is accepted.
#[test]
fn hints_of_refusals_work() {
    let body = json!({"email": "ann@acme.com", "name": "Ann", "signed_up_at": TODAY_S, "session_count": 3,
        "custom_attributes": {"größe": 3, "has avatar": true, "last-login": 4, "plan": "starter"},
        "tags": {"tags": [{"name": "x"}, {"name": "starter"}]}});
    for (kind, value) in [
        ("bool", "user.signed_up_at > today - 30 * 86400"),
        ("int", "user.signed_up_at | days_until(today)"),
        ("bool", "user.email != none"),
        ("bool", "user.email is not present"),
        ("int", "user.session_count"),
        ("int", "price[user.custom_attributes.plan]"),
        ("int", "user.tags.tags | map(attribute='name') | map(table='price') | sum"),
        ("bool", "user.custom_attributes.plan == 'free'"),
        ("bool", "user.email is present and user.name is present"),
        ("int", "1 if user.email is present else 2"),
        ("int", "user.custom_attributes['größe']"),
        ("bool", "user.custom_attributes['has avatar']"),
        ("int", "user.custom_attributes['last-login']"),
        ("string", "user.name | truncate(10)"),
        ("string", "user.name | replace('A', 'B')"),
        ("string", "user.email | split('@') | last"),
        ("bool", "user.email is startingwith('a')"),
        ("bool", "user.email is endingwith('m')"),
        ("bool", "'@' in user.email"),
        ("bool", "user.name is blank"),
        ("bool", "(user.tags.tags | length) == 0"),
        ("bool", "(user.tags.tags | selectattr('name', 'eq', 'x') | length) == 1"),
        ("bool", "(user.tags.tags | rejectattr('name', 'eq', 'x') | length) == 1"),
        ("bool", "user.name == user.name | lower"),
        ("string", "user.tags.tags | map(attribute='name') | sort | last"),
        ("int", "user.session_count // 1"),
        ("string", "user.name ~ user.email"),
    ] {
        assert!(result(kind, value, body.clone()).is_some(), "{value}");
    }
}
