//! Checks an expression's tree, name by name, and translates it to the engine's syntax, with the
//! plan's own operators and table look-ups in place of minijinja's. Anything that is not listed
//! here is not in the language.

use minijinja::machinery::ast::{BinOpKind, Expr, UnaryOpKind};
use minijinja::value::Value;

use super::engine::internal;
use super::error::{Fault, Instead};
use super::fragment::{Fragment, Level, call, constant, literal, quote};
use super::hints;
use super::language::{self, TODAY};
use super::nearest::nearest;
use super::paths::{self, Segment, is_changed_by_writes, is_known, is_personal, nearest_path, spell};
use super::reads::Reads;
use super::table::Tables;

/// The greatest depth: more than any author needs, and small enough for a thread's stack.
const DEPTH_MAX: usize = 64;

pub(super) struct Translator<'t> {
    pub(super) tables: &'t Tables,
    pub(super) reads: Reads,
    depth: usize,
    /// True for the copy of a run: rules of newer versions do not apply.
    of_run: bool,
}

impl<'t> Translator<'t> {
    pub(super) fn new(tables: &'t Tables, of_run: bool) -> Self {
        Self { tables, reads: Reads::default(), depth: 0, of_run }
    }

    pub(super) fn whole(&mut self, tree: &Expr<'_>) -> Result<Fragment, Fault> {
        self.value(tree)
    }

    /// Translates a part whose value is used. If it is a path, users must be able to have it.
    pub(super) fn value(&mut self, expr: &Expr<'_>) -> Result<Fragment, Fault> {
        let piece = self.piece(expr)?;
        self.record(&piece)?;
        Ok(piece)
    }

    pub(super) fn record(&mut self, piece: &Fragment) -> Result<(), Fault> {
        let Some(path) = &piece.path else { return Ok(()) };
        if path.is_empty() {
            return Err(Fault::NotInPlans {
                what: "`user` as a whole",
                write: "read one of its fields, as user.email",
            });
        }
        if !is_known(path) {
            return Err(Fault::UnknownPath { path: spell(path), instead: Instead::nearest(nearest_path(path)) });
        }
        if is_changed_by_writes(path) && !self.of_run {
            return Err(Fault::ChangedByWrites);
        }
        self.reads.record(path);
        Ok(())
    }

    /// Translates a part that may be continued, such as `user.avatar` by `.image_url`.
    pub(super) fn piece(&mut self, expr: &Expr<'_>) -> Result<Fragment, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        let piece = self.by_kind(expr);
        self.depth -= 1;
        piece
    }

    fn by_kind(&mut self, expr: &Expr<'_>) -> Result<Fragment, Fault> {
        match expr {
            Expr::Var(var) => self.variable(var.id),
            Expr::Const(constant) => literal(&constant.value),
            Expr::GetAttr(get) => self.subscript(&get.expr, PathKey::Constant(Value::from(get.name))),
            Expr::GetItem(get) => match constant(&get.subscript_expr) {
                Some(key) => self.subscript(&get.expr, PathKey::Constant(key)),
                None => self.subscript(&get.expr, PathKey::Calculated(&get.subscript_expr)),
            },
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::UnaryOp(unary) => {
                let inner = self.value(&unary.expr)?;
                Ok(match unary.op {
                    UnaryOpKind::Not => Fragment::answer(format!("not {}", inner.condition().operand()), Level::Other),
                    UnaryOpKind::Neg => call(&inner, &internal("negate"), &[], inner.personal),
                })
            }
            Expr::BinOp(op) => match language::binary(op.op) {
                Some(name) => self.operator(name, &op.left, &op.right),
                None => self.logic(op.op, &op.left, &op.right),
            },
            Expr::Compare(compare) => match compare.ops.as_slice() {
                [only] => self.operator(language::compare(only.op), &compare.expr, &only.expr),
                _ => Err(Fault::NotInPlans { what: "a chain of comparisons", write: "write a < b and b < c" }),
            },
            Expr::IfExpr(choice) => {
                let (test, yes) = (self.value(&choice.test_expr)?.condition(), self.value(&choice.true_expr)?);
                let no = choice.false_expr.as_ref().map(|no| self.value(no)).transpose()?;
                let personal = yes.personal || no.as_ref().is_some_and(|no| no.personal);
                let mut texts = yes.texts.clone();
                texts.extend(no.iter().flat_map(|no| no.texts.clone()));
                let otherwise = no.map(|no| format!(" else {}", no.operand())).unwrap_or_default();
                let whole = format!("{} if {}{otherwise}", yes.operand(), test.operand());
                Ok(Fragment { texts, ..Fragment::new(whole, Level::Other, personal) })
            }
            Expr::List(list) => self.list(&list.items),
            Expr::Tuple(tuple) => self.list(&tuple.items),
            Expr::Map(_) => {
                Err(Fault::NotInPlans { what: "a table inside an expression", write: "put it under tables" })
            }
            Expr::Slice(_) => Err(Fault::NotInPlans { what: "a slice", write: "use `| first`, `| last` or `| split`" }),
            Expr::Call(call) => match &call.expr {
                Expr::Var(var) if hints::name(var.id).is_some() => self.variable(var.id),
                _ => Err(Fault::NotInPlans { what: "a call", write: "use a filter, as user.email | lower" }),
            },
        }
    }

