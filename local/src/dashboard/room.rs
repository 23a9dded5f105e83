//! The rooms of the dashboard.

use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Room {
    #[default]
    Overview,
    Requests,
    Users,
    Tokens,
    Settings,
}

impl Room {
    pub(super) const ALL: [Self; 5] = [Self::Overview, Self::Requests, Self::Users, Self::Tokens, Self::Settings];

    /// The room of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|room| room.name() == name)
    }

    /// In addresses and forms.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Requests => "requests",
            Self::Users => "users",
            Self::Tokens => "tokens",
            Self::Settings => "settings",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Requests => "Requests",
            Self::Users => "Users and sessions",
            Self::Tokens => "Tokens and mail",
            Self::Settings => "Settings",
        }
    }

    /// Whether what it shows belongs to a span of time that can be chosen.
    pub(super) const fn has_window(self) -> bool {
        matches!(self, Self::Overview | Self::Users)
    }
}
