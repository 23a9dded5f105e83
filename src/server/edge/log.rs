//! The module's log, on the host's console.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(line: &str);
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    fn console_warn(line: &str);
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    fn console_log(line: &str);
}

/// Writes errors, warnings and one line for each request. An application that has set up a subscriber of its own keeps it.
pub(super) fn to_console() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Console::default());
    });
}

#[derive(Default)]
struct Console(Mutex<Spans>);

/// The fields of the open spans, and which of them are being worked in now.
#[derive(Default)]
struct Spans {
    last: u64,
    open: HashMap<u64, String>,
    entered: Vec<u64>,
}

impl Console {
    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Line::default();
        span.record(&mut fields);
        let mut spans = self.spans();
        spans.last += 1;
        let id = spans.last;
        spans.open.insert(id, fields.0);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line("behest-client:".to_owned());
        event.record(&mut line);
        {
            let spans = self.spans();
            for fields in spans.entered.iter().filter_map(|id| spans.open.get(id)) {
                line.0.push_str(fields);
            }
        }
        match *event.metadata().level() {
            Level::ERROR => console_error(&line.0),
            Level::WARN => console_warn(&line.0),
            _ => console_log(&line.0),
        }
    }

    fn enter(&self, id: &Id) {
        self.spans().entered.push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let mut spans = self.spans();
        if let Some(place) = spans.entered.iter().rposition(|entered| *entered == id.into_u64()) {
            spans.entered.remove(place);
        }
    }

    /// Spans are not shared here: the first to close one is the last to hold it.
    fn try_close(&self, id: Id) -> bool {
        self.spans().open.remove(&id.into_u64()).is_some()
    }
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &Shown(value));
    }
}

impl Line {
    fn push(&mut self, field: &Field, value: &dyn fmt::Display) {
        let start = self.0.len();
        let written = match field.name() {
            "message" => write!(self.0, " {value}"),
            name => write!(self.0, " {name}={value}"),
        };
        // Writing to a String cannot fail.
        let _ = written;
        // A line break in what somebody sent would begin a line of his own.
        if self.0[start..].contains(char::is_control) {
            let escaped: String = self.0[start..].chars().map(shown).collect();
            self.0.replace_range(start.., &escaped);
        }
    }
}

fn shown(letter: char) -> String {
    if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() }
}

/// Small builds leave out what `{:?}` stands for, but not what a type's own `Debug` writes.
struct Shown<'a>(&'a dyn fmt::Debug);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
