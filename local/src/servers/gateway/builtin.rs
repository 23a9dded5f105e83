//! Completions without a language model: always the same answer to the same question, streamed word by word.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};
use uuid::Uuid;

use super::reply::Reply;
use super::request::ChatRequest;

/// The name of the model that is none.
pub(crate) const MODEL: &str = "behest-local";

/// How much of a question is repeated.
const LONGEST_ECHO: usize = 300;

/// The built-in responder.
#[derive(Debug)]
pub(crate) struct Builtin {
    /// The pause before each word.
    pub(crate) pace: Duration,
}

impl Builtin {
    pub(crate) fn chat(&self, request: &ChatRequest) -> Reply {
        let answer = Completion::to(request);
        if !request.stream {
            return Reply::Whole(answer.whole().to_string().into());
        }
        let pace = self.pace;
        let events = stream::iter(answer.events()).then(move |event| async move {
            tokio::time::sleep(pace).await;
            Ok(event)
        });
        Reply::Events(events.boxed())
    }
}

struct Completion {
    id: String,
    created: u64,
    /// Each with the space before it.
    words: Vec<String>,
    finish_reason: &'static str,
    prompt_tokens: usize,
}

impl Completion {
    fn to(request: &ChatRequest) -> Self {
        let texts: Vec<_> = request.texts().collect();
        let question = texts.iter().rev().find(|(role, _)| *role == "user").map(|(_, text)| text.trim());
        let text = compose(question.unwrap_or_default(), texts.len());
        let mut words: Vec<_> = text.split_inclusive(' ').map(str::to_owned).collect();
        let limit = request.max_tokens().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let finish_reason = if words.len() > limit { "length" } else { "stop" };
        words.truncate(limit);
        Self {
            id: format!("chatcmpl-{}", Uuid::new_v4().simple()),
            created: jiff::Timestamp::now().as_second().try_into().unwrap_or_default(),
            words,
            finish_reason,
            prompt_tokens: texts.iter().map(|(_, text)| text.split_whitespace().count()).sum::<usize>()
                + unspoken(request),
        }
    }

    /// A word is a token here.
    fn usage(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.words.len(),
            "total_tokens": self.prompt_tokens + self.words.len(),
        })
    }

    fn whole(&self) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": MODEL,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": self.words.concat() },
                "finish_reason": self.finish_reason,
            }],
            "usage": self.usage(),
        })
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>) -> Bytes {
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": MODEL,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n").into()
    }

    fn events(&self) -> Vec<Bytes> {
        let choice = |delta: Value, finish_reason: Option<&str>| {
            let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]);
            self.chunk(&choices, None)
        };
        let mut events = vec![choice(json!({ "role": "assistant", "content": "" }), None)];
        events.extend(self.words.iter().map(|word| choice(json!({ "content": word }), None)));
        events.push(choice(json!({}), Some(self.finish_reason)));
        events.push(self.chunk(&json!([]), Some(self.usage())));
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        events
    }
}

/// Tokens of what is no text of a message: tools, schemas, calls, images.
fn unspoken(request: &ChatRequest) -> usize {
    let texts: i64 = request.texts().map(|(_, text)| i64::try_from(text.len()).unwrap_or(i64::MAX)).sum();
    usize::try_from(request.size().expected - (texts + 3) / 4).unwrap_or_default()
}

fn compose(question: &str, messages: usize) -> String {
    let mut echo: String = question.chars().take(LONGEST_ECHO).collect();
    if echo.len() < question.len() {
        echo.push('…');
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Completion {
        Completion::to(&ChatRequest::parse(&body.to_string().into()).unwrap())
    }

    #[test]
    fn the_answer_is_about_the_last_question() {
        let body = json!({ "messages": [
            { "role": "user", "content": "old" },
            { "role": "user", "content": [{ "type": "text", "text": "Where is Rome?" }] },
        ] });
        let text = answer(&body).words.concat();
        assert!(
            text.starts_with("You wrote: “Where is Rome?”. That is 3 words in a conversation of 2 messages."),
            "{text}"
        );
        assert_eq!(text, answer(&body).words.concat());
    }

    #[test]
    fn a_limit_shortens_the_answer_and_says_so() {
        let answer = answer(&json!({ "messages": [{ "role": "user", "content": "Hi" }], "max_tokens": 3 }));
        assert_eq!(answer.whole()["choices"][0]["finish_reason"], "length");
        assert_eq!(answer.whole()["usage"]["completion_tokens"], 3);
        assert_eq!(answer.events().len(), 1 + 3 + 3);
    }
}
