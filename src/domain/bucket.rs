//! A bucket: a UTC slice of time that groups job ids. Names are ISO 8601 with padding, so that they
//! are unique and sort by time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::text_newtype::text_newtype;

/// The length of a bucket: whole minutes that divide an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(i64);

impl Width {
    /// One minute, the default.
    pub const MINUTE: Self = Self(1);

    /// Returns a width of 1 to 60 minutes; `None` unless it divides 60, so that no bucket crosses
    /// an hour.
    pub fn from_minutes(minutes: u32) -> Option<Self> {
        (minutes > 0 && 60 % minutes == 0).then_some(Self(i64::from(minutes)))
    }

    fn ms(self) -> i64 {
        self.0 * 60_000
    }
}

/// The bucket's name: its first minute, `2016-11-24T10:05Z`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bucket(String);

impl Bucket {
    /// Returns the bucket of a time (Unix milliseconds).
    pub fn of(moment_ms: i64, width: Width) -> Self {
        let begin_ms = moment_ms.div_euclid(width.ms()) * width.ms();
        let begin = Timestamp::from_millisecond(begin_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(begin.strftime("%Y-%m-%dT%H:%MZ").to_string())
    }

    /// Parses a bucket's name; `None` if it is not one.
    pub fn parse(name: &str) -> Option<Self> {
        let begin = Self::begin_ms(name)?;
        let back = Self::of(begin, Width::MINUTE);
        (back.0 == name).then_some(back)
    }

    /// Returns the buckets of this width from this one to `last`, both included, in order; at most
    /// `most`.
    pub fn to(&self, last: &Self, width: Width, most: usize) -> Vec<Self> {
        let (Some(from), Some(to)) = (Self::begin_ms(&self.0), Self::begin_ms(&last.0)) else { return Vec::new() };
        let first = from.div_euclid(width.ms()) * width.ms();
        (0i64..)
            .map(|n| first + n * width.ms())
            .take_while(|&at| at <= to)
            .take(most)
            .map(|at| Self::of(at, width))
            .collect()
    }

    /// Returns its begin, in Unix milliseconds.
    pub fn begins_ms(&self) -> i64 {
        Self::begin_ms(&self.0).unwrap_or_default()
    }

    fn begin_ms(name: &str) -> Option<i64> {
        let minute = name.strip_suffix('Z')?;
        format!("{minute}:00Z").parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
    }
}

text_newtype!(Bucket);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn ambiguous_keys_of_2016_have_different_names() {
        let moments = ["2016-11-01T11:01:00Z", "2016-11-11T01:01:00Z", "2016-11-01T01:11:00Z", "2016-12-01T11:01:00Z"];
        let mut names: Vec<_> = moments.iter().map(|m| Bucket::of(at(m), Width::MINUTE)).collect();
        assert_eq!(names[0].as_str(), "2016-11-01T11:01Z");
        names.dedup();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn a_wider_bucket_begins_at_a_multiple_of_its_width() {
        let ten = Width::from_minutes(10).unwrap();
        assert_eq!(Bucket::of(at("2016-11-24T10:09:59.999Z"), ten).as_str(), "2016-11-24T10:00Z");
        assert!(Width::from_minutes(7).is_none() && Width::from_minutes(0).is_none());
    }

    #[test]
    fn a_range_includes_both_ends() {
        let from = Bucket::parse("2016-12-31T23:58Z").unwrap();
        let to = Bucket::parse("2017-01-01T00:01Z").unwrap();
        let names: Vec<_> = from.to(&to, Width::MINUTE, 100).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["2016-12-31T23:58Z", "2016-12-31T23:59Z", "2017-01-01T00:00Z", "2017-01-01T00:01Z"]);
        assert!(Bucket::parse("2017-1-1T00:01Z").is_none());
    }

    proptest! {
        #[test]
        fn names_sort_by_time(a in 0i64..4_000_000_000_000, b in 0i64..4_000_000_000_000) {
            let (first, second) = (Bucket::of(a.min(b), Width::MINUTE), Bucket::of(a.max(b), Width::MINUTE));
            prop_assert!(first <= second);
            prop_assert_eq!(Bucket::parse(first.as_str()), Some(first));
        }
    }
}
