//! The session in docs/session.md: its commands print what it shows.

use std::path::Path;

use serde_json::json;

use crate::world::World;

/// The exit codes of the session's commands, in their order.
const CODES: [i32; 8] = [2, 2, 2, 2, 2, 0, 0, 0];
/// The user whose value another program sets before the undo.
const SET_BY_ANOTHER: &str = "52c92a0dd9907c614ea2d791";

/// A command of the session and the lines below it.
struct Shown<'a> {
    arguments: Vec<&'a str>,
    lines: Vec<&'a str>,
}

/// Returns the document's blocks in this language.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let blocks = document.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).collect()
}

fn commands(document: &str) -> Vec<Shown<'_>> {
    let mut commands: Vec<Shown<'_>> = Vec::new();
    for line in blocks(document, "text").into_iter().flat_map(str::lines) {
        match line.strip_prefix("$ intercom-bulk ") {
            Some(arguments) => commands.push(Shown { arguments: arguments.split(' ').collect(), lines: Vec::new() }),
            None => commands.last_mut().expect("a block begins with a command").lines.push(line),
        }
    }
    commands
}

/// Returns the line without times and ids of requests, and with the number of each run in the
/// order in which `runs` met them.
fn without_times(line: &str, runs: &mut Vec<String>) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let before = words.last().map_or("", String::as_str);
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let replaced = if bare.starts_with("tier.20") {
            let known = runs.iter().position(|run| run == bare);
            let number = known.unwrap_or_else(|| {
                runs.push(bare.to_owned());
                runs.len() - 1
            });
            word.replace(bare, &format!("run {number}"))
        } else if before == "(request" {
            word.replace(bare, "id")
        } else if bare.starts_with("20") && bare.ends_with('Z') {
            word.replace(bare, "time")
        } else {
            word.to_owned()
        };
        if bare == "s" && before.parse::<u64>().is_ok() {
            words.pop();
        }
        words.push(replaced);
    }
    words.join(" ")
}

#[test]
fn session_shows_what_its_commands_print() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/session.md");
    let document = std::fs::read_to_string(document).unwrap();
    // The rate limit only makes the session shorter.
    let options = ["--option", "attribute=tier:string:free|starter", "--option", "app-version=2.17"];
    assert!(document.contains("simulate --option 'attribute=tier:string:free|starter' --option app-version=2.17 &"));
    let world = World::with(&[&options, ["--rate-limit-per-10s", "1000000"].as_slice()].concat()).on("auto");
    let [plan] = blocks(&document, "toml")[..] else { panic!("the session has one plan") };
    std::fs::write(world.folder.path().join("tier.toml"), plan).unwrap();
    let commands = commands(&document);
    assert_eq!(commands.len(), CODES.len());
    let (mut runs_shown, mut runs_printed) = (Vec::new(), Vec::new());
    for (Shown { arguments, lines }, code) in commands.iter().zip(CODES) {
        match arguments[..] {
            ["retry"] => add_the_option(&world, &document),
            ["undo"] => {
                let body = json!({"custom_attributes": {"tier": "free"}}).to_string();
                world.put(&format!("/contacts/{SET_BY_ANOTHER}"), body);
            }
            _ => {}
        }
        let output = world.call(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        let printed: Vec<String> = out.lines().map(|line| without_times(line, &mut runs_printed)).collect();
        let said: Vec<String> = error.lines().map(|line| without_times(line, &mut runs_printed)).collect();
        let shown: Vec<String> = lines.iter().map(|line| without_times(line, &mut runs_shown)).collect();
        for line in shown.iter().filter(|line| line.trim() != "…") {
            assert!(
                printed.contains(line) || said.contains(line),
                "{arguments:?} does not print:\n{line}\n\n{out}{error}"
            );
        }
        if shown.iter().all(|line| line.trim() != "…") {
            let left_out: Vec<_> = printed.iter().filter(|line| !shown.contains(line)).collect();
            assert!(left_out.is_empty(), "{arguments:?} prints, too: {left_out:#?}");
        }
    }
}

/// Adds the option that the users lack, with the request of the session.
fn add_the_option(world: &World, document: &str) {
    let requests = blocks(document, "sh");
    let request = requests.iter().find_map(|block| block.strip_prefix("curl -X PUT \"$INTERCOM_BASE_URL"));
    let (path, rest) = request.and_then(|request| request.split_once('"')).expect("the session changes the attribute");
    let body = rest.split_once("-d '").and_then(|(_, body)| body.split_once('\'')).expect("with a body").0.to_owned();
    world.put(path, body);
}
