//! Rules that the compiler does not check: imports, sizes, names, prose, and that plans, sample
//! events and the template match the library.

#![expect(clippy::unwrap_used, reason = "all of this binary is tests; clippy exempts only functions marked so")]

mod control;
mod events;
mod families;
mod imports;
mod manifests;
mod security;
mod settings;
mod source;
mod tables;
mod template;
mod text;

use std::path::Path;

use intercom_bulk::plan::Plan;
use source::{files, read};

#[test]
fn every_plan_is_valid_and_named_like_its_file() {
    let plans = files("plans", "toml");
    assert!(!plans.is_empty());
    for path in plans {
        let plan = Plan::from_toml(&path, &read(&path)).unwrap_or_else(|error| panic!("{error}"));
        let stem = Path::new(&path).file_stem().and_then(|stem| stem.to_str());
        assert_eq!(Some(plan.name()), stem, "{path}");
    }
}