    fn variable(&mut self, name: &str) -> Result<Fragment, Fault> {
        if name == "user" {
            return Ok(Fragment { path: Some(Vec::new()), ..Fragment::new(name.to_owned(), Level::Operand, true) });
        }
        if self.tables.contains_key(name) {
            return Err(Fault::NotInPlans {
                what: "a table as a whole",
                write: "read it as TABLE[key], or ask `key in TABLE`",
            });
        }
        if name == TODAY {
            self.reads.today = true;
            return Ok(Fragment::new(name.to_owned(), Level::Operand, false));
        }
        Err(self.unknown_name(name))
    }

    pub(super) fn unknown_name(&self, name: &str) -> Fault {
        let known = ["user", TODAY].into_iter().chain(self.tables.keys().map(String::as_str));
        let instead = match hints::name(name) {
            Some(hint) => Instead::Write(hint),
            None if paths::fields().any(|field| field == name) => {
                return Fault::FieldWithoutUser { name: name.to_owned() };
            }
            None => Instead::of(name, known),
        };
        Fault::UnknownName { name: name.to_owned(), instead }
    }

    fn list(&mut self, items: &[Expr<'_>]) -> Result<Fragment, Fault> {
        let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
        let personal = items.iter().any(|item| item.personal);
        let texts: Vec<String> = items.into_iter().map(|item| item.text).collect();
        Ok(Fragment::new(format!("[{}]", texts.join(", ")), Level::Operand, personal))
    }

    fn logic(&mut self, op: BinOpKind, left: &Expr<'_>, right: &Expr<'_>) -> Result<Fragment, Fault> {
        let (word, level) = if matches!(op, BinOpKind::ScAnd) { ("and", Level::And) } else { ("or", Level::Or) };
        let (left, right) = (self.value(left)?.condition(), self.value(right)?.condition());
        Ok(Fragment::answer(format!("{} {word} {}", left.within(level), right.operand()), level))
    }

    fn operator(&mut self, name: &str, left: &Expr<'_>, right: &Expr<'_>) -> Result<Fragment, Fault> {
        let left = self.value(left)?;
        if let (Expr::Var(var), "contained" | "not_contained") = (right, name)
            && self.tables.contains_key(var.id)
        {
            self.note_domain(var.id, &left);
            let found = call(&left, &internal("has_key"), &[quote(var.id)], false);
            return Ok(match name {
                "contained" => Fragment { answers: true, ..found },
                _ => Fragment::answer(format!("not {}", found.operand()), Level::Other),
            });
        }
        let right = self.value(right)?;
        let of_object = right.path.as_deref().is_some_and(paths::is_object);
        if matches!(name, "contained" | "not_contained") && of_object && !self.of_run {
            return Err(Fault::NotInPlans {
                what: "`in` with an object of fixed fields",
                write: "look into its list, as 'VIP' in (user.tags.tags | map(attribute='name'))",
            });
        }
        let answers = super::comparison::COMPARISONS.contains(&name);
        let personal = !answers && (left.personal || right.personal);
        Ok(Fragment { answers, ..call(&left, &internal(name), &[right.text], personal) })
    }

    fn subscript(&mut self, base: &Expr<'_>, key: PathKey<'_, '_>) -> Result<Fragment, Fault> {
        if let Expr::Var(var) = base
            && self.tables.contains_key(var.id)
        {
            return self.look_up(var.id, key);
        }
        let base = self.piece(base)?;
        let PathKey::Constant(key) = key else {
            return Err(Fault::NotInPlans {
                what: "a calculated subscript",
                write: "name the field; to choose by a value, use a table",
            });
        };
        let segment = match (key.as_str(), &base.path) {
            (Some(name), Some(path)) => Segment::Field(paths::own_name(path, name).to_owned()),
            (None, _) if key.is_integer() => Segment::Item,
            _ => {
                return Err(Fault::NotInPlans {
                    what: "a field of a calculated value",
                    write: "read fields from user.… directly",
                });
            }
        };
        let key = if let Segment::Field(name) = &segment { Value::from(name.as_str()) } else { key };
        let text = format!("{}[{}]", base.within(Level::Operand), literal(&key)?.text);
        let path = base.path.map(|path| path.into_iter().chain([segment]).collect::<Vec<_>>());
        let personal = path.as_deref().map_or(base.personal, is_personal);
        Ok(Fragment { path, ..Fragment::new(text, Level::Operand, personal) })
    }

    /// Translates a table look-up. A constant key must exist: it would miss for every user.
    fn look_up(&mut self, table: &str, key: PathKey<'_, '_>) -> Result<Fragment, Fault> {
        let key = match key {
            PathKey::Calculated(expr) => self.value(expr)?,
            PathKey::Constant(key) => {
                let name = key.to_string();
                let rows = &self.tables[table].rows;
                if !rows.contains_key(&name) {
                    let near = nearest(&name, rows.keys().map(String::as_str)).map(str::to_owned);
                    let instead = Instead::nearest(near);
                    return Err(Fault::UnknownTableKey { table: table.to_owned(), key: name, instead });
                }
                literal(&key)?
            }
        };
        self.note_domain(table, &key);
        let rows = self.tables[table].rows.values();
        let texts = rows.filter_map(|row| row.as_str().map(str::to_owned)).collect();
        // A row is the plan's own text, so it is not personal, whatever its key.
        let found = call(&key, &internal("look_up"), &[quote(table), key.personal.to_string()], false);
        Ok(Fragment { texts, ..found })
    }

    /// Records a table that is read with a domain, so that a warning can name keys that no domain
    /// equals.
    pub(super) fn note_domain(&mut self, table: &str, key: &Fragment) {
        if key.domain {
            self.reads.by_domain.insert(table.to_owned());
        }
    }
}

/// The key in the brackets, or after the dot.
enum PathKey<'e, 's> {
    Constant(Value),
    Calculated(&'e Expr<'s>),
}
