//! XML as devices write it: an object for each element, without namespaces.
//!
//! An element without attributes and children is its text; another is an object with its attributes as `@name`, its
//! children, and its text as `#text`. Children of one name are a list. All values are text. Documents that are not
//! well-formed are read as far as possible; no DTD is used, and no entity is expanded but `&lt;` `&gt;` `&amp;`
//! `&apos;` `&quot;` and numbers, so the tree is never longer than the text.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

use super::{CUT, DEEPEST, MAX_VALUES, Tree, add, charset, note, one_or_list};

/// Maximum number of bytes before the first `<`.
const MAX_JUNK: usize = 512;
/// Maximum length of an XML declaration that is examined.
const MAX_DECLARATION: usize = 256;
/// Maximum number of stray `<` that are read as text.
const MAX_STRAY: usize = 64;
/// Longest reference that is resolved: `&#x10FFFF;` without its signs.
const MAX_REFERENCE: usize = 8;

/// Repair note for an element that is open at the end.
const UNFINISHED_NOTE: &str = "the XML does not end";

/// Parses the XML in some bytes; `None` when they contain no element.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Value> {
    read(bytes, None).map(|tree| tree.value)
}

/// Parses the XML in some bytes; `charset` is that of the header of the body or the part.
///
/// Several documents, one after the other, are a list.
#[must_use]
pub fn read(bytes: &[u8], charset: Option<&str>) -> Option<Tree> {
    let (text, repaired) = text(bytes, charset);
    let (junk, xml) = start(&text)?;
    let mut builder = Builder::default();
    builder.read(xml);
    let mut documents = builder.finish();
    documents.retain(|document| !is_page(document));
    if junk {
        // Markup within prose is not a document.
        documents
            .retain(|document| document.as_object().is_some_and(|root| root.values().any(Value::is_object)));
        note(&mut builder.repairs, "bytes before the XML");
    }
    if repaired {
        note(&mut builder.repairs, "another character encoding than declared");
    }
    Some(Tree { value: one_or_list(documents)?, repairs: builder.repairs })
}

/// The bytes as text, and whether the declared encoding was wrong.
fn text<'b>(bytes: &'b [u8], charset: Option<&str>) -> (Cow<'b, str>, bool) {
    let first = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count() & !1;
    let utf16 = match bytes.get(first..).unwrap_or_default() {
        [b'<', 0, ..] => Some(UTF_16LE),
        [0, b'<', ..] => Some(UTF_16BE),
        _ => None,
    };
    if let Some(encoding) = utf16 {
        return (encoding.decode_without_bom_handling(bytes).0, false);
    }
    let declared = declaration(bytes);
    let labels = [declared.as_deref(), charset];
    let label = labels.into_iter().flatten().find(|label| fits(label, bytes));
    let read = charset::read(bytes, label);
    // A byte order mark declares the encoding too.
    let marked = Encoding::for_bom(bytes).is_some();
    let said = |name: &str| marked || label.and_then(named).is_some_and(|named| named.name() == name);
    let repaired = read.repaired.is_some_and(|name| !said(name));
    (read.text, repaired)
}

/// The encoding the XML declaration names.
fn declaration(bytes: &[u8]) -> Option<String> {
    let head = bytes.get(..MAX_DECLARATION + MAX_JUNK).unwrap_or(bytes);
    let at = memchr::memmem::find(head, b"<?xml")?;
    let declaration = String::from_utf8_lossy(head.get(at..)?);
    let declaration = declaration.split("?>").next()?;
    let (_, tail) = declaration.split_once("encoding")?;
    let value = tail.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|sign| matches!(sign, '"' | '\''))?;
    value.split(quote).nth(1).map(|label| label.trim().to_owned())
}

/// The encoding of a label.
fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
}

/// Returns whether bytes that begin with an ASCII `<` can have this encoding.
fn fits(label: &str, bytes: &[u8]) -> bool {
    let whole = |encoding: &'static Encoding| {
        encoding.decode_without_bom_handling_and_without_replacement(bytes).is_some()
    };
    named(label).is_some_and(|encoding| encoding.is_ascii_compatible() && whole(encoding))
}

/// The text from its first tag on, and whether anything but blanks precedes it.
fn start(text: &str) -> Option<(bool, &str)> {
    let head = text.as_bytes().get(..MAX_JUNK).unwrap_or(text.as_bytes());
    let is_tag = |at: &usize| {
        text.get(at + 1..)
            .is_some_and(|tail| tail.starts_with("?xml") || names(tail) || tail.starts_with("!"))
    };
    let at = memchr::memchr_iter(b'<', head).find(is_tag)?;
    let (before, xml) = text.split_at_checked(at)?;
    let blank = |sign: char| sign.is_whitespace() || matches!(sign, '\0' | '\u{feff}');
    Some((!before.chars().all(blank), xml))
}

/// Returns whether a document is an HTML page.
fn is_page(document: &Value) -> bool {
    document.as_object().is_some_and(|root| root.keys().any(|name| name.eq_ignore_ascii_case("html")))
}

/// Returns whether a text begins as a name does.
fn names(text: &str) -> bool {
    text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
}

/// An element that is open.
struct Open {
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// Builder of documents.
#[derive(Default)]
struct Builder {
    documents: Vec<Value>,
    open: Vec<Open>,
    /// Number of open elements below the maximum depth.
    below: usize,
    values: usize,
    /// Set if the last text reaches to the end of the document.
    cut_off: bool,
    repairs: Vec<&'static str>,
}

impl Builder {
    /// Parses a text to its end, to a fatal error, or to a limit.
    fn read(&mut self, xml: &str) {
        let mut rest = xml;
        for _ in 0..=MAX_STRAY {
            match self.stretch(rest) {
                Some(stray) => rest = rest.get(stray..).unwrap_or_default(),
                None => return,
            }
            note(&mut self.repairs, "a < that begins no tag");
        }
        note(&mut self.repairs, CUT);
    }

