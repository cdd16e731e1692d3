//! Reads parts of a JSON document: those of a [`Projection`]. The rest is checked and skipped. Therefore a wide user costs little more than a narrow one, and no more personal data is
//! held than requested.

mod repair;

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The parts of a value that are kept. A value of another shape is kept whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Projection {
    /// The whole value.
    Whole,
    /// These keys of an object, each with its own projection.
    Keys(BTreeMap<String, Projection>),
    /// Every item of a list, each with this projection.
    Each(Box<Projection>),
}

impl Projection {
    /// Creates a projection to these keys of an object.
    pub fn keys<const N: usize>(keys: [(&str, Self); N]) -> Self {
        Self::Keys(keys.into_iter().map(|(key, keep)| (key.to_owned(), keep)).collect())
    }

    /// Reads a document. In a text that is not valid Unicode, U+FFFD replaces what cannot be
    /// decoded.
    pub fn read(&self, document: &[u8]) -> serde_json::Result<Value> {
        self.read_exactly(document).or_else(|_| self.read_exactly(repair::repaired(document).as_bytes()))
    }

    fn read_exactly(&self, document: &[u8]) -> serde_json::Result<Value> {
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for &Projection {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Projection::Whole => serde::Deserialize::deserialize(deserializer),
            Projection::Keys(_) | Projection::Each(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for &Projection {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(key) = entries.next_key_seed(FieldKey(self))? {
            match key {
                Some((key, keep)) => {
                    kept.insert(key, entries.next_value_seed(keep)?);
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let keep = if let Projection::Each(keep) = self { keep } else { &Projection::Whole };
        let mut kept = Vec::new();
        while let Some(item) = items.next_element_seed(keep)? {
            kept.push(item);
        }
        Ok(Value::Array(kept))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
}

/// A key of an object, with the projection of its value; `None` if it is skipped.
struct FieldKey<'k>(&'k Projection);

impl<'de, 'k> DeserializeSeed<'de> for FieldKey<'k> {
    type Value = Option<(String, &'k Projection)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'k> Visitor<'_> for FieldKey<'k> {
    type Value = Option<(String, &'k Projection)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let keep = match self.0 {
            Projection::Keys(keys) => keys.get(key),
            Projection::Whole | Projection::Each(_) => Some(&Projection::Whole),
        };
        Ok(keep.map(|keep| (key.to_owned(), keep)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(keep: &Projection, document: &Value) -> Value {
        keep.read(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_requested_keys_are_kept() {
        let user = Projection::keys([
            ("id", Projection::Whole),
            ("custom_attributes", Projection::keys([("plan", Projection::Whole)])),
        ]);
        let page = Projection::keys([("users", Projection::Each(Box::new(user)))]);
        let ann = json!({"id": "a", "name": "Ann", "custom_attributes": {"plan": {"a": [1, null]}, "x": 1}});
        let document = json!({"users": [ann, "no user", 7, null], "pages": {"next": 1.5}});
        let kept = json!({"users": [{"id": "a", "custom_attributes": {"plan": {"a": [1, null]}}}, "no user", 7, null]});
        assert_eq!(read(&page, &document), kept);
        assert_eq!(read(&Projection::Whole, &document), document);
    }

    #[test]
    fn invalid_unicode_affects_its_own_text_only() {
        let user = Projection::keys([("id", Projection::Whole), ("name", Projection::Whole)]);
        let page = Projection::keys([("users", Projection::Each(Box::new(user)))]);
        let document =
            br#"{"users": [{"id": "a", "na\ud83dme": 1, "bio": "\udc00"}, {"id": "b", "name": "Zo\ud83d"}]}"#;
        let kept = json!({"users": [{"id": "a"}, {"id": "b", "name": "Zo\u{fffd}"}]});
        assert_eq!(page.read(document).unwrap(), kept);
        assert_eq!(
            page.read(b"{\"users\": [{\"id\": \"a\", \"name\": \"\xff\"}]}").unwrap()["users"][0]["name"],
            "\u{fffd}"
        );
    }

    #[test]
    fn another_shape_is_kept_whole() {
        let keys = Projection::keys([("a", Projection::Whole)]);
        let each = Projection::Each(Box::new(keys.clone()));
        for value in [json!([{"b": 1}]), json!("a"), json!(-1), json!(1.5), json!(u64::MAX), json!(true), Value::Null] {
            assert_eq!(read(&keys, &value), value);
        }
        assert_eq!(read(&each, &json!({"b": [2]})), json!({"b": [2]}));
    }

    #[test]
    fn skipped_values_must_be_valid_json() {
        let keep = Projection::keys([("a", Projection::Whole)]);
        for bad in ["", "{", r#"{"b":tru}"#, r#"{"b":"\x"}"#, r#"{"b":[1,]}"#, r#"{"a":1} {"#, r#"{"a":1,"b":"#] {
            assert!(keep.read(bad.as_bytes()).is_err(), "{bad}");
        }
        let deep = format!(r#"{{"b":{}}}"#, "[".repeat(10_000));
        assert!(keep.read(deep.as_bytes()).is_err());
        assert_eq!(
            keep.read(br#"{"\u0061":1,"a":2}"#).unwrap(),
            json!({"a": 2}),
            "the last of two, as without keeping"
        );
    }
}
