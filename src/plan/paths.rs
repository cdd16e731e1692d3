//! What a user of API 1.x has, so that a misspelt path is refused instead of being undefined for everybody.

/// Every field of a user as Intercom's reference for 1.0 to 1.4 and its clients' fixtures show it; `[]` is a list's item.
const PATHS: &[&str] = &[
    "type",
    "id",
    "user_id",
    "anonymous",
    "email",
    "phone",
    "name",
    "pseudonym",
    "avatar.type",
    "avatar.image_url",
    "app_id",
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
    "has_hard_bounced",
    "user_agent_data",
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

/// Fields that tell who somebody is: a table key that was read from them is counted and never shown.
const PERSONAL: &[&str] = &[
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
    "location_data.latitude",
    "location_data.longitude",
    "location_data.postal_code",
];

/// One step into a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Field(String),
    /// Any item of a list.
    Item,
}

/// The path as it is written in [`PATHS`].
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

/// The custom attribute that a path reads.
pub(super) fn attribute(path: &[Segment]) -> Option<&str> {
    match path {
        [Segment::Field(first), Segment::Field(name)] if first == "custom_attributes" => Some(name),
        _ => None,
    }
}

/// Whether a user can have something there.
pub(super) fn is_known(path: &[Segment]) -> bool {
    let text = spell(path);
    attribute(path).is_some() || PATHS.iter().any(|known| is_within(known, &text))
}

/// Whether what is there tells who somebody is.
pub(super) fn is_personal(path: &[Segment]) -> bool {
    let text = spell(path);
    PERSONAL.iter().any(|personal| is_within(&text, personal) || is_within(personal, &text))
}

/// Whether `start` is `path` or leads to it.
fn is_within(path: &str, start: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The known path that comes nearest, for a message.
pub(super) fn nearest_path(path: &[Segment]) -> Option<String> {
    let text = spell(path);
    nearest(&text, PATHS.iter().copied()).map(|known| format!("user.{known}"))
}

/// The name with the smallest edit distance, whatever that is: a wrong suggestion costs less than none.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known.min_by_key(|candidate| distance(name, candidate))
}

/// Levenshtein's distance, of the first characters alone: names are short, and a plan must not buy work with a long one.
pub(super) fn distance(left: &str, right: &str) -> usize {
    const CHARS_MAX: usize = 80;
    let right: Vec<char> = right.chars().take(CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(CHARS_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<Segment> {
        text.split('.').map(|name| Segment::Field(name.into())).collect()
    }

    #[test]
    fn a_path_and_what_leads_to_it_are_known_and_a_typo_names_its_neighbour() {
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
    fn the_distance_counts_edits() {
        for (left, right, edits) in [("", "abc", 3), ("kitten", "sitting", 3), ("é", "e", 1), ("same", "same", 0)] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
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
