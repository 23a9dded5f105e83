//! Counts what one chat used and writes its row exactly once, however the chat ends.

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::answer::Answer;
use crate::clock::Clock;
use crate::counters::Counters;
use crate::store::Store;
use crate::store::ledger;
use crate::store::threads::{self, Turn};
use crate::store::usage::UsageRow;

/// Prices of this gateway in billionths of a US dollar per token: 0.10 and 0.40 dollars per million.
const INPUT_NANOS: i64 = 100;
const OUTPUT_NANOS: i64 = 400;

/// The price of so many tokens.
pub(crate) fn cost(input: i64, output: i64) -> i64 {
    input.saturating_mul(INPUT_NANOS).saturating_add(output.saturating_mul(OUTPUT_NANOS))
}

/// A rule of thumb for text in European languages.
const BYTES_PER_TOKEN: usize = 4;

/// Writes usage rows, also for callers that have gone away.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    store: Store,
    clock: Clock,
    counters: Counters,
    writes: TaskTracker,
    runtime: Handle,
}

impl Recorder {
    /// Must be called within a tokio runtime.
    pub(crate) fn new(store: Store, clock: Clock, counters: Counters) -> Self {
        Self { store, clock, counters, writes: TaskTracker::new(), runtime: Handle::current() }
    }

    /// Waits until every row that was begun is written.
    pub(crate) async fn finish(&self) {
        self.writes.close();
        self.writes.wait().await;
    }

    /// Gives back what a chat that never ran had reserved.
    pub(crate) fn release(&self, request_id: String) {
        let store = self.store.clone();
        let release = move || {
            if let Err(error) = store.blocking(|db| ledger::release(db, &request_id)) {
                tracing::error!(error = format!("{error:#}"), "a reservation could not be given back");
            }
        };
        self.writes.spawn_blocking_on(release, &self.runtime);
    }

    /// Starts the write at once: a caller that stops waiting does not stop it.
    fn record(&self, row: UsageRow, turn: Option<Turn>) -> JoinHandle<()> {
        let Self { store, counters, .. } = self.clone();
        let write = move || {
            let written = store.blocking(|db| {
                ledger::settle(db, &row)?;
                turn.as_ref().map_or(Ok(()), |turn| threads::append(db, turn, row.created_at))
            });
            match written {
                Ok(()) => {
                    counters.add(&format!("chat.{}", row.outcome));
                    tracing::info!(
                        trace_id = row.request_id,
                        user = row.user_id,
                        session = row.session_id,
                        model = row.model,
                        input_tokens = row.input_tokens,
                        output_tokens = row.output_tokens,
                        "chat {}",
                        row.outcome
                    );
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), ?row, "a usage row could not be written"),
            }
        };
        self.writes.spawn_blocking_on(write, &self.runtime)
    }
}

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
    /// The prompt's length in bytes, for an estimate.
    pub(crate) prompt_bytes: usize,
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
    deltas: usize,
    answer_bytes: usize,
    finish: Option<Outcome>,
    failed: bool,
    /// The most pieces the answer may have.
    most: Option<usize>,
    /// Kept only for a thread.
    answer: Answer,
}

impl Meter {
    pub(crate) fn new(chat: Chat, recorder: Recorder) -> Self {
        Self {
            chat: Some(chat),
            recorder,
            counted: None,
            deltas: 0,
            answer_bytes: 0,
            finish: None,
            failed: false,
            most: None,
            answer: Answer::default(),
        }
    }

    /// Bounds the answer's pieces, each of which is a token at least.
    pub(crate) fn limit(&mut self, most: Option<usize>) {
        self.most = most;
    }

    /// The answer is longer than what was reserved for it: the upstream does not keep to `max_tokens`.
    pub(crate) fn is_over(&self) -> bool {
        self.most.is_some_and(|most| self.deltas > most)
    }

    /// Looks at a completion or at one chunk of it.
    pub(crate) fn see(&mut self, json: &Value) {
        self.failed |= json.get("error").is_some_and(|error| !error.is_null());
        if let (Some(chat), Some(model)) = (&mut self.chat, json.get("model").and_then(Value::as_str))
            && !model.is_empty()
        {
            model.clone_into(&mut chat.model);
        }
        if let Some(usage) = json.get("usage") {
            let figure = |name: &str| usage.get(name).and_then(Value::as_i64).filter(|tokens| *tokens >= 0);
            self.counted = figure("prompt_tokens").zip(figure("completion_tokens")).or(self.counted);
        }
        for choice in json.get("choices").and_then(Value::as_array).into_iter().flatten() {
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.finish = Some(Outcome::of(reason));
            }
            let said = choice.get("delta").or_else(|| choice.get("message"));
            if let (Some(said), Some(Chat { turn: Some(_), .. })) = (said, &self.chat) {
                self.answer.add(choice, said);
            }
            let bytes = said.map(answer_bytes).unwrap_or_default();
            self.answer_bytes += bytes;
            self.deltas += usize::from(bytes > 0);
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
        let (source, (input, output)) = match self.counted {
            Some(counted) => ("counted", counted),
            None => {
                // Most upstreams send a token per chunk; those that send more are caught by the length.
                let output = self.deltas.max(self.answer_bytes.div_ceil(BYTES_PER_TOKEN));
                ("estimated", (tokens(chat.prompt_bytes.div_ceil(BYTES_PER_TOKEN)), tokens(output)))
            }
        };
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
            created_at: self.recorder.clock.now_ms(),
        };
        Some(self.recorder.record(row, turn))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        drop(self.write(Outcome::Aborted));
    }
}

fn tokens(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The length of what a message or delta adds to the answer: text, reasoning, tool calls.
fn answer_bytes(said: &Value) -> usize {
    let text = |name: &str| said.get(name).and_then(Value::as_str).map_or(0, str::len);
    let calls = said.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let calls = calls.filter_map(|call| call.get("function")?.get("arguments")?.as_str().map(str::len));
    text("content") + text("reasoning_content") + text("refusal") + calls.sum::<usize>()
}
