//! Reads a plan's tables: names, rows, and the limits of their size.

use super::compile::scalar;
use super::error::{Fault, PlanError};
use super::language::{RESERVED, TODAY};
use super::node::{Data, Node};
use super::scanner::Scanner;
use super::table::{Table, Tables};
use super::value::INT_MAX;

/// The most bytes of all tables together. The plan's copy is one ledger item, which `DynamoDB`
/// limits to 400 KB.
pub(super) const TABLES_BYTES_MAX: usize = 256 * 1024;

const ROWS: &str = "a table of rows, as { starter = 49, \"Pro Plus\" = 99 }";

pub(super) fn read_tables(cursor: &Scanner<'_>) -> Result<Tables, PlanError> {
    let mut tables = Tables::new();
    let mut bytes = 0;
    for (name, rows) in cursor.entries(ROWS)? {
        let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        let plain = name.bytes().all(|b| letter(b) || b.is_ascii_digit()) && name.bytes().next().is_some_and(letter);
        let reserved = RESERVED.contains(&name) && !(cursor.of_run && name == TODAY);
        if !plain || reserved {
            cursor.keep::<()>(Err(rows.refuse(Fault::TableName { name: name.to_owned() })));
        }
        let mut table = Table::default();
        for (key, row) in rows.entries(ROWS)? {
            bytes += key.len() + row_bytes(row.node);
            let value = check_row(&row, key)
                .and_then(|()| scalar(&row.node.data).ok_or_else(|| row.wrong_type("a text, a number, true or false")));
            // A row with a mistake still has its key, so an expression that names the key is right.
            table.rows.insert(key.to_owned(), cursor.keep(value).unwrap_or_default());
        }
        if bytes > TABLES_BYTES_MAX {
            return Err(rows.refuse(Fault::TablesTooLarge { bytes, max: TABLES_BYTES_MAX }));
        }
        tables.insert(name.to_owned(), table);
    }
    Ok(tables)
}

fn row_bytes(node: &Node) -> usize {
    match &node.data {
        Data::Text(text) => text.len(),
        _ => size_of::<f64>(),
    }
}

fn check_row(row: &Scanner<'_>, key: &str) -> Result<(), PlanError> {
    match &row.node.data {
        Data::Table(_) => Err(row.refuse(Fault::NestedKey { quoted: dotted(key, row.node) })),
        Data::Int(int) if !(-INT_MAX..=INT_MAX).contains(int) => Err(row.refuse(Fault::Number)),
        _ => Ok(()),
    }
}

/// Returns the key that was probably meant: TOML reads `acme.com = "x"` as a table `acme` with a
/// key `com`.
fn dotted(key: &str, node: &Node) -> String {
    let mut dotted = key.to_owned();
    let mut node = node;
    while let Data::Table(entries) = &node.data {
        let Some((key, below)) = entries.first() else { break };
        dotted.push('.');
        dotted.push_str(key);
        node = below;
    }
    dotted
}
