//! Suggestions for unknown names.

/// Returns the name with the smallest edit distance, if that is small: an unrelated suggestion
/// misleads.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = |candidate: &&str| {
        let edits = distance(&name.to_lowercase(), &candidate.to_lowercase());
        let most = match name.chars().count().max(candidate.chars().count()) {
            0..=4 => 1,
            5..=8 => 2,
            longest => longest / 3,
        };
        (edits <= most).then_some(edits)
    };
    known.filter(|candidate| near(candidate).is_some()).min_by_key(near)
}

/// Returns the edits between two names: letters that are added, removed, replaced, or swapped with
/// their neighbour. Only the first characters are compared: names are short, and a long one must
/// not cost much work.
pub(super) fn distance(left: &str, right: &str) -> usize {
    const CHARS_MAX: usize = 80;
    let cut = |name: &str| name.chars().take(CHARS_MAX).collect::<String>();
    strsim::osa_distance(&cut(left), &cut(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let known = ["user", "price", "last", "keep"];
        for (name, meant) in [("usr", Some("user")), ("prices", Some("price")), ("Keep", Some("keep"))] {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        for name in ["now", "undefined", "strftime", "null", "session_count"] {
            assert_eq!(nearest(name, known.into_iter()), None, "{name}");
        }
    }

    #[test]
    fn the_distance_counts_edits() {
        for (left, right, edits) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("nmae", "name", 1), ("é", "e", 1), ("same", "same", 0)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
