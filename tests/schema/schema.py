"""Validates plans with docs/plan.schema.json, as an editor does.

The shipped plans and the example of docs/plans.md must be accepted, and each mistake below refused. A test of the
library compares the keys of the schema with the plan language.
"""

import json
import pathlib
import re
import sys
import tomllib

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs/plan.schema.json"
HINT = "#:schema ../docs/plan.schema.json\n"

PLAN = """
name = "p"
[set.custom_attributes.x]
type = "int"
value = "1"
[[test]]
user = {}
expect = { custom_attributes = { x = 1 } }
"""

# A part of the plan above, and a mistake in its place.
MISTAKES = [
    ('name = "p"', 'nam = "p"'),
    ('name = "p"', 'name = "P"'),
    ('name = "p"', 'name = "p"\ncontacts = "user"'),
    ('name = "p"', 'name = "p"\nshow_missed = "yes"'),
    ('name = "p"', 'name = "p"\ntables.t = { a = [1] }'),
    ('name = "p"', 'name = "p"\ntables.a-b = {}'),
    ('type = "int"', 'type = "integer"'),
    ('type = "int"', 'typ = "int"'),
    ('value = "1"', "value = 1"),
    ('value = "1"', 'value = "1"\notherwise = []'),
    ("[set.custom_attributes.x]", "[set.email]"),
    ("[set.custom_attributes.x]", "[set.signed_up_at]"),
    ("[set.custom_attributes.x]", "[set.company.name]"),
    ("user = {}", "usr = {}"),
    ("user = {}", 'user = { emial = "a" }'),
    ("{ custom_attributes = { x = 1 } }", "{}"),
    ("{ custom_attributes = { x = 1 } }", '{ skip = "where" }'),
    ("{ custom_attributes = { x = 1 } }", '{ error = "type" }'),
    ("{ custom_attributes = { x = 1 } }", "{ nothing = false }"),
    ("{ custom_attributes = { x = 1 } }", "{ custom_attributes = { x = { clear = false } } }"),
]


def main() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    wrong = []

    def accept(name: str, text: str) -> None:
        errors = validator.iter_errors(tomllib.loads(text))
        wrong.extend(f"{name}: {error.json_path}: {error.message}" for error in errors)

    plans = sorted((ROOT / "plans").glob("*.toml"))
    assert len(plans) >= 4, plans
    for path in plans:
        text = path.read_text()
        accept(path.name, text)
        if not text.startswith(HINT):
            wrong.append(f"{path.name}: its first line is not {HINT.strip()}")
    examples = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/plans.md").read_text(), re.S)
    accept("the examples of docs/plans.md", "\n".join(examples))
    accept("the plan of this test", PLAN)
    for part, mistake in MISTAKES:
        assert PLAN.count(part) == 1, part
        if validator.is_valid(tomllib.loads(PLAN.replace(part, mistake))):
            wrong.append(f"accepted: {mistake}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(plans)} plans are accepted, {len(MISTAKES)} mistakes refused")


main()