    /// Parses up to a stray `<`. Returns the position after it; `None` at the end.
    fn stretch(&mut self, xml: &str) -> Option<usize> {
        let mut reader = Reader::from_str(xml);
        let config = reader.config_mut();
        config.allow_dangling_amp = true;
        config.allow_unmatched_ends = true;
        config.check_end_names = false;
        loop {
            if self.values >= MAX_VALUES {
                note(&mut self.repairs, CUT);
                return None;
            }
            let at = position(&reader);
            match reader.read_event() {
                Ok(Event::Eof) => return None,
                Ok(Event::Start(tag) | Event::Empty(tag)) if !names(&tag) => {
                    self.text("<");
                    return Some(at + 1);
                }
                Ok(event) => {
                    self.event(&event);
                    let may_go_on = matches!(event, Event::Text(_) | Event::GeneralRef(_));
                    self.cut_off = may_go_on && position(&reader) == xml.len();
                }
                Err(quick_xml::Error::IllFormed(_)) if at < position(&reader) => {}
                Err(_) => {
                    note(&mut self.repairs, UNFINISHED_NOTE);
                    return None;
                }
            }
        }
    }

    /// Handles an event of the parser.
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::Empty(tag) => {
                self.start(tag);
                self.end(tag.name().0);
            }
            Event::End(tag) => self.end(tag.name().0),
            Event::Text(text) => self.text(text),
            Event::CData(text) => self.text(text),
            Event::GeneralRef(name) => self.text(&reference(name)),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Eof => {}
        }
    }

    /// Opens an element.
    fn start(&mut self, tag: &BytesStart<'_>) {
        self.values += 1;
        if self.open.len() >= DEEPEST {
            self.below += 1;
            return note(&mut self.repairs, CUT);
        }
        let mut members = Map::new();
        for attribute in tag.html_attributes().with_checks(false).flatten() {
            let key = attribute.key.0;
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            if self.values >= MAX_VALUES {
                break;
            }
            self.values += 1;
            let value = unescaped(&attribute.value);
            members.entry(format!("@{}", local(key))).or_insert_with(|| value.trim().into());
        }
        self.open.push(Open { name: local(tag.name().0).to_owned(), members, text: String::new() });
    }

    /// Closes an element, and those within it that were not closed.
    fn end(&mut self, name: &str) {
        if self.below > 0 {
            self.below -= 1;
            return;
        }
        let name = local(name.trim());
        let Some(place) = self.open.iter().rposition(|open| open.name == name) else {
            return note(&mut self.repairs, "an end tag without its start tag");
        };
        if place + 1 < self.open.len() {
            note(&mut self.repairs, "an end tag is missing");
        }
        while self.open.len() > place {
            self.close();
        }
    }

    /// Closes the innermost element.
    fn close(&mut self) {
        let Some(Open { name, mut members, text }) = self.open.pop() else { return };
        let text = text.trim();
        let value = if members.is_empty() {
            Value::from(text)
        } else {
            if !text.is_empty() {
                members.insert("#text".into(), text.into());
            }
            members.into()
        };
        match self.open.last_mut() {
            Some(parent) => add(&mut parent.members, &name, value),
            None => self.documents.push(Map::from_iter([(name, value)]).into()),
        }
    }

    /// Adds text to the innermost element.
    fn text(&mut self, text: &str) {
        if self.below == 0
            && let Some(open) = self.open.last_mut()
        {
            open.text.push_str(text);
        }
    }

    /// Closes open elements: the innermost one only if it has content. Text cut off by the end is dropped, because
    /// half a value is a wrong value.
    fn finish(&mut self) -> Vec<Value> {
        if let Some(innermost) = self.open.last_mut() {
            note(&mut self.repairs, UNFINISHED_NOTE);
            if self.cut_off {
                innermost.text.clear();
            }
        }
        let empty = |open: &mut Open| open.members.is_empty() && open.text.trim().is_empty();
        while self.open.pop_if(empty).is_some() {}
        while !self.open.is_empty() {
            self.close();
        }
        std::mem::take(&mut self.documents)
    }
}

/// Byte position of a reader.
fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local).trim()
}

/// Resolves a reference; an unknown one stays as it is.
fn reference(name: &str) -> Cow<'static, str> {
    let number = |number: &str| {
        let number = number
            .strip_prefix(['x', 'X'])
            .map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
        number.ok().filter(|number| *number > 0).and_then(char::from_u32)
    };
    match name {
        "lt" => "<".into(),
        "gt" => ">".into(),
        "amp" => "&".into(),
        "apos" => "'".into(),
        "quot" => "\"".into(),
        _ => match name.strip_prefix('#').filter(|digits| digits.len() <= MAX_REFERENCE).and_then(number) {
            Some(sign) => sign.to_string().into(),
            None => format!("&{name};").into(),
        },
    }
}

/// The value of an attribute.
fn unescaped(value: &str) -> Cow<'_, str> {
    let Some((head, mut rest)) = value.split_once('&') else { return value.into() };
    let mut out = head.to_owned();
    loop {
        let (piece, next) = rest.split_once('&').map_or((rest, None), |(piece, next)| (piece, Some(next)));
        match piece.split_once(';') {
            Some((name, tail)) => {
                out.push_str(&reference(name));
                out.push_str(tail);
            }
            None => {
                out.push('&');
                out.push_str(piece);
            }
        }
        let Some(next) = next else { return out.into() };
        rest = next;
    }
}

#[cfg(test)]
mod tests;
