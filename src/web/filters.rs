//! Filters of the templates: texts in the viewer's language. Texts are ours, and may hold markup; values are escaped.

use std::fmt::Display;

use askama::Values;
use askama::filters::{Html, Safe, escape};

use super::texts::tr_any;
use super::words;

/// `{{ "Live"|t }}`: a text in the viewer's language.
#[askama::filter_fn]
pub(super) fn t<T: Display>(text: T, _: &dyn Values) -> askama::Result<Safe<String>> {
    Ok(Safe(tr_any(&text.to_string())))
}

/// `{{ setting.origin|origin }}`: the origin of a setting.
#[askama::filter_fn]
pub(super) fn origin<T: Display>(text: T, _: &dyn Values) -> askama::Result<String> {
    Ok(words::origin(&text.to_string()))
}

/// `{{ "Show {}"|t1(name) }}`: a text with a value.
#[askama::filter_fn]
pub(super) fn t1<T: Display, V: Display>(text: T, _: &dyn Values, value: V) -> askama::Result<Safe<String>> {
    let value = escape(value.to_string(), Html)?.to_string();
    Ok(Safe(tr_any(&text.to_string()).replacen("{}", &value, 1)))
}
