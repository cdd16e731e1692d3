//! One compiled expression.

use std::fmt;
use std::sync::Arc;

use minijinja::machinery::parse_expr;
use minijinja::value::Value;

use super::comparison::truth;
use super::engine::ENGINE;
use super::error::Fault;
use super::failure::Failure;
use super::fragment::Fragment;
use super::hints;
use super::operators::is_present;
use super::reads::Reads;
use super::table::{Scope, Tables};
use super::translate::Translator;

/// The most bytes of an expression; use a table instead of a longer one.
pub(super) const EXPRESSION_BYTES_MAX: usize = 4096;

pub(super) struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
    pub(super) reads: Reads,
    /// Texts of the plan that the value may be: constants, and rows of a table.
    pub(super) texts: Vec<String>,
}

impl Expression {
    /// Parses an expression, checks every name, and compiles it.
    pub(super) fn new(source: &str, tables: &Tables, of_run: bool) -> Result<Self, Fault> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(Fault::TooMany {
                what: "bytes in an expression",
                count: source.len(),
                max: EXPRESSION_BYTES_MAX,
            });
        }
        if source.trim_start().starts_with("{{") {
            return Err(Fault::Syntax { message: "write it without {{ and }}".to_owned() });
        }
        let tree = parse_expr(source).map_err(|error| {
            let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            Fault::Syntax {
                message: match hints::syntax(source) {
                    Some((column, hint)) => format!("column {column}: {hint}"),
                    None => message,
                },
            }
        })?;
        let mut translator = Translator::new(tables, of_run);
        let Fragment { text, texts, .. } = translator.whole(&tree).map_err(|fault| hyphen(fault, source))?;
        // The translated text is well formed. The parser can refuse it only for its depth.
        let compiled = ENGINE.compile_expression_owned(text).map_err(|_| Fault::TooDeep)?;
        Ok(Self { compiled, reads: translator.reads, texts })
    }

    /// Returns the value; `None` if it is undefined or null.
    pub(super) fn value(&self, scope: &Arc<Scope>) -> Result<Option<Value>, Failure> {
        let value =
            self.compiled.eval(Value::from_dyn_object(Arc::clone(scope))).map_err(|error| Failure::from(&error))?;
        Ok(is_present(&value).then_some(value))
    }

    /// Returns whether the condition is true; a missing value is false.
    pub(super) fn holds(&self, scope: &Arc<Scope>) -> Result<bool, Failure> {
        self.value(scope)?.map_or(Ok(false), |value| truth(&value))
    }
}

/// Explains a hyphen: `user.custom_attributes.last-login` subtracts, and `login` does not exist.
fn hyphen(fault: Fault, source: &str) -> Fault {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match &fault {
        Fault::UnknownName { name, .. } | Fault::FieldWithoutUser { name } => {
            match source.split_once(&format!("-{name}")) {
                Some((before, after)) if before.ends_with(is_name) => {
                    let start = before.rfind(|c| !is_name(c)).map_or(before, |at| &before[at + 1..]);
                    let rest: String = after.chars().take_while(|c| is_name(*c)).collect();
                    Fault::Hyphen { name: format!("{start}-{name}{rest}") }
                }
                _ => fault,
            }
        }
        _ => fault,
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("reads", &self.reads).finish_non_exhaustive()
    }
}
