//! Reads the TOML file, keeping the line of every key.

use std::path::Path;

use figment::value::{Dict, Empty, Num, Tag, Value};
use toml_edit::{Document, Item, Table, TableLike};

use super::tree::Tree;
use crate::config::mistake::{Mistake, Origin};

/// Reads a TOML text.
///
/// # Errors
/// When it is not valid TOML: the one mistake found, with its line and column.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Tree, Box<Mistake>> {
    let document = Document::parse(text).map_err(|error| Box::new(syntax(path, text, &error)))?;
    let mut reader = Reader { path, text, tree: Tree::default() };
    reader.tree.dict = reader.table(document.as_table());
    Ok(reader.tree)
}

/// Parses one TOML value, for variables and flags that hold a list or a table.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    let line = format!("value = {text}");
    parse(Path::new(""), &line).ok()?.dict.remove("value")
}

/// Message of a syntax error. The parser's full text quotes the line, which may hold a password, so only its message
/// is used.
fn syntax(path: &Path, text: &str, error: &toml_edit::TomlError) -> Mistake {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Mistake {
        origin: Origin::File { path: path.into(), line: line_of(text, at) },
        key: String::new(),
        text: format!("column {column}: this is not valid TOML: {}", error.message().replace('\n', "; ")),
    }
}

/// Number of the line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Walks the document once; each value gets a tag that leads to its line.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    tree: Tree,
}

impl Reader<'_> {
    /// The values of one table.
    fn table(&mut self, table: &dyn TableLike) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            let tag = self.tag(span);
            dict.insert(name.to_owned(), self.item(item, tag));
        }
        dict
    }

    /// The tag of what begins here.
    fn tag(&mut self, span: Option<std::ops::Range<usize>>) -> Tag {
        let line = span.map(|span| line_of(self.text, span.start));
        line.map_or(Tag::Default, |line| self.tree.tag(Origin::File { path: self.path.into(), line }))
    }

    /// The value of one item.
    fn item(&mut self, item: &Item, tag: Tag) -> Value {
        match item {
            Item::None => Value::Empty(tag, Empty::None),
            Item::Table(table) => Value::Dict(tag, self.table(table)),
            Item::ArrayOfTables(tables) => {
                let element = |table: &Table| Value::Dict(self.tag(table.span()), self.table(table));
                Value::Array(tag, tables.iter().map(element).collect())
            }
            Item::Value(value) => self.value(value, tag),
        }
    }

    /// The value right of `=`.
    fn value(&mut self, value: &toml_edit::Value, tag: Tag) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::String(tag, text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Num(tag, integer(*number.value())),
            toml_edit::Value::Float(number) => Value::Num(tag, Num::F64(*number.value())),
            toml_edit::Value::Boolean(truth) => Value::Bool(tag, *truth.value()),
            // No key takes a date: as a text it is refused, or kept where any text will do.
            toml_edit::Value::Datetime(date) => Value::String(tag, date.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::Dict(tag, self.table(table)),
            toml_edit::Value::Array(array) => {
                let element = |element: &toml_edit::Value| {
                    let tag = self.tag(element.span());
                    self.value(element, tag)
                };
                Value::Array(tag, array.iter().map(element).collect())
            }
        }
    }
}

/// A number, unsigned where it can be, so that messages show it as it was typed.
fn integer(number: i64) -> Num {
    u64::try_from(number).map_or(Num::I64(number), Num::U64)
}
