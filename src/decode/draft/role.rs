//! Roles that a value of a report can have.

/// Role of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Unused; kept in `extra`.
    Unused,
    /// The kind of event.
    Kind,
    /// Start or end.
    State,
    /// The identifier of the device.
    Id,
    /// Its MAC address.
    Mac,
    /// Its name.
    Name,
    /// Its model.
    Model,
    /// Its address.
    Ip,
    /// Its channel.
    Channel,
    /// Time of the event.
    Time,
    /// Number of objects.
    Count,
    /// A picture as base64.
    Picture,
    /// A detail of this name.
    Detail(&'static str),
    /// A secret, which is never stored or published.
    Secret,
}

/// Names of details.
pub const DETAILS: &[&str] = &[
    "plate",
    "confidence",
    "direction",
    "list",
    "vehicle_color",
    "target",
    "region",
    "rule",
    "person",
    "person_id",
    "door",
    "input",
    "message",
];

/// Roles with their names in forms.
const WORDS: &[(&str, Role)] = &[
    ("unused", Role::Unused),
    ("kind", Role::Kind),
    ("state", Role::State),
    ("id", Role::Id),
    ("mac", Role::Mac),
    ("name", Role::Name),
    ("model", Role::Model),
    ("ip", Role::Ip),
    ("channel", Role::Channel),
    ("time", Role::Time),
    ("count", Role::Count),
    ("picture", Role::Picture),
    ("secret", Role::Secret),
];

impl Role {
    /// All roles.
    pub fn all() -> impl Iterator<Item = Self> {
        let details = DETAILS.iter().map(|name| Self::Detail(name));
        WORDS.iter().map(|(_, role)| role.clone()).chain(details)
    }

    /// Name in forms.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Detail(name) => name,
            other => WORDS.iter().find(|(_, role)| role == other).map_or("unused", |(word, _)| *word),
        }
    }

    /// Role of a name in forms.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let detail = || DETAILS.iter().find(|name| **name == word).map(|name| Self::Detail(name));
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, role)| role.clone()).or_else(detail)
    }

    /// The name shown to people.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Unused => "not used".into(),
            Self::Kind => "kind of event".into(),
            Self::State => "start or end".into(),
            Self::Id => "device identifier".into(),
            Self::Mac => "MAC address".into(),
            Self::Name => "device name".into(),
            Self::Model => "device model".into(),
            Self::Ip => "device address".into(),
            Self::Channel => "channel".into(),
            Self::Time => "time".into(),
            Self::Count => "number of objects".into(),
            Self::Picture => "picture".into(),
            Self::Secret => "secret".into(),
            Self::Detail(name) => format!("detail: {}", name.replace('_', " ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn every_role_has_a_word_that_leads_back_to_it() {
        for role in Role::all() {
            assert_eq!(Role::parse(role.word()).as_ref(), Some(&role), "{}", role.title());
        }
        assert_eq!(Role::parse("nothing"), None);
    }
}
