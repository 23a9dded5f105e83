//! What JavaScript is to do, as JSON: a list of `[name, …arguments]`.

use std::time::Duration;

use crate::Error;
use crate::engine::{End, Id, Receive, Retry, Trace, Want};
use crate::json::{Text, quote};
use crate::text::write_digits;
use crate::wire::as_millis;

/// A list that is being written.
#[derive(Default)]
pub(super) struct Json(String);

impl Json {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn finish(&mut self) -> String {
        let mut list = std::mem::take(&mut self.0);
        if !list.is_empty() {
            list.push(']');
        }
        list
    }

    pub(super) fn action(&mut self, name: &str, ids: &[Id]) {
        self.open(name);
        ids.iter().for_each(|id| self.id(*id));
        self.0.push(']');
    }

    /// An action whose only argument is an error.
    pub(super) fn error(&mut self, name: &str, error: &Error) {
        self.open(name);
        self.0.push(',');
        write_error(error, &mut self.0);
        self.0.push(']');
    }

    pub(super) fn wake(&mut self, at: f64) {
        self.open("wake");
        self.0.push(',');
        number(at, &mut self.0);
        self.0.push(']');
    }

    pub(super) fn fail(&mut self, call: Id, error: &Error) {
        self.open("fail");
        self.id(call);
        self.0.push(',');
        write_error(error, &mut self.0);
        self.0.push(']');
    }

    pub(super) fn ended(&mut self, call: Id, end: &End, trace: &Trace) {
        self.open("ended");
        self.id(call);
        self.text(end.outcome.as_str());
        self.0.push(',');
        write_trace(trace, &mut self.0);
        if let Some(error) = &end.error {
            self.0.push(',');
            write_error(error, &mut self.0);
        }
        self.0.push(']');
    }

    /// `body`: none, that of the call, or this one.
    pub(super) fn send(
        &mut self,
        request: Id,
        owner: Id,
        method: &str,
        url: &str,
        headers: &[(&'static str, String)],
        body: Option<Option<&str>>,
    ) {
        self.open("send");
        self.id(request);
        self.id(owner);
        self.text(method);
        self.text(url);
        self.0.push(',');
        record(&mut self.0, |record| headers.iter().for_each(|(name, value)| record.text(name, Some(value))));
        match body {
            None => {}
            Some(None) => self.0.push_str(",true"),
            Some(Some(json)) => self.text(json),
        }
        self.0.push(']');
    }

    /// An action with ids, perhaps a text, and perhaps a value as it is written.
    #[cfg(feature = "sign-in")]
    pub(super) fn value(&mut self, name: &str, ids: &[Id], text: Option<&str>, json: Option<&str>) {
        self.open(name);
        ids.iter().for_each(|id| self.id(*id));
        if let Some(text) = text {
            self.text(text);
        }
        if let Some(json) = json {
            self.0.push(',');
            self.0.push_str(json);
        }
        self.0.push(']');
    }

    fn open(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        self.0.push('[');
        quote(name, &mut self.0);
    }

    fn id(&mut self, id: Id) {
        self.0.push(',');
        number(f64::from(id), &mut self.0);
    }

    fn text(&mut self, text: &str) {
        self.0.push(',');
        quote(text, &mut self.0);
    }
}

/// An object that is being written: fields without a value are left out.
pub(super) struct Record<'a> {
    out: &'a mut String,
    is_first: bool,
}

pub(super) fn record(out: &mut String, write: impl FnOnce(&mut Record<'_>)) {
    out.push('{');
    write(&mut Record { out, is_first: true });
    out.push('}');
}

impl Record<'_> {
    fn key(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        quote(name, self.out);
        self.out.push(':');
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            quote(value, self.key(name));
        }
    }

    pub(super) fn number(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            number(value, self.key(name));
        }
    }

    fn time(&mut self, name: &str, value: Option<Duration>) {
        self.number(name, value.map(as_millis));
    }
}

/// A number of zero or more, to three decimals. (The standard library's exact way to write one is large.)
fn number(value: f64, out: &mut String) {
    let whole = value as u64;
    write_digits(whole, out);
    let thousandths = ((value - whole as f64) * 1000.0) as u32;
    if (1..1000).contains(&thousandths) {
        out.push('.');
        for digit in [thousandths / 100, thousandths / 10 % 10, thousandths % 10] {
            out.extend(char::from_digit(digit, 10));
        }
    }
}

