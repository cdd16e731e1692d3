//! The fields of a user of API 1.x, so that a misspelt path is refused instead of being undefined
//! for all users.

use serde_json::Value as Json;

use super::nearest::nearest;

/// Every field of a user in Intercom's references for API 1.0 to 1.4 and in its clients' fixtures, and
/// `role`, which API 2.x has instead of `anonymous`. `[]` is an item of a list.
///
/// [`super::Plan::unseen`] detects a version or a workspace without one of them.
pub(super) const PATHS: &[&str] = &[
    "type",
    "id",
    "user_id",
    "role",
    "anonymous",
    "email",
    "phone",
    "name",
    "pseudonym",
    "avatar.type",
    "avatar.image_url",
    "app_id",
    "owner_id",
    "companies.type",
    "companies.companies[].type",
    "companies.companies[].id",
    "companies.companies[].company_id",
    "companies.companies[].name",
    "location_data.type",
    "location_data.city_name",
    "location_data.continent_code",
    "location_data.country_code",
    "location_data.country_name",
    "location_data.latitude",
    "location_data.longitude",
    "location_data.postal_code",
    "location_data.region_name",
    "location_data.timezone",
    "last_request_at",
    "last_seen_ip",
    "last_contacted_at",
    "last_heard_from_at",
    "last_email_opened_at",
    "last_email_clicked_at",
    "created_at",
    "remote_created_at",
    "signed_up_at",
    "updated_at",
    "session_count",
    "social_profiles.type",
    "social_profiles.social_profiles[].type",
    "social_profiles.social_profiles[].id",
    "social_profiles.social_profiles[].name",
    "social_profiles.social_profiles[].username",
    "social_profiles.social_profiles[].url",
    "unsubscribed_from_emails",
    "marked_email_as_spam",
    "has_hard_bounced",
    "do_not_track",
    "user_agent_data",
    "referrer",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "tags.type",
    "tags.tags[].type",
    "tags.tags[].id",
    "tags.tags[].name",
    "segments.type",
    "segments.segments[].type",
    "segments.segments[].id",
    "segments.segments[].name",
    "custom_attributes",
];

/// The field that each of our writes changes: a plan that reads it would change users again in
/// every run.
const CHANGED_BY_WRITES: &str = "updated_at";

/// A name of API 2.x for a field of API 1.x.
pub(super) struct Alias {
    /// The object that contains the field; empty for the user itself.
    pub(super) of: &'static str,
    /// The name in API 2.x.
    pub(super) newer: &'static str,
    /// The name in API 1.x.
    pub(super) own: &'static str,
}

const fn alias(of: &'static str, newer: &'static str, own: &'static str) -> Alias {
    Alias { of, newer, own }
}

/// The fields that have another name in API 2.x. A plan may use either name with each API.
pub(super) const ALIASES: &[Alias] = &[
    alias("", "external_id", "user_id"),
    alias("", "workspace_id", "app_id"),
    alias("", "last_seen_at", "last_request_at"),
    alias("", "last_replied_at", "last_heard_from_at"),
    alias("", "location", "location_data"),
    alias("location_data", "country", "country_name"),
    alias("location_data", "region", "region_name"),
    alias("location_data", "city", "city_name"),
    alias("tags", "data", "tags"),
    alias("companies", "data", "companies"),
    alias("social_profiles", "data", "social_profiles"),
];

/// Returns the name of API 1.x of a field of the object at this path.
pub(super) fn own_name<'n>(of: &[Segment], name: &'n str) -> &'n str {
    let of = spell(of);
    ALIASES.iter().find(|alias| alias.of == of && alias.newer == name).map_or(name, |alias| alias.own)
}

/// Fields that identify a person. A table key that is read from them is counted, and shown only if
/// the plan requests it.
///
/// End users can write custom attributes, through the Messenger for instance.
const PERSONAL: &[&str] = &[
    "custom_attributes",
    "id",
    "user_id",
    "email",
    "phone",
    "name",
    "pseudonym",
    "avatar",
    "last_seen_ip",
    "user_agent_data",
    "social_profiles",
    "referrer",
    "location_data.latitude",
    "location_data.longitude",
    "location_data.postal_code",
];

/// One step of a path in a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    Field(String),
    /// Any item of a list.
    Item,
}

/// Returns the path as it is written in [`PATHS`].
pub(super) fn spell(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Item => text.push_str("[]"),
            Segment::Field(name) if text.is_empty() => text.push_str(name),
            Segment::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
        }
    }
    text
}

/// Returns the custom attribute that a path reads.
pub(super) fn attribute(path: &[Segment]) -> Option<&str> {
    match path {
        [Segment::Field(first), Segment::Field(name)] if first == "custom_attributes" => Some(name),
        _ => None,
    }
}

/// Returns whether a user can have a value at this path.
pub(super) fn is_known(path: &[Segment]) -> bool {
    let text = spell(path);
    attribute(path).is_some() || PATHS.iter().any(|known| is_within(known, &text))
}

