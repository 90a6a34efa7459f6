//! Format of a mapping file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::pointer::{PointerList, kind, kinds, pointer, state, words_at};

/// One maker's format as data: where its alarms say what happened, to whom, and when.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "mapping")]
pub struct Mapping {
    /// The maker: the `vendor` of a webhook and of each alarm.
    pub name: String,
    /// The maker's name for people.
    pub title: String,
    /// Models and programs that its requests were seen on.
    pub models: Vec<String>,
    /// Sources of the facts: `capture`, `program`, `manual` or `report`, the best first.
    pub evidence: Vec<Evidence>,
    /// Shapes of the maker's documents, one of which must match. With none, every document with a kind matches.
    pub recognise: Vec<Shape>,
    /// The object at which other pointers begin; the document itself if none exists.
    pub root: PointerList,
    /// Lists of alarms. Pointers are read in an entry first, and then in the root.
    pub alarms: PointerList,
    /// Objects each of whose members is an alarm: its name is `/@key`, its value `/@value`.
    pub members: PointerList,
    /// The maker's name of the kind of event.
    pub kind: PointerList,
    /// Kind of an event without a name.
    #[schemars(schema_with = "kind")]
    pub kind_default: Option<String>,
    /// The maker's names and their slugs, or `alive`, `test` or `ignore`.
    #[schemars(schema_with = "kinds")]
    pub kinds: BTreeMap<String, String>,
    /// Values of a composite key, joined by `/`.
    pub code: PointerList,
    /// Composite keys and their slugs. They are looked up before `kinds`.
    #[schemars(schema_with = "kinds")]
    pub codes: BTreeMap<String, String>,
    /// Rules for the kind, evaluated before `codes` and `kinds`; the first that matches is used.
    pub rules: Vec<Rule>,
    /// Words for start, end and single events.
    pub state: StateWords,
    /// Slugs of single events, which do not last.
    pub once: Vec<String>,
    /// Slugs of events that belong to the device and not to one of its channels.
    pub of_device: Vec<String>,
    /// The identity of the device.
    pub device: IdentityPointers,
    /// The device's time.
    pub time: PointerList,
    /// The number of objects.
    pub count: PointerList,
    /// The numbers of the regions of the rule, through all items of lists.
    pub regions: PointerList,
    /// The boxes around the objects.
    pub object: Option<ObjectBox>,
    /// Details and the places of their values.
    pub details: BTreeMap<String, Detail>,
    /// Words in the names of picture parts, the best first; `*` stands for any other name.
    pub parts: Vec<String>,
    /// Pictures inside the document.
    pub pictures: Vec<Embedded>,
    /// Several pictures in one part of the body.
    pub blob: Option<Blob>,
    /// Alarms that are one event though they come more than once.
    pub same: Vec<Same>,
    /// True if devices declare a `Content-Encoding` for bodies that are not compressed.
    pub false_encoding: bool,
    /// Further names of fields that are never kept.
    pub secret: Vec<String>,
    /// Response that the device expects.
    pub answer: Option<Reply>,
    /// Responses to certain documents, evaluated before `answer`.
    pub answers: Vec<Reply>,
    /// Recorded requests with their expected results, which `alarmbus check` tests.
    pub samples: Vec<Sample>,
}

/// A recorded request with its expected result.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// The file, a raw HTTP request or a bare body; a relative path begins at the folder of the mapping file.
    pub request: String,
    /// The kind of its first alarm; `alive` or `test` for a request without an alarm.
    #[schemars(schema_with = "kind")]
    pub event: String,
    /// MAC, identifier or name of the device; by default any.
    pub device: Option<String>,
}

/// Source of facts about a maker's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// A request of a real device was recorded.
    Capture,
    /// A public program receives them.
    Program,
    /// The maker's manual.
    Manual,
    /// A user reported it.
    Report,
}

/// A shape of a document.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shape {
    /// Pointers that must all exist.
    pub has: PointerList,
    /// Pointers of which one must exist.
    pub any: PointerList,
    /// Pointers that must have one of these values.
    #[schemars(schema_with = "words_at")]
    pub is: BTreeMap<String, Words>,
    /// The document is a form, or the query of a request.
    pub form: bool,
    /// First word of a body that is text; its words are `/@words`.
    pub first_word: Option<Words>,
}

/// A word, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Words {
    /// A single word.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Words {
    /// The words.
    pub(crate) fn all(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Many(words) => words,
        }
    }
}

/// A rule for the kind of an event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Pointers and one of the values that each must have.
    #[schemars(schema_with = "words_at")]
    pub when: BTreeMap<String, Words>,
    /// Pointers that must exist.
    pub has: PointerList,
    /// `start`, `end` or `once`: the rule fits only where the words of `state` say this.
    #[schemars(schema_with = "state")]
    pub said: Option<String>,
    /// The slug, or `alive`, `test` or `ignore`.
    #[schemars(schema_with = "kind")]
    pub event: String,
    /// `start`, `end` or `once`; by default as `state` says.
    #[schemars(schema_with = "state")]
    pub state: Option<String>,
    /// The maker's name of the event, if the document has none.
    pub raw: Option<String>,
}

