//! The plans of the stories, compiled once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use intercom_bulk::plan::Plan;
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use crate::starts::with_limits;

/// The opposite of the first plan, which changes each user again.
pub(crate) const OPPOSITE: &str = "no-avatar";
const OPPOSITE_TEXT: &str = r#"
    name = "no-avatar"
    [set.custom_attributes."has avatar"]
    type = "bool"
    value = "user.avatar.image_url is not present"
"#;

const TEXTS: [&str; 5] = [
    include_str!("../../plans/has-avatar.toml"),
    include_str!("../../plans/plan-price.toml"),
    include_str!("../../plans/account-by-email.toml"),
    include_str!("../../plans/company-name.toml"),
    OPPOSITE_TEXT,
];

/// The shipped plans by name.
static PLANS: LazyLock<BTreeMap<String, Plan>> = LazyLock::new(|| {
    let plan = |text| Plan::from_toml("plan.toml", text).unwrap_or_else(|error| panic!("a shipped plan: {error}"));
    TEXTS.into_iter().map(plan).map(|plan| (plan.name().to_owned(), plan)).collect()
});

/// Returns a plan by its name.
pub(crate) fn plan(name: &str) -> Option<&'static Plan> {
    PLANS.get(name)
}

/// Returns whether users cannot disagree on a value, unlike on a company's name.
pub(crate) fn agrees(name: &str) -> bool {
    name != "company-name"
}

/// Returns the name of the plan in a start's event.
pub(crate) fn name_of(event: &Value) -> &str {
    event["plan"]["name"].as_str().or(event["plan"].as_str()).unwrap_or_default()
}

/// Returns the JSON of a plan.
pub(crate) fn json(name: &str) -> Value {
    PLANS[name].to_json()
}

/// Returns the start of a random plan, the `index`-th of its story.
pub(crate) fn start(rng: &mut SmallRng, index: u32) -> Value {
    let name = match rng.random_range(0..10) {
        0..6 => "has-avatar",
        6 | 7 => "plan-price",
        8 => "account-by-email",
        _ => "company-name",
    };
    let time = format!("2016-11-01T{:02}:{:02}:00Z", 1 + index, rng.random_range(0..60));
    let event = json!({"plan": PLANS[name].to_json(), "time": time});
    with_limits(rng, event)
}