/// Returns whether each of our writes changes the value at this path.
pub(super) fn is_changed_by_writes(path: &[Segment]) -> bool {
    matches!(path, [Segment::Field(field)] if field == CHANGED_BY_WRITES)
}

/// Returns whether the path is an object with known fields, such as `user.tags`.
/// `user.custom_attributes` can have any fields.
pub(super) fn is_object(path: &[Segment]) -> bool {
    let start = format!("{}.", spell(path));
    PATHS.iter().any(|known| known.starts_with(&start))
}

/// Returns the fields of a user itself, such as `email` and `avatar`.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    PATHS.iter().filter_map(|path| path.split(['.', '[']).next())
}

/// Returns whether a user has the path: its key exists, even with null. A null on the way counts,
/// since Intercom uses it for "nothing below". An empty list does not count, since it shows no
/// item's fields. A null `custom_attributes` shows nothing about an attribute.
pub(super) fn has(body: &Json, path: &[Segment]) -> bool {
    match path.split_first() {
        None => true,
        Some((Segment::Field(name), rest)) => match body.get(name) {
            None => false,
            Some(Json::Null) => rest.is_empty() || name != "custom_attributes",
            Some(below) => has(below, rest),
        },
        Some((Segment::Item, rest)) => body.as_array().is_some_and(|items| items.iter().any(|item| has(item, rest))),
    }
}

/// Returns whether the value at this path identifies a person.
pub(super) fn is_personal(path: &[Segment]) -> bool {
    let text = spell(path);
    PERSONAL.iter().any(|personal| is_within(&text, personal) || is_within(personal, &text))
}

/// Returns whether `start` is `path` or leads to it.
pub(super) fn is_within(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Returns the known path that was probably meant, for a message.
pub(super) fn nearest_path(path: &[Segment]) -> Option<String> {
    nearest(&spell(path), PATHS.iter().copied()).map(|known| format!("user.{known}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Segment> {
        text.split('.').map(|name| Segment::Field(name.into())).collect()
    }

    #[test]
    fn a_path_and_its_parents_are_known_and_a_typo_is_not() {
        for known in ["email", "avatar", "avatar.image_url", "custom_attributes", "custom_attributes.any thing"] {
            assert!(is_known(&path(known)), "{known}");
        }
        for (typo, meant) in [("emial", "user.email"), ("avatar.image_ulr", "user.avatar.image_url")] {
            assert!(!is_known(&path(typo)), "{typo}");
            assert_eq!(nearest_path(&path(typo)).as_deref(), Some(meant));
        }
        for unknown in ["av", "avatar.image_url.host", "custom_attributes.plan.tier"] {
            assert!(!is_known(&path(unknown)), "{unknown}");
        }
    }

    #[test]
    fn names_of_api_2_are_those_of_known_fields() {
        for Alias { of, newer, own } in ALIASES {
            let object = if of.is_empty() { Vec::new() } else { path(of) };
            assert_eq!(own_name(&object, newer), *own);
            let known = object.iter().cloned().chain(path(own)).collect::<Vec<_>>();
            assert!(is_known(&known), "{of} {own}");
            let newer = object.into_iter().chain(path(newer)).collect::<Vec<_>>();
            assert!(!is_known(&newer), "{of} {newer:?}");
        }
        assert_eq!(own_name(&path("custom_attributes"), "country"), "country");
    }

    #[test]
    fn a_user_has_a_path_if_its_key_exists() {
        let item = |name: &str| [Segment::Item, Segment::Field(name.into())];
        let names: Vec<_> = path("segments.segments").into_iter().chain(item("name")).collect();
        let body = serde_json::json!({"email": null, "avatar": null, "custom_attributes": {"plan": null},
            "segments": {"segments": [{"id": "1"}]}});
        for (path, is_there) in [
            (path("email"), true),
            (path("avatar.image_url"), true),
            (path("custom_attributes.plan"), true),
            (path("custom_attributes.plann"), false),
            (path("utm_source"), false),
            (path("segments.segments"), true),
            (names.clone(), false),
        ] {
            assert_eq!(has(&body, &path), is_there, "{}", spell(&path));
        }
        assert!(!has(&serde_json::json!({"custom_attributes": null}), &path("custom_attributes.plan")));
        assert!(!has(&serde_json::json!({"segments": {"segments": []}}), &names));
        assert!(has(&serde_json::json!({"segments": {"segments": [{"id": "1"}, {"name": null}]}}), &names));
    }

    #[test]
    fn personal_covers_parents_and_children() {
        for (text, personal) in [
            ("email", true),
            ("avatar.image_url", true),
            ("location_data", true),
            ("location_data.country_name", false),
        ] {
            assert_eq!(is_personal(&path(text)), personal, "{text}");
        }
    }
}
