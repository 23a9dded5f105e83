//! JavaScript's options: the settings under their names there, and what has no name in an environment.

use crate::json::Json;
use crate::server::fields::{entries, items, texts};
use crate::server::settings::{ALL, Kind, Settings, option_name};

/// What `createTokenEndpoint` and its like were called with: variables and options that are neither undefined nor null, as the
/// facade tells them.
pub(super) struct Given<'a> {
    /// `{name: value}`, those that are texts.
    variables: Vec<(String, Json<'a>)>,
    options: Vec<GivenOption<'a>>,
    is_object: bool,
}

/// One option: its name, its type in JavaScript's word for it, its value as JSON where that can be.
struct GivenOption<'a> {
    name: String,
    kind: String,
    value: Option<Json<'a>>,
}

impl<'a> Given<'a> {
    /// `options`: a list of `[name, type, value]`; nothing if they are no object.
    pub(super) fn read(variables: &'a str, options: &'a str) -> Self {
        let one = |option: Json<'a>| match items(option.raw())?[..] {
            [name, kind] => Some(GivenOption { name: name.text()?, kind: kind.text()?, value: None }),
            [name, kind, value] => Some(GivenOption { name: name.text()?, kind: kind.text()?, value: Some(value) }),
            _ => None,
        };
        let list = items(options);
        Self {
            variables: entries(variables).unwrap_or_default(),
            is_object: list.is_some(),
            options: list.unwrap_or_default().into_iter().filter_map(one).collect(),
        }
    }

    /// Settings from the variables and the options, which win. An option that is neither a setting nor one of `others` is a
    /// mistake that must not go unnoticed: what it was meant to forbid would be allowed.
    pub(super) fn settings(&self, others: &[&str]) -> Settings {
        let variable = |name: &str| self.variables.iter().find(|(known, _)| known == name)?.1.text();
        let settings = Settings::from_lookup(variable);
        if !self.is_object {
            return settings.with_problem("the options must be an object".into());
        }
        let ours = self.options.iter().filter(|option| !others.contains(&option.name.as_str()));
        ours.fold(settings, |settings, option| match ALL.iter().find(|(known, _)| option_name(known) == option.name) {
            Some((known, kind)) => option.set(settings, known, *kind),
            None => settings.with_problem(match elsewhere(&option.name) {
                Some(ours) => ["there is no option ", &option.name, ": use ", ours].concat(),
                None => ["there is no option ", &option.name].concat(),
            }),
        })
    }

    /// The name of an option that is none of these.
    pub(super) fn stranger(&self, known: &[&str]) -> Option<&str> {
        self.options.iter().map(|option| option.name.as_str()).find(|name| !known.contains(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of an option that must be of this type.
    pub(super) fn value(&self, name: &str, kind: &str) -> Option<Json<'a>> {
        self.find(name).filter(|option| option.kind == kind)?.value
    }

    /// A string, or a list of strings.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        self.find(name)?.texts()
    }

    fn find(&self, name: &str) -> Option<&GivenOption<'a>> {
        self.options.iter().find(|option| option.name == name)
    }
}

impl GivenOption<'_> {
    fn set(&self, settings: Settings, known: &'static str, kind: Kind) -> Settings {
        let text = self.value.and_then(Json::text);
        let raw = self.value.map(Json::raw).unwrap_or_default();
        let (value, what) = match (kind, self.kind.as_str()) {
            (Kind::List, "list") => match self.texts() {
                Some(entries) => return settings.with_list(known, entries.into_iter()),
                None => (None, "a string or a list of strings"),
            },
            (Kind::List, _) => (text, "a string or a list of strings"),
            (Kind::Text, _) => (text.filter(|_| self.kind == "string"), "a string"),
            (Kind::Flag, kind) => (Some(raw.to_owned()).filter(|_| kind == "boolean"), "true or false"),
            (Kind::Seconds, kind) => {
                let whole = kind == "number" && raw.parse::<u32>().is_ok();
                (Some(raw.to_owned()).filter(|_| whole), "a whole number of seconds")
            }
            (Kind::Json, "string") => (text, "an object or the text of one"),
            (Kind::Json, kind) => {
                let object = matches!(kind, "object" | "list") && !raw.is_empty();
                (Some(raw.to_owned()).filter(|_| object), "an object or the text of one")
            }
        };
        match value {
            Some(value) => settings.with(known, &value),
            None => settings.with_problem(wrong(&self.name, what)),
        }
    }

    fn texts(&self) -> Option<Vec<String>> {
        let value = self.value?;
        match &*self.kind {
            "string" => Some(vec![value.text()?]),
            "list" => texts(value.raw()),
            _ => None,
        }
    }
}

/// What an option of `@supabase/server` is called here.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "issuer" => "sessionIssuers",
        "audience" => "sessionAudiences",
        _ => return None,
    })
}

pub(super) fn wrong(name: &str, what: &str) -> String {
    ["the option ", name, " must be ", what].concat()
}
