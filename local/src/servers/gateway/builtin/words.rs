//! What the built-in responder says.

/// How much of a question is repeated.
const LONGEST_ECHO: usize = 300;

/// The answer to a question in a conversation of so many messages.
pub(super) fn answer(question: &str, messages: usize) -> String {
    let echo = shortened(question);
    let heard = if echo.is_empty() {
        "Your message has no text that I could repeat.".to_owned()
    } else {
        format!("You wrote: “{echo}”.")
    };
    let words = question.split_whitespace().count();
    let plural = |count: usize, one: &'static str, more: &'static str| if count == 1 { one } else { more };
    format!(
        "{heard} That is {words} {} in a conversation of {messages} {}. I am the built-in responder of behest-local: \
         no language model, so I know nothing, but your sign-in, your token, the stream you are reading and the usage \
         row it leaves are all real. To talk to a model, start behest-local with --upstream and the URL of any \
         OpenAI-compatible server.",
        plural(words, "word", "words"),
        plural(messages, "message", "messages"),
    )
}

/// The answer to what a tool gave.
pub(super) fn about_tool(result: &str) -> String {
    format!(
        "The tool said: “{}”. I am the built-in responder of behest-local and make nothing of it.",
        shortened(result)
    )
}

/// Everything that a page has to render.
pub(super) const MARKDOWN: &str = "# A heading\n\nSome **bold** and *slanted* words, `code`, and a [link](https://example.com).\n\n\
     1. one\n2. two\n   - and a half\n\n> A quotation.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\nfn main() {}\n```\n";

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_ECHO).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
