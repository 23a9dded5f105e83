//! The module's log, on the host's console.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use super::host;
use crate::text::write_digits;

/// `log!(warn, "what happened", name = value, …)`. What went well is not written: consoles have no levels to choose from.
macro_rules! log {
    (success, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        $(let _ = &$value;)*
    }};
    ($level:ident, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::server::edge::log::write(
            stringify!($level), $message, &[$((stringify!($name), &$value as &dyn $crate::server::edge::log::Shown)),*],
        )
    };
}
pub(in crate::server) use log;

thread_local! {
    /// The request that is being worked on.
    static REQUEST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Gives all lines that `future` writes this request id.
pub(crate) async fn of_request<F: Future>(id: &str, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let before = REQUEST.replace(id.to_owned());
        let polled = future.as_mut().poll(context);
        REQUEST.set(before);
        polled
    })
    .await
}

/// One line. Writing it is the host's part.
pub(crate) fn write(level: &str, message: &str, fields: &[(&str, &dyn Shown)]) {
    let mut line = ["behest-client: ", message].concat();
    let mut field = |name: &str, value: &dyn Shown| {
        let length = line.len();
        line.extend([" ", name, "="]);
        if !value.show(&mut line) {
            line.truncate(length);
        }
    };
    for (name, value) in fields {
        field(name, *value);
    }
    REQUEST.with_borrow(|id| field("request_id", &Some(id.as_str()).filter(|id| !id.is_empty())));
    host::log(level, &line);
}

/// What can be the value of a field.
pub(crate) trait Shown {
    /// Writes it at the end of the line; false if there is nothing.
    fn show(&self, line: &mut String) -> bool;
}

impl Shown for &str {
    fn show(&self, line: &mut String) -> bool {
        for letter in self.chars() {
            // A line break in what somebody sent would begin a line of his own.
            match letter {
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                letter
                    if letter.is_ascii_control() || matches!(letter, '\u{80}'..'\u{A0}' | '\u{2028}' | '\u{2029}') =>
                {
                    line.push('\u{FFFD}');
                }
                letter => line.push(letter),
            }
        }
        true
    }
}

impl Shown for u64 {
    fn show(&self, line: &mut String) -> bool {
        write_digits(*self, line);
        true
    }
}

impl<T: Shown> Shown for Option<T> {
    fn show(&self, line: &mut String) -> bool {
        self.as_ref().is_some_and(|value| value.show(line))
    }
}
