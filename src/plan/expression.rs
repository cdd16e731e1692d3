//! One compiled expression.

use std::fmt;
use std::sync::Arc;

use minijinja::machinery::parse_expr;
use minijinja::value::Value;

use super::engine::ENGINE;
use super::error::Fault;
use super::failure::Failure;
use super::operators::{is_present, truth};
use super::reads::Reads;
use super::table::{Scope, Tables};
use super::translate::Translator;

/// A longer expression belongs into a table.
pub(super) const EXPRESSION_BYTES_MAX: usize = 4096;

pub(super) struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
    pub(super) reads: Reads,
}

impl Expression {
    /// Parses, checks every name, and compiles.
    pub(super) fn new(source: &str, tables: &Tables) -> Result<Self, Fault> {
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
        let tree = parse_expr(source).map_err(|error| Fault::Syntax {
            message: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
        })?;
        let mut translator = Translator::new(tables);
        let text = translator.whole(&tree)?;
        // What was translated is well formed; the parser's bound on nesting is all that can still refuse it.
        let compiled = ENGINE.compile_expression_owned(text).map_err(|_| Fault::TooDeep)?;
        Ok(Self { compiled, reads: translator.reads })
    }

    /// The value; `None` where it is undefined or null.
    pub(super) fn value(&self, scope: &Arc<Scope>) -> Result<Option<Value>, Failure> {
        let value =
            self.compiled.eval(Value::from_dyn_object(Arc::clone(scope))).map_err(|error| Failure::from(&error))?;
        Ok(is_present(&value).then_some(value))
    }

    /// Whether the answer is yes; a missing value is no.
    pub(super) fn holds(&self, scope: &Arc<Scope>) -> Result<bool, Failure> {
        self.value(scope)?.map_or(Ok(false), |value| truth(&value))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expression").field("reads", &self.reads).finish_non_exhaustive()
    }
}
