//! Counts what one chat used and writes its row exactly once, however the chat ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::answer::Answer;
use super::prompt::said_bytes;
use super::recorder::Recorder;
use crate::domain::limits::{MOST_TOKENS, cost};
use crate::store::threads::Turn;
use crate::store::usage::UsageRow;

/// A rule of thumb for text in European languages.
const BYTES_PER_TOKEN: i64 = 4;
/// No text has tokens that are longer than this on average.
const BYTES_PER_TOKEN_AT_MOST: i64 = 16;

/// No model's name is longer, and the row is kept for good.
const LONGEST_MODEL: usize = 255;

/// How a chat ended, as far as the gateway can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    Length,
    ContentFilter,
    ToolCalls,
    /// The upstream closed the stream without saying that the answer is over.
    Truncated,
    /// The caller hung up.
    Aborted,
    Failed,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Truncated => "truncated",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }

    fn of(finish_reason: &str) -> Self {
        match finish_reason {
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "tool_calls" | "function_call" => Self::ToolCalls,
            _ => Self::Complete,
        }
    }
}

/// Whose chat it is.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) request_id: String,
    pub(crate) user_id: String,
    pub(crate) session_id: String,
    pub(crate) model: String,
    /// The prompt's size, as far as it can be told without the model.
    pub(crate) prompt_tokens: i64,
    /// What it adds to a thread, the answer excepted.
    pub(crate) turn: Option<Turn>,
}

/// The figures of one chat. Dropped before its end, it records the chat as aborted.
#[derive(Debug)]
pub(crate) struct Meter {
    chat: Option<Chat>,
    recorder: Recorder,
    /// Prompt and answer tokens as the upstream counted them.
    counted: Option<(i64, i64)>,
    /// These figures hold all that was said: some servers send them first, or none but zeros.
    is_counted: bool,
    deltas: i64,
    answer_bytes: i64,
    finish: Option<Outcome>,
    failed: bool,
    /// The most tokens the answers may have together.
    most: Option<i64>,
    /// Kept only for a thread.
    answer: Answer,
}

impl Meter {
    pub(crate) fn new(chat: Chat, recorder: Recorder) -> Self {
        Self {
            chat: Some(chat),
            recorder,
            counted: None,
            is_counted: false,
            deltas: 0,
            answer_bytes: 0,
            finish: None,
            failed: false,
            most: None,
            answer: Answer::default(),
        }
    }

    /// Bounds the answers.
    pub(crate) fn limit(&mut self, most: Option<i64>) {
        self.most = most;
    }

    /// The answer is longer than what was reserved for it: the upstream does not keep to `max_tokens`. A piece of a stream
    /// is a token at least.
    pub(crate) fn is_over(&self) -> bool {
        self.most
            .is_some_and(|most| self.deltas > most || self.answer_bytes > most.saturating_mul(BYTES_PER_TOKEN_AT_MOST))
    }

    /// How many bytes of a whole answer, and how many tokens, may be passed on if it is longer than what was reserved.
    pub(crate) fn cut(&self) -> Option<(usize, i64)> {
        let most = self.most?;
        let tokens = match self.counted {
            Some((_, output)) if output > 0 => output,
            _ => self.answer_bytes / BYTES_PER_TOKEN_AT_MOST,
        };
        let bytes = i128::from(self.answer_bytes) * i128::from(most) / i128::from(tokens.max(1));
        (tokens > most).then(|| (usize::try_from(bytes).unwrap_or(usize::MAX), most))
    }

