//! The project's API keys by name.

use subtle::ConstantTimeEq as _;

use super::fields::entries;
use super::mode::KeyName;
use super::settings::Reader;
use crate::Secret;
use crate::credential::CredentialKind;

/// Keys of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<(String, Secret)>);

impl Keys {
    pub(super) fn publishable(reader: &mut Reader<'_>) -> Self {
        let names = ["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"];
        Self::read(reader, "SUPABASE_PUBLISHABLE_KEYS", &names, |key| match CredentialKind::of(key) {
            CredentialKind::SecretKey | CredentialKind::ServiceRole => {
                Err("holds a secret key instead of a publishable one")
            }
            _ => Ok(()),
        })
    }

    pub(super) fn secret(reader: &mut Reader<'_>) -> Self {
        Self::read(reader, "SUPABASE_SECRET_KEYS", &["SUPABASE_SECRET_KEY"], |key| match CredentialKind::of(key) {
            CredentialKind::Publishable | CredentialKind::Anon => Err("holds a publishable key, which everybody has"),
            _ => Ok(()),
        })
    }

    /// Reads the map in the setting `plural`, or else the one key in the first of `singular` that is set. A map that is set
    /// is authoritative: a damaged one is an error, never a reason to look elsewhere. `check` says what a key must not be.
    fn read(
        reader: &mut Reader<'_>,
        plural: &str,
        singular: &[&str],
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Self {
        let (name, keys) = match reader.text(plural) {
            Some(json) => {
                let keys = parse(json).ok_or("must be a JSON object of names, each once, and keys that are not blank");
                (plural, reader.checked(plural, keys).unwrap_or_default())
            }
            None => {
                let only = singular.iter().find_map(|name| Some((*name, reader.text(name)?)));
                only.map_or((plural, Vec::new()), |(name, key)| (name, vec![("default".to_owned(), key.into())]))
            }
        };
        for (_, key) in &keys {
            let plain = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
            let plain = if plain { Ok(()) } else { Err("holds a character that no key has") };
            reader.checked(name, plain.and_then(|()| check(key.expose())));
        }
        Self(keys)
    }

    /// Is there a key that `name` can mean?
    pub(super) fn has(&self, name: &KeyName) -> bool {
        match name {
            KeyName::Any => !self.0.is_empty(),
            KeyName::Named(name) => self.get(name).is_some(),
        }
    }

    fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, key)| key)
    }

    /// The key of this name, or else `default`, or else the first.
    pub(super) fn preferred(&self, name: Option<&str>) -> Option<&Secret> {
        let named = self.get(name.unwrap_or("default"));
        named.or_else(|| self.0.first().map(|(_, key)| key))
    }

    /// The name of the key that `sent` is. Every candidate is compared, each in constant time, so that the time taken tells
    /// neither how much of a guess is right nor which key it is.
    pub(super) fn matching(&self, name: &KeyName, sent: &[u8]) -> Option<&str> {
        let mut found = None;
        for (own, key) in &self.0 {
            let wanted = match name {
                KeyName::Any => true,
                KeyName::Named(name) => name == own,
            };
            if bool::from(key.expose().as_bytes().ct_eq(sent)) && wanted {
                found = found.or(Some(own.as_str()));
            }
        }
        found
    }
}

/// A name that is there twice spoils the map: readers disagree about which of the two keys counts, and a key that was replaced would
/// let its holder in.
fn parse(json: &str) -> Option<Vec<(String, Secret)>> {
    let mut keys: Vec<(String, Secret)> = Vec::new();
    for (name, value) in entries(json)? {
        let key = value.text()?;
        let key = key.trim();
        if key.is_empty() || keys.iter().any(|(known, _)| *known == name) {
            return None;
        }
        keys.push((name, key.into()));
    }
    Some(keys)
}