/// The fields of the package's `BehestError`, as far as they are not those of its reason.
pub(super) fn write_error(error: &Error, out: &mut String) {
    record(out, |record| {
        record.text("reason", Some(error.reason().as_str()));
        record.text("message", Some(error.message()));
        record.text("hint", error.own_hint());
        record.number("status", error.status().map(f64::from));
        record.time("retryAfterMs", error.retry_after());
        record.text("code", error.code());
        record.text("traceId", error.trace_id());
    });
}

/// [`Trace`] with times in milliseconds.
pub(super) fn write_trace(trace: &Trace, out: &mut String) {
    record(out, |record| {
        record.key("cached").push_str(if trace.cached { "true" } else { "false" });
        record.time("sessionMs", trace.session);
        record.time("mintMs", trace.mint);
        record.time("headersMs", trace.headers);
        record.time("firstContentMs", trace.first_content);
        let out = record.key("retries");
        out.push('[');
        for (index, retry) in trace.retries.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_retry(retry, out);
        }
        out.push(']');
        record.text("sessionId", Some(&trace.session_id));
        record.text("traceId", trace.trace_id.as_deref());
    });
}

fn write_retry(retry: &Retry, out: &mut String) {
    record(out, |record| {
        record.text("reason", Some(retry.reason.as_str()));
        record.number("status", retry.status.map(f64::from));
        record.time("waitedMs", Some(retry.waited));
    });
}

/// What bytes are worth to the reader of a stream.
///
/// As chunks it is a JSON list: the chunks as they came, and after each what it changes: `[slot, id, name, arguments]` of a
/// tool call, or `[finish_reason]`. After a chunk that is the pattern of others stands a zero; of one that is like it, only the
/// text. As text it is just that, and the rest goes among the actions.
pub(super) struct Items<'a> {
    want: Want,
    call: Id,
    items: &'a mut String,
    actions: &'a mut Json,
}

impl<'a> Items<'a> {
    pub(super) fn new(want: Want, call: Id, items: &'a mut String, actions: &'a mut Json) -> Self {
        items.clear();
        Self { want, call, items, actions }
    }

    pub(super) fn finish(self) {
        if self.want == Want::Chunks && !self.items.is_empty() {
            self.items.push(']');
        }
    }

    fn item(&mut self) -> &mut String {
        self.items.push(if self.items.is_empty() { '[' } else { ',' });
        self.items
    }
}

impl Receive for Items<'_> {
    fn chunk(&mut self, json: &str) {
        self.item().push_str(json);
    }

    fn pattern(&mut self) {
        self.item().push('0');
    }

    fn alike(&mut self, _json: &str, text: Text<'_>) {
        let item = self.item();
        item.push('"');
        item.push_str(text.raw());
        item.push('"');
    }

    fn text(&mut self, text: Text<'_>, half: Option<u16>) -> Option<u16> {
        text.write(self.items, half)
    }

    fn tool_call(&mut self, slot: usize, id: &str, name: &str, arguments: &str) {
        let is_text = self.want == Want::Text;
        if is_text {
            self.actions.open("tool");
            self.actions.id(self.call);
            self.actions.0.push(',');
        }
        let out = if is_text { &mut self.actions.0 } else { self.item() };
        out.push('[');
        number(slot as f64, out);
        for text in [id, name, arguments] {
            out.push(',');
            quote(text, out);
        }
        out.push(']');
        if is_text {
            self.actions.0.push(']');
        }
    }

    fn finish_reason(&mut self, reason: &str) {
        if self.want == Want::Text {
            self.actions.open("finish");
            self.actions.id(self.call);
            self.actions.text(reason);
            self.actions.0.push(']');
        } else {
            let item = self.item();
            item.push('[');
            quote(reason, item);
            item.push(']');
        }
    }

    fn usage(&mut self, json: &str) {
        if self.want == Want::Text {
            self.actions.open("usage");
            self.actions.id(self.call);
            self.actions.0.push(',');
            self.actions.0.push_str(json);
            self.actions.0.push(']');
        }
    }
}
