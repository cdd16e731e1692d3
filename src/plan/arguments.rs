//! Filters and tests: their names, their arguments, and the fields that they read by name.

use minijinja::machinery::ast::{CallArg, Expr, Filter, Test};

use super::engine::internal;
use super::error::{Fault, Instead};
use super::fragment::{Fragment, Level, call, constant, quote};
use super::hints;
use super::language::{FILTERS, FilterWord, Shape, TESTS};
use super::paths::{Segment, is_personal};
use super::translate::Translator;

impl Translator<'_> {
    pub(super) fn filter(&mut self, filter: &Filter<'_>) -> Result<Fragment, Fault> {
        let word = filter_word(filter.name)?;
        let input = filter.expr.as_ref().ok_or(Fault::TooDeep)?;
        let input = self.value(input)?;
        let (fewest, most) = word.arguments;
        if !(fewest..=most).contains(&filter.args.len()) {
            return Err(miscounted(filter.name, word.arguments, filter.args.len()));
        }
        if word.shape == Shape::Fields {
            return self.map(&input, &filter.args[0]);
        }
        let mut texts = Vec::new();
        let mut personal = input.personal && word.shape != Shape::Plain;
        if word.shape == Shape::Chosen {
            let field = text_argument(&filter.args[0])
                .ok_or_else(|| wrong(filter.name, "its first argument is a field's name in quotes"))?;
            self.field_of_items(&input, &field)?;
            if let Some(test) = filter.args.get(1) {
                let test = text_argument(test)
                    .ok_or_else(|| wrong(filter.name, "its second argument is a test's name in quotes"))?;
                let count = test_word(&test)?;
                if filter.args.len() != 2 + count {
                    return Err(miscounted(&test, (count, count), filter.args.len() - 2));
                }
            }
        }
        for argument in &filter.args {
            let CallArg::Pos(argument) = argument else {
                return Err(wrong(filter.name, "write the arguments by position"));
            };
            let argument = self.value(argument)?;
            personal |= argument.personal && matches!(word.shape, Shape::Value | Shape::Text);
            texts.push(argument.text);
        }
        let path = input.path.clone().and_then(|mut path| match word.shape {
            Shape::List | Shape::Chosen => Some(path),
            Shape::Item => {
                path.push(Segment::Item);
                Some(path)
            }
            _ => None,
        });
        // `first` of a text is a letter, which has no fields. Keep the path only if it can be
        // continued.
        let path = path.filter(|path| super::paths::is_known(path));
        let domain = filter.name == "domain" || (input.domain && filter.name == "default");
        Ok(Fragment { path, domain, ..call(&input, filter.name, &texts, personal) })
    }

    /// Translates `map(attribute="name")`, `map(table="price")`, or `map("lower")` with a filter's
    /// name.
    fn map(&mut self, input: &Fragment, argument: &CallArg<'_>) -> Result<Fragment, Fault> {
        const WRITE: &str = "write map(attribute='name'), map(table='price') or map('lower')";
        let text = text_argument(argument).ok_or_else(|| wrong("map", WRITE))?;
        if let CallArg::Kwarg("table", _) = argument {
            let Some((table, _)) = self.tables.get_key_value(text.as_str()) else {
                return Err(self.unknown_name(&text));
            };
            self.note_domain(table, input);
            return Ok(call(input, &internal("look_up_each"), &[quote(table), input.personal.to_string()], false));
        }
        if let CallArg::Kwarg("attribute", _) = argument {
            let personal = self.field_of_items(input, &text)?;
            return Ok(call(input, &internal("pluck"), &[quote(&text)], personal));
        }
        let word = filter_word(&text)?;
        if !matches!(argument, CallArg::Pos(_)) || word.arguments.0 > 0 || word.shape == Shape::Fields {
            return Err(wrong("map", WRITE));
        }
        let personal = input.personal && word.shape != Shape::Plain;
        Ok(Fragment { domain: word.name == "domain", ..call(input, "map", &[quote(&text)], personal) })
    }

    /// Checks that the items of a list have the field, and returns whether it is personal.
    fn field_of_items(&mut self, input: &Fragment, field: &str) -> Result<bool, Fault> {
        let Some(path) = &input.path else {
            return Err(Fault::NotInPlans {
                what: "a field of a calculated list",
                write: "take it from a list of user.… directly",
            });
        };
        let steps = [Segment::Item, Segment::Field(field.to_owned())];
        let path: Vec<Segment> = path.iter().cloned().chain(steps).collect();
        let personal = is_personal(&path);
        self.record(&Fragment { path: Some(path), ..Fragment::new(String::new(), Level::Operand, personal) })?;
        Ok(personal)
    }

    pub(super) fn test(&mut self, test: &Test<'_>) -> Result<Fragment, Fault> {
        let count = test_word(test.name)?;
        if test.args.len() != count {
            return Err(miscounted(test.name, (count, count), test.args.len()));
        }
        let input = self.value(&test.expr)?;
        let mut texts = Vec::new();
        for argument in &test.args {
            let CallArg::Pos(argument) = argument else {
                return Err(wrong(test.name, "write the arguments by position"));
            };
            texts.push(self.value(argument)?.text);
        }
        let arguments = if texts.is_empty() { String::new() } else { format!("({})", texts.join(", ")) };
        Ok(Fragment::answer(format!("{} is {}{arguments}", input.operand(), test.name), Level::Other))
    }
}

fn wrong(name: &str, write: &'static str) -> Fault {
    Fault::Arguments { name: name.to_owned(), write }
}

fn miscounted(name: &str, (fewest, most): (usize, usize), count: usize) -> Fault {
    Fault::ArgumentCount { name: name.to_owned(), fewest, most, count }
}

fn text_argument(argument: &CallArg<'_>) -> Option<String> {
    let expr: &Expr<'_> = match argument {
        CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => expr,
        CallArg::PosSplat(_) | CallArg::KwargSplat(_) => return None,
    };
    constant(expr)?.as_str().map(str::to_owned)
}

fn filter_word(name: &str) -> Result<&'static FilterWord, Fault> {
    FILTERS.iter().find(|word| word.name == name).ok_or_else(|| Fault::UnknownFilter {
        name: name.to_owned(),
        instead: hints::filter(name)
            .map_or_else(|| Instead::of(name, FILTERS.iter().map(|word| word.name)), Instead::Write),
    })
}

/// Returns the number of arguments of the test.
fn test_word(name: &str) -> Result<usize, Fault> {
    TESTS.iter().find(|(word, _)| *word == name).map(|(_, count)| *count).ok_or_else(|| Fault::UnknownTest {
        name: name.to_owned(),
        instead: hints::test(name)
            .map_or_else(|| Instead::of(name, TESTS.iter().map(|(word, _)| *word)), Instead::Write),
    })
}
