//! JSON objects, written plainly: most need no value of each field's type in between.

use crate::json::quote;
#[cfg(feature = "server")]
use crate::text::write_digits;

/// An object that is being written.
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(value, &mut self.0);
        self
    }

    #[cfg(feature = "server")]
    pub(crate) fn number(mut self, name: &str, value: u64) -> Self {
        self.name(name);
        write_digits(value, &mut self.0);
        self
    }

    /// A value that is JSON already.
    pub(crate) fn raw(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.0.push_str(value);
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(name, &mut self.0);
        self.0.push(':');
    }
}

#[cfg(all(test, feature = "server"))]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let written = Object::new().text("a", "\"\n").number("b", 1_764_000_000).raw("c", "[]").finish();
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, serde_json::json!({"a": "\"\n", "b": 1_764_000_000, "c": []}));
        assert_eq!(Object::new().finish(), "{}");
    }
}
