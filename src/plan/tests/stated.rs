//! Properties of every plan and every user.

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::plan::evaluate::apply;

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3_i64..60).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        prop_oneof![Just("49.0"), Just("starter"), Just("ann@acme.com"), Just(""), Just("é\u{0}\"")]
            .prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ]
}

fn anything() -> impl Strategy<Value = Json> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            Just("image_url"),
            Just("companies"),
            Just("company_id"),
            Just("name"),
            Just("x"),
            Just("plan"),
            Just("tags")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|entries| {
                Json::Object(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn body() -> impl Strategy<Value = Json> {
    let company = || (scalar(), scalar()).prop_map(|(id, name)| json!({"company_id": id, "name": name}));
    let usual = (scalar(), scalar(), scalar(), prop::collection::vec(company(), 0..3), scalar(), scalar()).prop_map(
        |(email, name, avatar, companies, x, plan)| {
            json!({"email": email, "name": name, "session_count": plan, "avatar": {"image_url": avatar},
                "companies": {"companies": companies}, "custom_attributes": {"x": x, "plan": plan}})
        },
    );
    let odd = prop::collection::vec(anything(), 6).prop_map(|mut parts| {
        let mut part = || parts.pop().unwrap();
        json!({"email": part(), "name": part(), "avatar": part(), "companies": part(), "tags": part(), "custom_attributes": part()})
    });
    prop_oneof![usual, odd]
}

const PARTS: &[&str] = &[
    "user.email",
    "user.name",
    "user.session_count",
    "user.avatar.image_url",
    "user.custom_attributes.x",
    "user.custom_attributes.plan",
    "user.custom_attributes",
    "user.companies.companies",
    "(user.companies.companies | first).name",
    "user.companies.companies[0].company_id",
    "user.tags.tags | map(attribute='name')",
    "1",
    "2.5",
    "'starter'",
    "''",
    "none",
    "true",
    "[1, 'a']",
    "[3, 1]",
    "today",
    "'2016-11-24'",
];

pub(super) fn expression() -> impl Strategy<Value = String> {
    let part = prop::sample::select(PARTS).prop_map(|part| format!("({part})"));
    part.prop_recursive(3, 12, 2, |inner| {
        let operator = prop::sample::select(
            &["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"][..],
        );
        let after = prop::sample::select(
            &[
                "lower",
                "upper",
                "title",
                "trim",
                "domain",
                "length",
                "first",
                "last",
                "int",
                "float",
                "bool",
                "string",
                "truncate",
                "truncate(2)",
                "unix_seconds",
                "days_until(today)",
                "map('lower')",
                "map(table='table')",
                "max",
                "abs",
                "round",
                "min",
                "sum",
                "sort",
                "unique",
                "join(',')",
                "split('a')",
                "default(1)",
                "replace('a', 'bb')",
            ][..],
        );
        let test = prop::sample::select(
            &["present", "none", "number", "odd", "blank", "true", "startingwith('a')", "divisibleby(2)"][..],
        );
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), after).prop_map(|(a, filter)| format!("({a} | {filter})")),
            (inner.clone(), test).prop_map(|(a, test)| format!("({a} is {test})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} if {b} else {b})")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.clone().prop_map(|a| format!("(-{a})")),
            inner.prop_map(|a| format!("table[{a} ~ '']")),
        ]
    })
}

fn any_plan() -> impl Strategy<Value = Json> {
    let kind = prop::sample::select(&["bool", "int", "float", "string", "date"][..]);
    let otherwise = prop::sample::select(&["keep", "clear", "error"][..]);
    let rows = prop::collection::btree_map(
        ".{0,8}",
        prop_oneof![(-9_i64..99).prop_map(Json::from), ".{0,5}".prop_map(Json::from)],
        0..5,
    );
    (kind, expression(), expression(), expression(), otherwise, rows, any::<[bool; 2]>()).prop_map(
        |(kind, value, condition, name, otherwise, rows, [conditional, company])| {
            let mut plan = json!({"name": "any", "tables": {"table": rows},
                "set": {"custom_attributes": {"x": {"type": kind, "value": value, "otherwise": otherwise}}}});
            if conditional {
                plan["where"] = json!(condition);
            }
            if company {
                let id = "user.companies.companies | map(attribute='company_id')";
                plan["set"]["company"] = json!({"name": {"type": "string", "value": name, "company_id": id}});
            }
            plan
        },
    )
}

/// Reads a generated plan. The only expected refusal is `in` with an object of fixed fields.
fn read(plan: &Json) -> Result<Plan, TestCaseError> {
    let plan = Plan::from_json(plan).map_err(|error| match error.to_string() {
        text if text.contains("`in` with an object") => TestCaseError::reject(text),
        text => TestCaseError::fail(text),
    })?;
    Ok(plan.on_day_of(TODAY_S))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A run can be repeated: whatever the plan, a written value is not written again.
    #[test]
    fn a_second_run_sends_nothing(plan in any_plan(), bodies in prop::collection::vec(body(), 1..8)) {
        let plan = read(&plan)?;
        for body in bodies {
            let user = user(body);
            let Some(patch) = plan.evaluate(&user).patch else { continue };
            prop_assert!(!patch.changes.is_empty());
            let mut after = user.body().clone();
            for change in &patch.changes {
                prop_assert_ne!(Some(&change.new), change.replaced.as_ref());
                prop_assert!(!change.new.is_object() && !change.new.is_array());
                apply(&mut after, change);
            }
            prop_assert_eq!(plan.evaluate(&User::new(after).unwrap()).patch, None);
        }
    }

    #[test]
    fn the_stored_copy_is_the_same_plan(plan in any_plan(), body in body()) {
        let plan = read(&plan)?;
        let stored = Plan::from_json(&plan.to_json()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let stored = stored.on_day_of(TODAY_S);
        let user = user(body);
        prop_assert_eq!(stored.evaluate(&user), plan.evaluate(&user));
        prop_assert_eq!(stored.to_json(), plan.to_json());
    }

    /// Fields outside the plan's projection do not affect its results.
    #[test]
    fn a_plan_reads_only_its_projection(plan in any_plan(), body in body()) {
        let plan = read(&plan)?;
        let whole = user(body);
        let kept = User::new(plan.projection().read(whole.body().to_string().as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(plan.evaluate(&kept), plan.evaluate(&whole));
        prop_assert_eq!(plan.company_names(&kept), plan.company_names(&whole));
        prop_assert_eq!(plan.seen(&kept), plan.seen(&whole));
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}", value in "[a-z0-9 .|()\\[\\]'\"*/+-]{0,60}", json in anything()) {
        let _ = Plan::from_toml("p", &text);
        let _ = Plan::from_json(&json);
        let _ = plan("bool", &value, "");
    }

    /// One wrong letter in a path is refused, unless it makes another known path.
    #[test]
    fn a_misspelt_path_is_refused(at in 5_usize..21, letter in "[qxz]") {
        let mut path = "user.avatar.image_url".to_owned();
        path.replace_range(at..=at.min(20), &letter);
        prop_assert!(plan("bool", &path, "").is_err(), "{}", path);
    }
}
