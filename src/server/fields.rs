//! JSON objects, read strictly.

use crate::json::{Json, Scan};

/// The fields of these names, null ones too. `None` if the text is no object, or has one of them twice: readers disagree about
/// which of the two counts.
pub(super) fn fields<'a, const N: usize>(text: &'a [u8], names: [&str; N]) -> Option<[Option<Json<'a>>; N]> {
    let mut scan = Scan::new(std::str::from_utf8(text).ok()?);
    let mut found = [None; N];
    let mut twice = false;
    scan.object(&mut |scan, key| {
        let value = scan.json()?;
        if let Some(index) = names.iter().position(|name| key.is(name)) {
            twice |= found[index].replace(value).is_some();
        }
        Some(())
    })?;
    (scan.ends() && !twice).then_some(found)
}

/// Every field of an object, in its order; `None` if the text is none.
pub(super) fn entries(text: &str) -> Option<Vec<(String, Json<'_>)>> {
    let (mut scan, mut entries) = (Scan::new(text), Vec::new());
    scan.object(&mut |scan, key| {
        entries.push((key.text(), scan.json()?));
        Some(())
    })?;
    scan.ends().then_some(entries)
}

/// Every item of an array, null ones too; `None` if the text is none.
pub(super) fn items(text: &str) -> Option<Vec<Json<'_>>> {
    let (mut scan, mut items) = (Scan::new(text), Vec::new());
    scan.array(&mut |scan| {
        items.push(scan.json()?);
        Some(())
    })?;
    scan.ends().then_some(items)
}

/// An array of texts and nothing else.
pub(super) fn texts(text: &str) -> Option<Vec<String>> {
    items(text)?.into_iter().map(Json::text).collect()
}

/// A text that may be absent or null, but not anything else.
pub(super) fn optional_text(value: Option<Json<'_>>) -> Option<Option<String>> {
    match value.and_then(Json::present) {
        None => Some(None),
        Some(value) => value.text().map(Some),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_spoils_the_object() {
        let read =
            |text: &'static str| fields(text.as_bytes(), ["a", "b"]).map(|found| found.map(|one| one.map(Json::raw)));
        assert_eq!(read(r#" {"a": 1, "c": 2, "c": 3} "#), Some([Some("1"), None]));
        assert_eq!(read(r#"{"b":null,"\u0061":"x"}"#), Some([Some("\"x\""), Some("null")]));
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":1}"#, "[]", "{", "{} x", "null", "\u{feff}{}"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(fields(b"{\"a\":\"\xff\"}", ["a"]).map(drop), None);
    }

    #[test]
    fn lists_are_read_whole() {
        assert_eq!(texts(r#"["a","b"]"#).unwrap(), ["a", "b"]);
        for text in [r#"["a",1]"#, r#"["a",null]"#, "{}", "\"a\"", "[] x"] {
            assert_eq!(texts(text), None, "{text}");
        }
        assert_eq!(items("[1,null]").unwrap().len(), 2);
        let read = entries(r#"{"b":1,"a":2}"#).unwrap();
        assert_eq!(
            read.iter().map(|(name, value)| (name.as_str(), value.raw())).collect::<Vec<_>>(),
            [("b", "1"), ("a", "2")]
        );
    }
}
