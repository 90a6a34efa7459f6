//! Writing a draft as a mapping file.

use std::fmt::Write as _;

use super::guess::{END, START};
use super::{DETAILS, Draft, Leaf, Role};

/// Maximum characters of a value in a comment.
const MAX_SHOWN: usize = 50;
/// Details that are numbers.
const NUMBER_DETAILS: &[&str] = &["confidence", "region", "door", "input"];

impl Draft {
    /// The mapping file, with the received values as comments.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut text = String::from("# Received values and their pointers:\n");
        for leaf in &self.leaves {
            // Writing to a String cannot fail.
            let _written =
                writeln!(text, "#   {} = {}", comment(&leaf.pointer), comment(&leaf.shown(MAX_SHOWN)));
        }
        text.push_str(&format!("name = {}\n", quoted(&self.name)));
        if let Some(list) = &self.list {
            text.push_str(&format!(
                "# Each item of this list is an alarm; the other pointers begin at an item.\nalarms = {}\n",
                quoted(list)
            ));
        }
        if self.with(&Role::Kind).next().is_none() {
            text.push_str(
                "# No value names the kind of event: every alarm is of this kind.\nkind_default = \"motion\"\n",
            );
        }
        for (key, role) in [("kind", Role::Kind), ("time", Role::Time), ("count", Role::Count)] {
            self.line(&mut text, key, &role);
        }
        let secrets: Vec<String> = self.with(&Role::Secret).map(|leaf| quoted(last(leaf))).collect();
        if !secrets.is_empty() {
            text.push_str(&format!("secret = [{}]\n", secrets.join(", ")));
        }
        self.recognise(&mut text);
        self.kinds(&mut text);
        self.state(&mut text);
        self.device(&mut text);
        for leaf in self.with(&Role::Picture) {
            text.push_str(&format!("\n[[pictures]]\nat = {}\n", quoted(&leaf.pointer)));
        }
        self.details(&mut text);
        text
    }

    /// A key with its pointers, if there are any.
    fn line(&self, text: &mut String, key: &str, role: &Role) {
        let pointers: Vec<String> = self.with(role).map(|leaf| quoted(&leaf.pointer)).collect();
        match pointers.as_slice() {
            [] => {}
            [one] => text.push_str(&format!("{key} = {one}\n")),
            several => text.push_str(&format!("{key} = [{}]\n", several.join(", "))),
        }
    }

    /// Features that all documents of this maker share.
    fn recognise(&self, text: &mut String) {
        let sure = [Role::Kind, Role::Time, Role::Mac, Role::Id, Role::Name];
        let has: Vec<String> = sure
            .iter()
            .filter_map(|role| self.with(role).next())
            .map(|leaf| format!("{}{}", self.list_of(leaf), leaf.pointer))
            .map(|pointer| quoted(&pointer))
            .collect();
        text.push_str("\n# A request is read by this file when all of these exist.\n[[recognise]]\n");
        if self.form {
            text.push_str("form = true\n");
        }
        text.push_str(&format!("has = [{}]\n", has.join(", ")));
    }

    /// The list that contains a value; pointers of values outside start at the top.
    fn list_of(&self, leaf: &Leaf) -> &str {
        if leaf.outside { "" } else { self.list.as_deref().unwrap_or_default() }
    }

    /// Table of the device's names and their kinds.
    fn kinds(&self, text: &mut String) {
        if self.kinds.is_empty() {
            return;
        }
        text.push_str(
            "\n# The device's names of events and their kinds; alive, test and ignore are not alarms.\n[kinds]\n",
        );
        for (word, kind) in &self.kinds {
            text.push_str(&format!("{} = {}\n", quoted(word), quoted(kind)));
        }
    }

    /// Start and end.
    fn state(&self, text: &mut String) {
        text.push_str("\n[state]\n");
        self.line(text, "at", &Role::State);
        if self.with(&Role::State).next().is_some() {
            let list = |words: &[&str]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("start = [{}]\nend = [{}]\n", list(&START), list(&END)));
        }
        text.push_str("# State if no value gives one: start lasts for the hold of the kind, once is a single event.\ndefault = \"start\"\n");
    }

    /// The device.
    fn device(&self, text: &mut String) {
        let keys = [
            ("mac", Role::Mac),
            ("id", Role::Id),
            ("name", Role::Name),
            ("model", Role::Model),
            ("ip", Role::Ip),
            ("channel", Role::Channel),
        ];
        text.push_str("\n[device]\n");
        if [Role::Mac, Role::Id].iter().all(|role| self.with(role).next().is_none()) {
            text.push_str(
                "# No value identifies the device, so its address is used; device = \"yard\" in [[webhooks]] names it.\n",
            );
        }
        for (key, role) in keys {
            self.line(text, key, &role);
        }
        if let Some(channel) = self.with(&Role::Channel).next() {
            let base = if channel.text.trim() == "0" { "0" } else { "1" };
            text.push_str(&format!("# The number of the first channel: 1, or 0.\nchannel_base = {base}\n"));
        }
    }

    /// The details.
    fn details(&self, text: &mut String) {
        let known: Vec<_> =
            DETAILS.iter().filter(|name| self.with(&Role::Detail(name)).next().is_some()).collect();
        if known.is_empty() {
            return;
        }
        text.push_str("\n[details]\n");
        for name in known {
            let pointers: Vec<String> =
                self.with(&Role::Detail(name)).map(|leaf| quoted(&leaf.pointer)).collect();
            let pointers = pointers.join(", ");
            if NUMBER_DETAILS.contains(name) {
                text.push_str(&format!("{name} = {{ at = [{pointers}], number = true }}\n"));
            } else {
                text.push_str(&format!("{name} = [{pointers}]\n"));
            }
        }
    }
}

/// The last step of a pointer, as the device spells it.
fn last(leaf: &Leaf) -> &str {
    leaf.pointer.rsplit('/').find(|step| step.parse::<usize>().is_err()).unwrap_or_default()
}

/// A text as TOML spells it, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            sign if sign.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(sign))),
            sign => quoted.push(sign),
        }
    }
    quoted.push('"');
    quoted
}

/// A text for a comment: TOML allows no control characters there.
fn comment(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}
