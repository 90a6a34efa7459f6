//! Reads the TOML file, keeping the line of every key.

use std::path::Path;

use figment::value::{Dict, Empty, Num, Tag, Value};
use toml_edit::{Document, Item, TableLike};

use super::keypath::KeyPath;
use super::layer::Layer;
use super::mistake::{Mistake, Origin};

/// Reads a TOML text.
///
/// # Errors
/// When it is no TOML: the one mistake found, with its line and column.
pub(super) fn parse(path: &Path, text: &str) -> Result<Layer, Box<Mistake>> {
    let document = Document::parse(text).map_err(|error| Box::new(syntax(path, text, &error)))?;
    let mut reader = Reader { path, text, layer: Layer::default() };
    let dict = reader.table(document.as_table(), &KeyPath::default());
    reader.layer.dict = dict;
    Ok(reader.layer)
}

/// One value as it stands right of `=`, for variables and flags that hold a list or a table.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    let line = format!("value = {text}");
    parse(Path::new(""), &line).ok()?.dict.remove("value")
}

/// A syntax error. The parser's own text quotes the line, which may hold a password, so only its message is used.
fn syntax(path: &Path, text: &str, error: &toml_edit::TomlError) -> Mistake {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Mistake {
        origin: Origin::File { path: path.into(), line: line_of(text, at) },
        key: String::new(),
        text: format!("column {column}: this is no TOML: {}", error.message().replace('\n', "; ")),
    }
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Walks the document once, building the tree and the map of places.
struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    layer: Layer,
}

impl Reader<'_> {
    /// The tree of one table.
    fn table(&mut self, table: &dyn TableLike, at: &KeyPath) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let path = at.join(name);
            let span = table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            self.place(&path, span);
            let value = self.item(item, &path);
            dict.insert(name.to_owned(), value);
        }
        dict
    }

    /// Notes the place of a path.
    fn place(&mut self, path: &KeyPath, span: Option<std::ops::Range<usize>>) {
        if let Some(span) = span {
            let line = line_of(self.text, span.start);
            self.layer.places.insert(path.clone(), Origin::File { path: self.path.into(), line });
        }
    }

    /// The value of one item.
    fn item(&mut self, item: &Item, at: &KeyPath) -> Value {
        match item {
            Item::None => Value::Empty(Tag::Default, Empty::None),
            Item::Table(table) => Value::Dict(Tag::Default, self.table(table, at)),
            Item::ArrayOfTables(tables) => {
                let mut list = Vec::new();
                for (index, table) in tables.iter().enumerate() {
                    let path = at.join(&index.to_string());
                    self.place(&path, table.span());
                    list.push(Value::Dict(Tag::Default, self.table(table, &path)));
                }
                Value::Array(Tag::Default, list)
            }
            Item::Value(value) => self.value(value, at),
        }
    }

    /// The value right of `=`.
    fn value(&mut self, value: &toml_edit::Value, at: &KeyPath) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::String(Tag::Default, text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Num(Tag::Default, integer(*number.value())),
            toml_edit::Value::Float(number) => Value::Num(Tag::Default, Num::F64(*number.value())),
            toml_edit::Value::Boolean(truth) => Value::Bool(Tag::Default, *truth.value()),
            // No key takes a date: as a text it is refused, or kept where any text will do.
            toml_edit::Value::Datetime(date) => Value::String(Tag::Default, date.value().to_string()),
            toml_edit::Value::InlineTable(table) => Value::Dict(Tag::Default, self.table(table, at)),
            toml_edit::Value::Array(array) => {
                let mut list = Vec::new();
                for (index, element) in array.iter().enumerate() {
                    let path = at.join(&index.to_string());
                    self.place(&path, element.span());
                    list.push(self.value(element, &path));
                }
                Value::Array(Tag::Default, list)
            }
        }
    }
}

/// A number, unsigned where it can be, so that messages show it as it was typed.
fn integer(number: i64) -> Num {
    u64::try_from(number).map_or(Num::I64(number), Num::U64)
}
