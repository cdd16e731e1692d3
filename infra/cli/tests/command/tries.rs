//! `try`: one user.

use serde_json::json;

use crate::world::{World, plan};

const SUM: &str = "name = \"sum\"\n[set.custom_attributes.logins]\ntype = \"int\"\n\
    value = \"(user.custom_attributes.logins | default(0)) + 1\"\n";

#[test]
fn one_user_is_shown_and_nothing_is_written() {
    let world = World::with(&["--users", "30"]);
    let plan = plan("has-avatar.toml");
    let before = world.users();
    let lacking = world.lacking(&plan);
    let user = lacking.first().unwrap();
    let shown = world.object(&["try", plan.to_str().unwrap(), "--user", user, "--json"], 2);
    let avatar = &before.iter().find(|body| body["id"] == user.as_str()).unwrap()["avatar"]["image_url"];
    let read = json!({"path": "user.avatar.image_url", "value": avatar});
    assert!(
        shown["reads"] == json!([read]) || avatar.is_null() && shown["reads"].to_string().contains("image_url"),
        "{shown}"
    );
    assert_eq!(shown["rules"][0]["target"], "custom_attributes.\"has avatar\"");
    assert_eq!((&shown["rules"][0]["result"], &shown["writes"][0]["attribute"]), (&json!("set"), &json!("has avatar")));
    assert_eq!(shown["rules"][0]["after"], shown["writes"][0]["after"]);
    let words = String::from_utf8(world.call(&["try", plan.to_str().unwrap(), "--user", user]).stdout).unwrap();
    assert!(
        words.contains("  The plan reads:\n    user.avatar.image_url: ") && words.contains("A run would write:"),
        "{words}"
    );
    assert_eq!(world.users(), before, "nothing was written");
    assert_eq!(world.requests("GET /users/scroll"), 0, "the list was not read");
    assert_eq!(world.folder.path().join(".bulk").read_dir().unwrap().count(), 0, "a state was begun");
    let right = before.iter().map(|body| body["id"].as_str().unwrap()).find(|id| !lacking.contains(*id)).unwrap();
    let shown = world.object(&["try", plan.to_str().unwrap(), "--user", right, "--json"], 0);
    assert_eq!((&shown["writes"], &shown["rules"][0]["result"]), (&json!([]), &json!("unchanged")));
}

#[test]
fn plan_that_never_settles_and_an_unknown_user_are_named() {
    let world = World::with(&["--users", "5"]);
    std::fs::write(world.folder.path().join("sum.toml"), SUM).unwrap();
    let users = world.users();
    let user = users[0]["id"].as_str().unwrap();
    let words = world.call(&["try", "sum.toml", "--user", user]);
    let out = String::from_utf8(words.stdout).unwrap();
    assert!(words.status.code() == Some(2) && out.contains("(never_settles)") && !out.contains("would write"), "{out}");
    for (id, code, says) in
        [("5714dd359a3fd471360fffff", 1, "returns no user"), ("ann@example.com", 64, "Intercom's id")]
    {
        let refused = world.call(&["try", "sum.toml", "--user", id]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(code) && said.contains(says), "{said}");
    }
}

/// Each API gives the same values under the same names.
#[test]
fn user_of_api_2_is_shown_under_the_same_names() {
    let world = World::with(&["--users", "30"]);
    let plan = plan("has-avatar.toml");
    let users = world.users();
    let user = users[0]["id"].as_str().unwrap();
    let shown = |version: &str| {
        let mut command = world.command(&["try", plan.to_str().unwrap(), "--user", user, "--json"]);
        let output = command.env("INTERCOM_API", version).output().unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|_| panic!("{out}{output:?}"))
    };
    let (older, newer) = (shown("1.4"), shown("2.17"));
    assert_eq!((&older["reads"], &older["rules"][0]["after"]), (&newer["reads"], &newer["rules"][0]["after"]));
    assert_eq!(older["reads"][0]["path"], "user.avatar.image_url");
}
