//! The implementations that newtypes of a text share.

/// Implements `as_str` and `Display` for a newtype of `String`. With a reader and an error, it
/// also implements `TryFrom<String>`, so that serde checks every text that it reads.
macro_rules! text_newtype {
    ($name:ident) => {
        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
    ($name:ident, $read:expr, $error:literal) => {
        text_newtype!($name);

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                ($read)(text).ok_or($error)
            }
        }
    };
}

pub(super) use text_newtype;