/// State of an event: start, end or single event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StateWords {
    /// Pointer to the word.
    pub at: PointerList,
    /// Places all of whose values are looked through for a word for a start or an end, where `at` has none. Numbers
    /// do not count here.
    pub any: PointerList,
    /// Words for a start.
    pub start: Vec<String>,
    /// Words for an end.
    pub end: Vec<String>,
    /// Words for a single event.
    pub once: Vec<String>,
    /// Suffixes of the kind that mean a start.
    pub start_suffix: Vec<String>,
    /// Suffixes of the kind that mean an end.
    pub end_suffix: Vec<String>,
    /// `start` or `once`, if there is no word.
    #[schemars(schema_with = "state")]
    pub default: Option<String>,
}

/// Identity of the device.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Identity")]
pub struct IdentityPointers {
    /// MAC address, in any spelling.
    pub mac: PointerList,
    /// Serial number or another identifier.
    pub id: PointerList,
    /// Name for people.
    pub name: PointerList,
    /// Address; of `host:port/path` the host.
    pub ip: PointerList,
    /// Channel.
    pub channel: PointerList,
    /// The channel is used only if these pointers have one of these values, or do not exist.
    #[schemars(schema_with = "words_at")]
    pub channel_when: BTreeMap<String, Words>,
    /// Number of the first channel: 1, or 0.
    pub channel_base: Option<u32>,
    /// Channels above this number are counted from it: with 32, channel 33 is 1.
    pub channel_wrap: Option<u32>,
    /// Name of the channel.
    pub channel_name: PointerList,
    /// Model; with the maker's title it is the name of a device without one.
    pub model: PointerList,
    /// Pointers of which one exists if the device is a recorder.
    pub recorder: PointerList,
}

/// Boxes: `[x1, y1, x2, y2]`, `x1,y1;x2,y2`, or an object with `x1` … `y2`, with `x`, `y`, `width`, `height`, or with
/// `x`, `y`, `w`, `h`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectBox {
    /// The boxes, through all items of lists.
    pub at: PointerList,
    /// Left, top, right and bottom edge, if each has a pointer of its own.
    pub corners: PointerList,
    /// Number that stands for 1. Values that are all at most 1 are fractions already.
    pub scale: f64,
    /// Width of the picture, for boxes in pixels.
    pub width: PointerList,
    /// Height of the picture, for boxes in pixels.
    pub height: PointerList,
    /// True if boxes are in pixels of the alarm's picture, when no width and height are given.
    pub pixels: bool,
}

/// Place of a detail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Detail {
    /// Pointers of which the first that exists is used.
    At(PointerList),
    /// Pointers with conversions.
    More(DetailMore),
}

/// A detail that is converted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DetailMore {
    /// Pointers.
    pub at: PointerList,
    /// Device's words and the words to publish; an empty one makes the detail `null`.
    pub words: BTreeMap<String, String>,
    /// Pointers and the word to publish if one exists and the value does not.
    #[schemars(extend("propertyNames" = {"pattern": "^/"}))]
    pub exists: BTreeMap<String, String>,
    /// True if words that are not in `words` are left out.
    pub only: bool,
    /// True if the value is a number, where possible.
    pub number: bool,
    /// Number that is added to the value.
    pub add: i64,
    /// Slugs of the events that have this detail; empty: all.
    pub events: Vec<String>,
}

/// Pictures as base64.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Embedded {
    /// Pointer to the text, or to the list of objects that hold one each.
    #[schemars(schema_with = "pointer")]
    pub at: String,
    /// Pointer to the text in an item of the list.
    #[schemars(schema_with = "pointer")]
    pub data: Option<String>,
    /// Pointer to the number of the picture in an item.
    #[schemars(schema_with = "pointer")]
    pub index: Option<String>,
    /// Pointer to the number of the picture in the alarm.
    pub wanted: PointerList,
    /// Values of the item that is the whole scene, which is taken where the alarm says no number.
    #[schemars(schema_with = "words_at")]
    pub scene: BTreeMap<String, Words>,
}

/// Several pictures in one part of the body, one after the other.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blob {
    /// The list of pictures.
    pub at: PointerList,
    /// Pointer to the offset of the picture in an item, in bytes.
    #[schemars(schema_with = "pointer")]
    pub offset: String,
    /// Pointer to the length of the picture in an item, in bytes.
    #[schemars(schema_with = "pointer")]
    pub length: String,
}

/// Alarms that are one event.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Same {
    /// Slugs of the events; empty: all.
    pub events: Vec<String>,
    /// Values that are equal in all of them; empty: all alarms of the kind.
    pub at: PointerList,
    /// Time within which they arrive, in seconds.
    pub seconds: u64,
}

/// A response.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    /// Status; 200 by default.
    pub status: Option<u16>,
    /// `Content-Type`; JSON by default.
    pub content_type: Option<String>,
    /// The body; `{}` in it is replaced by the value at `echo`.
    pub body: String,
    /// Pointer to a value that is inserted into the body.
    #[schemars(schema_with = "pointer")]
    pub echo: Option<String>,
    /// Pointers that must exist for this response to be used.
    pub has: PointerList,
    /// Pointers that must have one of these values for this response to be used.
    #[schemars(schema_with = "words_at")]
    pub when: BTreeMap<String, Words>,
}