    /// Looks at a completion or at one chunk of it.
    pub(crate) fn see(&mut self, json: &Value) {
        self.failed |= says_error(json);
        if let (Some(chat), Some(model)) = (&mut self.chat, json.get("model").and_then(Value::as_str))
            && !model.is_empty()
        {
            chat.model = model.chars().take(LONGEST_MODEL).collect();
        }
        let mut counts = false;
        if let Some(usage) = json.get("usage") {
            let figure = |name: &str| {
                usage
                    .get(name)
                    .and_then(Value::as_i64)
                    .filter(|tokens| *tokens >= 0)
                    .map(|tokens| tokens.min(MOST_TOKENS))
            };
            let figures = figure("prompt_tokens").zip(figure("completion_tokens"));
            counts = figures.is_some();
            self.counted = figures.or(self.counted);
        }
        let before = self.deltas;
        for choice in json.get("choices").and_then(Value::as_array).into_iter().flatten() {
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish = Some(Outcome::of(reason));
            }
            let said = choice.get("delta").or_else(|| choice.get("message"));
            if let (Some(said), Some(Chat { turn: Some(_), .. })) = (said, &self.chat) {
                self.answer.add(choice, said);
            }
            let bytes = said.map(said_bytes).unwrap_or_default();
            self.answer_bytes += bytes;
            self.deltas += i64::from(bytes > 0);
        }
        let says_nothing = self.counted.is_none_or(|(_, output)| output == 0) && self.deltas > 0;
        self.is_counted = !says_nothing && (counts || self.is_counted && self.deltas == before);
    }

    /// The thread gets this answer in place of what was seen.
    pub(crate) fn remember_instead(&mut self, json: &Value) {
        self.answer = Answer::default();
        for choice in json.get("choices").and_then(Value::as_array).into_iter().flatten() {
            self.answer.add(choice, &choice["message"]);
        }
    }

    /// The upstream's stream is over: what that means depends on what it said before.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.finish {
            _ if self.failed => Outcome::Failed,
            Some(finish) => finish,
            None => Outcome::Truncated,
        }
    }

    /// Writes the row and waits for it.
    pub(crate) async fn end(&mut self, outcome: Outcome) {
        if let Some(write) = self.write(outcome) {
            // A lost task has been logged by the runtime, and the answer is the caller's all the same.
            let _ = write.await;
        }
    }

    /// Nothing was used: the upstream did not take the request.
    pub(crate) async fn refused(&mut self) {
        self.counted = Some((0, 0));
        self.end(Outcome::Failed).await;
    }

    fn write(&mut self, outcome: Outcome) -> Option<JoinHandle<()>> {
        let chat = self.chat.take()?;
        // Most upstreams send a token per chunk; those that send more are caught by the length.
        let seen = self.deltas.max(self.answer_bytes / BYTES_PER_TOKEN);
        let (source, (input, output)) = match self.counted {
            Some((input, output)) if self.is_counted || seen <= output => ("counted", (input, output)),
            Some((0, _)) => ("estimated", (chat.prompt_tokens, seen)),
            Some((input, _)) => ("estimated", (input, seen)),
            None => ("estimated", (chat.prompt_tokens, seen)),
        };
        // More is not passed on.
        let output = output.min(self.most.unwrap_or(MOST_TOKENS));
        let mut turn = chat.turn;
        if let Some(turn) = &mut turn {
            turn.messages.extend(std::mem::take(&mut self.answer).message());
        }
        // A thread remembers what was said, not what was refused.
        let turn = turn.filter(|_| self.deltas > 0);
        let row = UsageRow {
            request_id: chat.request_id,
            user_id: chat.user_id,
            session_id: chat.session_id,
            model: chat.model,
            input_tokens: input,
            output_tokens: output,
            cost_nanos: cost(input, output),
            source: source.to_owned(),
            outcome: outcome.name().to_owned(),
            created_at: self.recorder.now_ms(),
        };
        Some(self.recorder.record(row, turn))
    }
}

/// Some upstreams say that they failed in place of an answer, or in the middle of it.
pub(super) fn says_error(json: &Value) -> bool {
    json.get("error").is_some_and(|error| !error.is_null())
}

/// Writes the row of a meter that is shared, and waits for it.
pub(crate) async fn end(meter: &Mutex<Meter>, outcome: Outcome) {
    let write = lock(meter).write(outcome);
    if let Some(write) = write {
        let _ = write.await;
    }
}

pub(crate) fn lock(meter: &Mutex<Meter>) -> MutexGuard<'_, Meter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Meter {
    fn drop(&mut self) {
        drop(self.write(Outcome::Aborted));
    }
}
