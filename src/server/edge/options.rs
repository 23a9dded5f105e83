//! JavaScript's options: the settings under their names there, and what has no name in an environment.

use js_sys::{Array, Function, JSON, Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::server::settings::{ALL, Kind, Settings, option_name};

/// Settings from variables, which `lookup` gives, and from options, which win. An option that is neither a setting nor one of
/// `others` is a mistake that must not go unnoticed: what it was meant to forbid would be allowed.
pub(super) fn settings(lookup: &Function, options: &JsValue, others: &[&str]) -> Settings {
    let value = |name: &str| lookup.call1(&JsValue::UNDEFINED, &name.into()).ok()?.as_string();
    let settings = Settings::from_lookup(value);
    if !options.is_object() || Array::is_array(options) {
        return settings.with_problem("the options must be an object".into());
    }
    let names = Object::keys(options.unchecked_ref::<Object>()).into_iter().filter_map(|name| name.as_string());
    names.filter(|name| !others.contains(&name.as_str())).fold(settings, |settings, name| {
        match ALL.iter().find(|(known, _)| option_name(known) == name) {
            Some((known, kind)) => match option(options, &name) {
                Some(value) => set(settings, known, &name, *kind, &value),
                None => settings,
            },
            None => settings.with_problem(match elsewhere(&name) {
                Some(ours) => format!("there is no option {name}: use {ours}"),
                None => format!("there is no option {name}"),
            }),
        }
    })
}

/// What an option of `@supabase/server` is called here.
fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name {
        "cors" => "corsOrigin",
        "issuer" => "sessionIssuers",
        "audience" => "sessionAudiences",
        _ => return None,
    })
}

fn set(settings: Settings, known: &'static str, name: &str, kind: Kind, value: &JsValue) -> Settings {
    let text = match kind {
        Kind::List => {
            return match (value.as_string(), texts(value)) {
                (Some(text), _) => settings.with(known, &text),
                (None, Some(entries)) => settings.with_list(known, entries.into_iter()),
                (None, None) => settings.with_problem(wrong(name, "a string or a list of strings")),
            };
        }
        Kind::Text => value.as_string().ok_or("a string"),
        Kind::Flag => value.as_bool().map(|flag| flag.to_string()).ok_or("true or false"),
        Kind::Seconds => match value.as_f64() {
            Some(seconds) if seconds >= 0.0 && seconds.fract() == 0.0 && seconds <= f64::from(u32::MAX) => {
                Ok((seconds as u32).to_string())
            }
            _ => Err("a whole number of seconds"),
        },
        Kind::Json if value.is_object() => {
            JSON::stringify(value).ok().and_then(|text| text.as_string()).ok_or("an object or the text of one")
        }
        Kind::Json => value.as_string().ok_or("an object or the text of one"),
    };
    match text {
        Ok(text) => settings.with(known, &text),
        Err(what) => settings.with_problem(wrong(name, what)),
    }
}

/// A string, or a list of strings.
pub(super) fn texts(value: &JsValue) -> Option<Vec<String>> {
    match value.as_string() {
        Some(one) => Some(vec![one]),
        None if Array::is_array(value) => Array::from(value).iter().map(|one| one.as_string()).collect(),
        None => None,
    }
}

/// What an option is set to; undefined and null count as absent.
pub(super) fn option(options: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(options, &name.into()).ok().filter(|value| !value.is_undefined() && !value.is_null())
}

pub(super) fn wrong(name: &str, what: &str) -> String {
    format!("the option {name} must be {what}")
}
