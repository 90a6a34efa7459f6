//! Languages of the pages.

/// A language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::web) enum Language {
    /// The language of the sources.
    #[default]
    English,
    /// Deutsch.
    German,
    /// Italiano.
    Italian,
    /// Español.
    Spanish,
}

impl Language {
    /// All of them, in the order of the page of settings.
    pub(in crate::web) const ALL: [Self; 4] = [Self::English, Self::German, Self::Italian, Self::Spanish];

    /// The one of a code such as `de`.
    pub(in crate::web) fn named(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code))
    }

    /// Its code (ISO 639).
    pub(in crate::web) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Italian => "it",
            Self::Spanish => "es",
        }
    }

    /// Its own name.
    pub(in crate::web) fn title(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::Italian => "Italiano",
            Self::Spanish => "Español",
        }
    }
}
