//! Errors of wrong plans: location, mistake, and what to write instead.

use super::*;

fn refusal(text: &str) -> String {
    match Plan::from_toml("p.toml", text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
pub(super) fn refuses(value: &str, message: &str) {
    let error = plan("bool", value, "tables.price = { starter = 49 }").map(drop).unwrap_err().to_string();
    assert!(error.contains(message), "{value}: {error}");
    assert!(error.starts_with("plan.toml:5: set.custom_attributes.x.value: "), "{error}");
}

#[test]
fn a_typo_names_the_nearest() {
    refuses("user.avatar.image_ulr is present", "no `avatar.image_ulr`; the nearest is `user.avatar.image_url`");
    refuses("user.emial", "the nearest is `user.email`");
    refuses("user.location_data.cityname", "the nearest is `user.location_data.city_name`");
    refuses("user.custom_atributes.plan", "the nearest is `user.custom_attributes");
    refuses("user.plan", "a custom attribute is read as user.custom_attributes.NAME");
    refuses("user['e-mail']", "the nearest is `user.email`");
    refuses("usr.email", "there is no `usr` in a plan; the nearest is `user`");
    refuses("prices[user.email]", "the nearest is `price`");
    refuses("price.starer", "the table `price` has no key `starer`; the nearest is `starter`");
    refuses("user.email | domian", "no filter `domian`; the nearest is `domain`");
    refuses("user.email is presnt", "no test `presnt`; the nearest is `present`");
    refuses(
        "user.companies.companies | map(attribute='nmae')",
        "no `companies.companies[].nmae`; the nearest is `user.companies.companies[].name`",
    );
    refuses("(user.companies.companies | first).nmae", "no `companies.companies[].nmae`");
    refuses("user.tags.tags | selectattr('nam') | first", "no `tags.tags[].nam`");
    refuses("user.tags.tags | selectattr('name', 'equal', 'x') | first", "no test `equal`");
    refuses("user.tags.tags | map('lowr')", "no filter `lowr`; the nearest is `lower`");
    refuses("true or (1 if user.emial else 2)", "the nearest is `user.email`");
    refuses("[user.emial]", "the nearest is `user.email`");
    refuses("user.email | default(user.emial)", "the nearest is `user.email`");
}

#[test]
fn missing_language_features_are_refused() {
    refuses("user", "read one of its fields");
    refuses("user | length", "read one of its fields");
    refuses("user[user.custom_attributes.field]", "a calculated subscript");
    refuses("user.custom_attributes[user.name]", "a calculated subscript");
    refuses("price", "read it as TABLE[key]");
    refuses("price | length", "read it as TABLE[key]");
    refuses("user.email.lower()", "use a filter");
    refuses("now()", "no `now`");
    refuses("now", "there is no `now` in a plan");
    refuses("user.email[:3]", "a slice");
    refuses("{'a': 1}", "put it under tables");
    refuses("1 < user.session_count < 5", "write a < b and b < c");
    refuses("(user.name ~ 'x').foo", "a field of a calculated value");
    refuses("user.email | tojson", "no filter `tojson`");
    refuses("user.email | plan_add(1)", "no filter `plan_add`");
    refuses("user.email | lower(1)", "`lower` takes 0 to 0 arguments, and this has 1");
    refuses("user.email | replace(*['a', 'b'])", "`replace` takes 2 to 2 arguments");
    refuses("user.email | replace('a', *['b'])", "does not take these arguments");
    refuses("user.session_count is divisibleby", "takes 1 to 1 arguments");
    refuses("user.email |", "cannot be read");
    refuses("", "cannot be read");
    refuses("{{ user.email }}", "write it without {{ and }}");
}

#[test]
fn a_wrong_structure_names_its_line_and_a_correction() {
    let good = "[set.custom_attributes.x]\ntype = \"int\"\nvalue = \"1\"\n";
    let cases = [
        (String::new(), "p.toml: `name` is missing: write name = \"has-avatar\""),
        ("name = \"p\"".into(), "p.toml: `set` is missing"),
        ("name = \"p\"\n[set]".into(), "p.toml:2: set: `custom_attributes` is missing"),
        (format!("name = \"P p\"\n{good}"), "p.toml:1: name: the name `P p` does not fit"),
        (format!("name = 5\n{good}"), "p.toml:1: name: this is a number: write a text"),
        (
            format!("name = \"p\"\nwere = \"true\"\n{good}"),
            "p.toml:2: were: there is no key `were` here; the nearest is `where`",
        ),
        (
            format!("name = \"p\"\n{good}valeu = 1"),
            "p.toml:5: set.custom_attributes.x.valeu: there is no key `valeu` here; the nearest is `value`",
        ),
        (format!("name = \"p\"\n\ntables.t = {{ acme.com = \"x\" }}\n{good}"), "quote the key, as \"acme.com\" = …"),
        (
            format!("name = \"p\"\n\n[tables.t]\na.b.c = \"x\"\n{good}"),
            "p.toml:4: tables.t.a: a table's values are scalars, and this is a table: quote the key, as \"a.b.c\" = …",
        ),
        (
            format!("name = \"p\"\n\n[tables.t]\na = [1]\n{good}"),
            "p.toml:4: tables.t.a: this is a list: write a text, a number, true or false",
        ),
        (format!("name = \"p\"\n\n[tables.t]\na = 2016-11-24\n{good}"), "Unix seconds"),
        (format!("name = \"p\"\n\n[tables.t]\na = nan\n{good}"), "p.toml:4: this number cannot be kept exactly"),
        (
            format!("name = \"p\"\n\n[tables.t]\na = 9007199254740993\n{good}"),
            "p.toml:4: tables.t.a: this number cannot",
        ),
        (
            format!("name = \"p\"\n\n[tables.user]\na = 1\n{good}"),
            "p.toml:3: tables.user: `user` cannot be a table's name",
        ),
        (format!("name = \"p\"\n\n[tables.\"a-b\"]\na = 1\n{good}"), "cannot be a table's name"),
        (format!("name = \"p\n{good}"), "p.toml:1: this is not TOML"),
        (format!("name = \"p\"\n{good}{good}"), "p.toml:5: this is not TOML"),
        (
            "name = \"p\"\n[set.custom_attributes.\"a.b\"]\ntype = \"int\"\nvalue = \"1\"".into(),
            "p.toml:2: set.custom_attributes.\"a.b\": Intercom takes no attribute of this name",
        ),
        (
            "name = \"p\"\n[set.email]\ntype = \"string\"\nvalue = \"'x'\"".into(),
            "`email` is not a field that a plan may write",
        ),
        (
            "name = \"p\"\n[set.has_avatar]\ntype = \"bool\"\nvalue = \"true\"".into(),
            "or a custom attribute as set.custom_attributes.\"has_avatar\"",
        ),
        (
            "name = \"p\"\n[set.signed_up_at]\ntype = \"int\"\nvalue = \"1\"".into(),
            "p.toml:3: set.signed_up_at.type: this target takes the type date",
        ),
        ("name = \"p\"\n[set.company.name]\ntype = \"string\"\nvalue = \"'x'\"".into(), "`company_id` is missing"),
        (
            "name = \"p\"\n[set.company.plan]\ntype = \"string\"\nvalue = \"'x'\"".into(),
            "there is no key `plan` here; write name",
        ),
        (
            "name = \"p\"\n[set.custom_attributes.x]\ntype = \"integer\"\nvalue = \"1\"".into(),
            "there is no type `integer`",
        ),
        ("name = \"p\"\n[set.custom_attributes.x]\nvalue = \"1\"".into(), "`type` is missing"),
        (
            "name = \"p\"\n[set.custom_attributes.x]\ntype = \"int\"\nvalue = 1".into(),
            "this is a number: write an expression in quotes",
        ),
        (format!("name = \"p\"\n{good}otherwise = \"Keep\""), "looks like a misspelt `keep`"),
        (
            format!("name = \"p\"\n{good}otherwise = \"none\""),
            "p.toml:5: set.custom_attributes.x.otherwise: this is neither a word of `otherwise` nor a value",
        ),
        (format!("name = \"p\"\n{good}otherwise = {{ value = 1, or = 2 }}"), "there is no key `or`"),
        (
            "name = \"p\"\n[set.signed_up_at]\ntype = \"date\"\nvalue = \"1\"\notherwise = \"clear\"".into(),
            "cannot be cleared",
        ),
    ];
    for (text, message) in cases {
        let error = refusal(&text);
        assert!(error.contains(message), "{message}\n  got: {error}");
    }
}

#[test]
fn json_is_refused_the_same_way() {
    for (value, message) in [
        (json!(null), "the plan: this is null: write a table"),
        (
            json!({"name": "p", "set": {"custom_attributes": {"x": {"type": "int", "value": null}}}}),
            "the plan: set.custom_attributes.x.value: this is null",
        ),
        (json!({"name": "p", "sets": {}}), "the nearest is `set`"),
        (json!({"name": "p", "tables": {"t": {"a": u64::MAX}}, "set": {}}), "set"),
    ] {
        let error = Plan::from_json(&value).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn all_mistakes_of_a_plan_are_shown() {
    let text = "name = \"P\"\nwhere = \"user.emial\"\nlists = 1\n[set.custom_attributes.a]\ntype = \"str\"\nvalue = \"now\"\n\
                [set.custom_attributes.b]\ntype = \"int\"\nvalue = \"1\"\notherwise = \"none\"\n[set.company.name]\ntype = \"string\"\nvalue = \"'x'\"\n";
    let error = refusal(text);
    let lines: Vec<&str> = error.lines().collect();
    for (line, start) in lines.iter().zip([
        "p.toml:1: name: ",
        "p.toml:2: where: ",
        "p.toml:3: lists: there is no key `lists` here; write one of name, contacts, where, show_missed, tables, set",
        "p.toml:5: set.custom_attributes.a.type: ",
        "p.toml:6: set.custom_attributes.a.value: ",
        "p.toml:10: set.custom_attributes.b.otherwise: this is neither a word of `otherwise` nor a value of the target's \
         type: write keep, clear, error or a whole number",
        "p.toml:11: set.company.name: `company_id` is missing",
        "reference: https://",
    ]) {
        assert!(line.starts_with(start), "{line}\n  is not {start}");
    }
    assert_eq!(lines.len(), 8, "{error}");
    let many = (0..500).fold(String::new(), |text, n| text + &format!("unknown{n} = 1\n"));
    let error = refusal(&format!("name = \"p\"\n{many}"));
    assert!(error.lines().count() == 12 && error.contains("and 491 more mistakes"), "{error}");
}

#[test]
fn syntax_errors_name_the_key_or_a_correction() {
    let twice = refusal("name = \"a\"\nname = \"b\"\n");
    assert!(twice.contains("p.toml:2:") && twice.contains("duplicate key `name`"), "{twice}");
    let blank = refusal("name = \"a\"\n[set.custom_attributes.has avatar]\n");
    assert!(blank.contains("[set.custom_attributes.\"has avatar\"]"), "{blank}");
}

#[test]
fn a_json_file_is_refused_by_line() {
    let refused = |text: &str| Plan::from_json_text("p.json", text).unwrap_err().to_string();
    let plan = "{\n \"name\": \"p\",\n \"set\": {\"custom_attributes\": {\n  \"x\": {\"type\": \"int\",\n   \"value\": \"1\"}}}\n}";
    assert_eq!(new_value(&Plan::from_json_text("p.json", plan).unwrap(), json!({})), Some(json!(1)));
    let misspelt = refused(&plan.replace("value", "valeu"));
    assert!(misspelt.contains("p.json:5: set.custom_attributes.x.valeu: there is no key"), "{misspelt}");
    let broken = refused("{\n \"name\": \"p\",\n set: 1}");
    assert!(broken.starts_with("p.json:3: this is not JSON: key must be a string (column "), "{broken}");
    let twice = refused("{\"name\": \"p\",\n \"name\": \"q\"}");
    assert!(twice.starts_with("p.json:2: the key `name` is there twice"), "{twice}");
    let deep = refused(&format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100)));
    assert!(deep.contains("the nesting is too deep"), "{deep}");
}

#[test]
fn probable_mistakes_are_warned_of() {
    let text = "name = \"p\"\n[tables.account]\n\"acme.com\" = \"A\"\n\"ACME.org\" = \"B\"\n\"@acme.net\" = \"C\"\n\"acme.info.\" = \"D\"\n\
                [set.custom_attributes.trial_ends]\ntype = \"date\"\nvalue = \"today\"\n\
                [set.custom_attributes.email]\ntype = \"string\"\nvalue = \"account[user.email | domain]\"\n";
    let plan = Plan::from_toml("p.toml", text).unwrap();
    let warnings = plan.warnings();
    for (warning, part) in warnings.iter().zip([
        "the plan reads `today`",
        "the name of a standard field, and the field `email` itself is not set",
        "write custom_attributes.trial_ends_at",
        "never gives \"@acme.net\": write \"acme.net\"",
        "never gives \"ACME.org\": write \"acme.org\"",
        "never gives \"acme.info.\": write \"acme.info\"",
    ]) {
        assert!(warning.contains(part), "{warning}\n  lacks {part}");
    }
    assert_eq!(warnings.len(), 6, "{warnings:?}");
    for value in ["user.email | domain in account", "user.email | domain not in account"] {
        let one = self::plan("bool", value, "tables.account = { \"ACME.com\" = 1 }").unwrap();
        assert_eq!(one.warnings().len(), 1, "{value}");
    }
    assert_eq!(
        self::plan("int", "price[user.name]", "tables.price = { A = 1 }").unwrap().warnings(),
        [] as [String; 0]
    );
}
