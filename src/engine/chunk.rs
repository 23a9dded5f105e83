//! One pass over a completion or a chunk of a streamed one, as any OpenAI-compatible gateway may write them.

use crate::json::{self, Json, Scan, Text};
use crate::text::cut;

/// What a chunk says of the first answer, and of the whole.
#[derive(Default)]
pub(crate) struct Chunk<'a> {
    /// `choices` is a list, if an empty one.
    pub(crate) has_choices: bool,
    pub(crate) first: Choice<'a>,
    pub(crate) usage: Option<Json<'a>>,
    /// A report of an error. (`null`, `false`, zero, and what is empty report none.)
    pub(crate) error: Option<Json<'a>>,
}

/// A change to one answer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    /// What the model says, or why it will not: a text, or parts of which some are.
    pub(crate) said: Option<Json<'a>>,
    pub(crate) is_refusal: bool,
    pub(crate) tool_calls: Option<Json<'a>>,
    pub(crate) finish_reason: Text<'a>,
    /// Why this answer failed, where a gateway says so beside it (OpenRouter's do).
    pub(crate) error: Option<Json<'a>>,
}

/// What stands in an event's data.
pub(crate) enum Data<'a> {
    /// A chunk, whatever it holds.
    Chunk(Chunk<'a>),
    /// JSON, but no object: a keep-alive of some sort.
    Other,
    /// No JSON.
    Broken,
}

/// Where the text of a choice stands in a chunk.
pub(crate) const DELTA: &str = "delta";
/// Where it stands in a completion that is no stream.
pub(crate) const MESSAGE: &str = "message";

/// Reads an event's data, or a whole completion. As with `JSON.parse`, the last of two equal keys counts.
pub(crate) fn read<'a>(data: &'a str, place: &str) -> Data<'a> {
    let mut scan = Scan::new(data);
    if scan.peek() != Some(b'{') {
        return if scan.json().is_some() && scan.ends() { Data::Other } else { Data::Broken };
    }
    let mut chunk = Chunk::default();
    let read = scan.object(&mut |scan, key| {
        if key.is("choices") {
            chunk.has_choices = scan.peek()? == b'[';
            chunk.first = choices(scan, place)?;
        } else if key.is("usage") {
            chunk.usage = Some(scan.json()?).filter(|usage| usage.is_object());
        } else if key.is("error") {
            chunk.error = Some(scan.json()?).filter(|error| reports(*error));
        } else if key.is("object") {
            // vLLM's: the fields of the error stand beside it.
            chunk.error = Some(scan.json()?).filter(|object| object.raw() == "\"error\"").or(chunk.error);
        } else {
            scan.skip()?;
        }
        Some(())
    });
    if read.is_some() && scan.ends() { Data::Chunk(chunk) } else { Data::Broken }
}

/// What stands around the text of a chunk. One after the other, the chunks of an answer differ in nothing else, and what is
/// the same to the byte needs no second reading.
#[derive(Default)]
pub(crate) struct Shape {
    /// Up to the opening quote.
    before: Vec<u8>,
    /// From the closing quote.
    after: Vec<u8>,
    /// The receiver knows one of them.
    shown: bool,
}

impl Shape {
    /// Remembers a chunk that brought text and nothing else.
    pub(crate) fn learn(&mut self, data: &str, text: Text<'_>) {
        let (before, after) = text.around(data);
        self.before.clear();
        self.before.extend_from_slice(before.as_bytes());
        self.after.clear();
        self.after.extend_from_slice(after.as_bytes());
        self.shown = false;
    }

    /// The receiver gets to know one of these chunks, and did so before or not.
    pub(crate) fn was_shown(&mut self) -> bool {
        std::mem::replace(&mut self.shown, true)
    }

