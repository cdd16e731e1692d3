//! Values without I/O: users, patches, parts, jobs, buckets and runs. Only [`clock`] reads time.

pub mod api;
pub mod attribute;
pub mod bucket;
pub mod clock;
pub mod fnv;
pub mod found;
pub mod html;
pub mod job;
pub mod kept;
pub mod part;
pub mod partial_json;
pub mod patch;
pub mod redact;
pub mod run;
pub(crate) mod stored;
mod text_newtype;
pub mod undo;
pub mod user;