    /// If this is such a chunk: its text.
    pub(crate) fn text<'a>(&self, data: &'a str) -> Option<Text<'a>> {
        let (text, length) = self.find(data.as_bytes())?;
        (length == data.len()).then(|| Scan::new(cut(data, text, length)).string())?
    }

    /// If `bytes` begin with an event of such a chunk: its data, and what follows.
    pub(crate) fn event<'a>(&self, bytes: &'a [u8]) -> Option<(&'a str, &'a [u8])> {
        let bytes = bytes.strip_prefix(b"data: ")?;
        let (_, length) = self.find(bytes)?;
        let (data, rest) = bytes.split_at(length);
        Some((std::str::from_utf8(data).ok()?, rest.strip_prefix(b"\n\n")?))
    }

    /// Where the text begins, with its quote, and where the chunk ends.
    fn find(&self, bytes: &[u8]) -> Option<(usize, usize)> {
        // Empty as long as nothing was learned.
        let text = self.before.len().checked_sub(1)?;
        if !same(bytes.get(..=text)?, &self.before) {
            return None;
        }
        let closing = text + json::string_length(&bytes[text..])? - 1;
        let end = closing + self.after.len();
        same(bytes.get(closing..end)?, &self.after).then_some((text, end))
    }
}

/// Are these the same bytes? Eight at a time, as the comparison of a small module is not.
fn same(one: &[u8], other: &[u8]) -> bool {
    let ((ones, one), (others, other)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |eight: &[u8; 8]| u64::from_le_bytes(*eight);
    ones.len() == others.len() && ones.iter().zip(others).all(|(one, other)| word(one) == word(other)) && one == other
}

/// Does a field such as `error` say anything?
pub(crate) fn reports(value: Json<'_>) -> bool {
    match value.is_object() || value.is_array() {
        true => !matches!(Scan::new(cut(value.raw(), 1, value.raw().len())).peek(), Some(b'}' | b']')),
        false => !matches!(value.raw(), "null" | "false" | "0" | "\"\""),
    }
}

/// The first answer: index 0, or none given.
fn choices<'a>(scan: &mut Scan<'a>, place: &str) -> Option<Choice<'a>> {
    let mut first = None;
    if scan.peek()? != b'[' {
        scan.skip()?;
        return Some(Choice::default());
    }
    scan.array(&mut |scan| {
        if scan.peek()? != b'{' {
            return scan.skip();
        }
        let (mut choice, mut is_first) = (Choice::default(), true);
        scan.object(&mut |scan, key| {
            if key.is(place) {
                message(scan, &mut choice)?;
            } else if key.is("finish_reason") {
                choice.finish_reason = text(scan)?.unwrap_or_default();
            } else if key.is("error") {
                choice.error = Some(scan.json()?).filter(|error| reports(*error));
            } else if key.is("index") {
                is_first = scan.json()?.present().is_none_or(|index| index.number() == Some(0.0));
            } else {
                scan.skip()?;
            }
            Some(())
        })?;
        if is_first && first.is_none() {
            first = Some(choice);
        }
        Some(())
    })?;
    Some(first.unwrap_or_default())
}

fn message<'a>(scan: &mut Scan<'a>, choice: &mut Choice<'a>) -> Option<()> {
    let (mut content, mut refusal) = (None, None);
    choice.tool_calls = None;
    if scan.peek()? == b'{' {
        scan.object(&mut |scan, key| {
            let value = scan.json()?.present();
            if key.is("content") {
                content = value;
            } else if key.is("refusal") {
                refusal = value.filter(|words| words.is_text() && reports(*words));
            } else if key.is("tool_calls") {
                choice.tool_calls = value.filter(|calls| reports(*calls));
            }
            Some(())
        })?;
    } else {
        scan.skip()?;
    }
    choice.is_refusal = refusal.is_some();
    choice.said = refusal.or(content);
    Some(())
}

/// The text of what is said. Parts that are thoughts or pictures have other fields.
pub(crate) fn words(said: Json<'_>) -> String {
    let mut words = said.text().unwrap_or_default();
    for part in said.items() {
        words += &part.field("text").and_then(Json::text).unwrap_or_default();
    }
    words
}

/// A string; nothing for any other value.
fn text<'a>(scan: &mut Scan<'a>) -> Option<Option<Text<'a>>> {
    if scan.peek()? == b'"' {
        return scan.string().map(Some);
    }
    scan.skip()?;
    Some(None)
}
