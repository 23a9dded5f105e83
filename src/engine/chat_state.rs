//! One conversation as a page shows it: its messages, and what is being done about them. As the engine, it is told what
//! happened and does nothing by itself.

use std::sync::Arc;

use super::stream::Outcome;
use super::tool_rounds::{STOPPED, Sent};
use super::tools::ToolCall;
use crate::json::Json;
use crate::{Error, Reason};

/// What a conversation is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChatStatus {
    /// Waits for a question.
    #[default]
    Ready,
    /// Has asked; nothing has come yet.
    Submitted,
    /// The answer is coming.
    Streaming,
    /// The last answer failed; [`ChatState::error`] says why. Asking goes on from here.
    Error,
}

impl ChatStatus {
    /// The stable name used in TypeScript.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Submitted => "submitted",
            Self::Streaming => "streaming",
            Self::Error => "error",
        }
    }
}

/// A message as a page shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChatMessage {
    /// Stays the same as the text grows, and is never used twice in one conversation: a key for lists.
    pub id: u64,
    /// `user`, `assistant`, or what else a thread holds.
    pub role: String,
    /// The text so far.
    pub text: String,
    /// Calls that the model asks for, as far as they have come.
    pub tool_calls: Vec<ToolCall>,
    /// Of what a tool gave: the [id](ToolCall::id) of the call that it answers.
    pub tool_call_id: Option<String>,
    /// Of answers: how they ended; `None` while they come, and for those of a thread.
    pub outcome: Option<Outcome>,
    /// The gateway's thread holds it.
    stored: bool,
}

/// A conversation at one moment. Cheap to clone: the messages are shared.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ChatState {
    /// Oldest first.
    pub messages: Vec<Arc<ChatMessage>>,
    /// What is being done.
    pub status: ChatStatus,
    /// How the last answer ended; `None` before the first one and while one comes.
    pub outcome: Option<Outcome>,
    /// Why the last answer, or the reading of a thread, failed.
    pub error: Option<Error>,
    /// The thread's messages are being fetched.
    pub loading: bool,
    /// The thread that the gateway stores the conversation under.
    pub thread_id: Option<String>,
    last_id: u64,
    turn: u64,
    /// The answer that is coming.
    answer: Option<u64>,
}

impl ChatState {
    /// An answer is under way, or a thread is being fetched.
    pub fn is_busy(&self) -> bool {
        self.loading || matches!(self.status, ChatStatus::Submitted | ChatStatus::Streaming)
    }

    /// The number of what is under way. What is told of an earlier one is of no account.
    pub(crate) fn turn(&self) -> u64 {
        self.turn
    }

    /// A question. `false`: there is none, or an answer is under way.
    pub(crate) fn ask(&mut self, text: &str) -> bool {
        let text = text.trim_ascii();
        if self.is_busy() || text.is_empty() {
            return false;
        }
        self.push("user", text.to_owned());
        self.begin()
    }

    /// The last question again, in place of its answer.
    pub(crate) fn regenerate(&mut self) -> bool {
        let question = self.messages.iter().rev().find(|message| message.role == "user");
        match question.map(|question| (question.id, question.text.clone())) {
            Some((id, text)) => self.edit(id, &text),
            None => false,
        }
    }

    /// Another text in place of a question's; what followed it goes.
    pub(crate) fn edit(&mut self, id: u64, text: &str) -> bool {
        let text = text.trim_ascii();
        let is_question = |message: &Arc<ChatMessage>| message.id == id && message.role == "user";
        let may_ask = !self.is_busy() && !text.is_empty();
        let Some(place) = self.messages.iter().position(is_question).filter(|_| may_ask) else { return false };
        self.messages.truncate(place + 1);
        let question = Arc::make_mut(&mut self.messages[place]);
        question.text = text.to_owned();
        question.stored = false;
        self.begin()
    }

    fn begin(&mut self) -> bool {
        self.turn += 1;
        (self.status, self.outcome, self.error) = (ChatStatus::Submitted, None, None);
        true
    }

    /// More of the answer.
    pub(crate) fn add<'a>(&mut self, text: &str, tool_calls: impl Iterator<Item = &'a ToolCall>) {
        let tool_calls: Vec<_> = tool_calls.cloned().collect();
        if text.is_empty() && tool_calls.is_empty() {
            return;
        }
        if self.answer.is_none() {
            self.answer = Some(self.push("assistant", String::new()));
        }
        self.status = ChatStatus::Streaming;
        if let Some(answer) = self.answer() {
            answer.text.push_str(text);
            answer.tool_calls = tool_calls;
        }
    }

    /// The answer calls tools; the turn goes on.
    pub(crate) fn calls_tools(&mut self, outcome: Outcome) {
        if let Some(answer) = self.answer() {
            answer.outcome = Some(outcome);
        }
        self.answer = None;
    }

    /// What the tools gave, by the ids of their calls. The model is asked again.
    pub(crate) fn tools_gave(&mut self, answers: Vec<(String, String)>) {
        for (call, text) in answers {
            self.push("tool", text);
            if let Some(message) = self.messages.last_mut() {
                Arc::make_mut(message).tool_call_id = Some(call);
            }
        }
        self.status = ChatStatus::Submitted;
    }

    /// The turn is over.
    pub(crate) fn end(&mut self, outcome: Outcome, error: Option<Error>) {
        self.calls_tools(outcome);
        self.turn += 1;
        self.status = if error.is_some() { ChatStatus::Error } else { ChatStatus::Ready };
        if error.is_none() && outcome != Outcome::Aborted {
            self.messages.iter_mut().filter(|message| !message.stored).for_each(|message| {
                Arc::make_mut(message).stored = true;
            });
        }
        (self.outcome, self.error) = (Some(outcome), error);
    }

    /// Nobody wants the answer any more. `false`: none is under way.
    pub(crate) fn stop(&mut self) -> bool {
        let is_asking = matches!(self.status, ChatStatus::Submitted | ChatStatus::Streaming);
        if is_asking {
            self.end(Outcome::Aborted, None);
        }
        is_asking
    }

    /// Begins anew, without a thread.
    pub(crate) fn clear(&mut self) {
        // Ids and turns go on: what is still told of what was before must not be taken for what comes now.
        *self = Self { last_id: self.last_id, turn: self.turn + 1, ..Self::default() };
    }

    /// Goes over to a thread whose messages are fetched.
    pub(crate) fn load(&mut self, thread_id: String) {
        self.clear();
        (self.thread_id, self.loading) = (Some(thread_id), true);
    }

    /// What the gateway says of the thread: its messages. One that it does not know yet is empty.
    pub(crate) fn loaded(&mut self, reply: Result<&str, Error>) {
        self.loading = false;
        self.turn += 1;
        let messages = match reply {
            Ok(json) => thread_messages(json),
            Err(error) if error.status() == Some(404) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        match messages {
            Ok(messages) => {
                for (role, text) in messages {
                    self.push(&role, text);
                }
                self.messages.iter_mut().for_each(|message| Arc::make_mut(message).stored = true);
            }
            Err(error) => (self.status, self.error) = (ChatStatus::Error, Some(error)),
        }
    }

    /// What the model is to be sent: everything, or in a thread what the gateway does not have.
    pub(crate) fn unsent(&self) -> Vec<Sent<'_>> {
        let in_thread = self.thread_id.is_some();
        let mut unsent = Vec::new();
        for message in self.messages.iter().filter(|message| !(in_thread && message.stored)) {
            let (role, text, calls) = (&*message.role, &*message.text, &*message.tool_calls);
            if let Some(call) = &message.tool_call_id {
                unsent.push(Sent::Answered { call, text });
            } else if !calls.is_empty() {
                unsent.push(Sent::Called { text, calls });
                let open = calls.iter().filter(|call| !self.is_answered(message.id, &call.id));
                unsent.extend(open.map(|call| Sent::Answered { call: &call.id, text: STOPPED }));
            } else if !text.is_empty() {
                unsent.push(Sent::Said { role, text });
            }
        }
        unsent
    }

    /// Is the call of this message answered in what follows? Some servers have the same ids in each of their answers.
    fn is_answered(&self, caller: u64, call: &str) -> bool {
        let is_answer = |message: &ChatMessage| message.tool_call_id.as_deref() == Some(call);
        let mut later = self.messages.iter().filter(|message| message.id > caller);
        later
            .find(|message| is_answer(message) || message.tool_calls.iter().any(|made| made.id == call))
            .is_some_and(|next| is_answer(next))
    }

    fn push(&mut self, role: &str, text: String) -> u64 {
        self.last_id += 1;
        let (id, role) = (self.last_id, role.to_owned());
        let (tool_calls, tool_call_id) = (Vec::new(), None);
        let message = ChatMessage { id, role, text, tool_calls, tool_call_id, outcome: None, stored: false };
        self.messages.push(Arc::new(message));
        id
    }

    fn answer(&mut self) -> Option<&mut ChatMessage> {
        let answer = self.messages.last_mut().filter(|message| Some(message.id) == self.answer)?;
        Some(Arc::make_mut(answer))
    }
}

/// Role and text of a thread's messages, in either shape that gateways have.
fn thread_messages(json: &str) -> Result<Vec<(String, String)>, Error> {
    let reply = Json::parse(json);
    let list = reply.and_then(|reply| {
        let named = || reply.field("messages").or_else(|| reply.field("data"));
        Some(reply).filter(|reply| reply.is_array()).or_else(named).filter(|list| list.is_array())
    });
    let Some(list) = list else {
        return Err(Error::new(Reason::InvalidResponse, "the thread's messages are not a list"));
    };
    let text = |content: Json<'_>| match content.text() {
        Some(text) => text,
        None => content.items().into_iter().filter_map(|part| part.field("text")?.text()).collect(),
    };
    let message = |message: Json<'_>| {
        let role = message.field("role")?.text()?;
        Some((role, message.field("content").map(text).unwrap_or_default()))
    };
    Ok(list.items().into_iter().filter_map(message).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(state: &ChatState) -> Vec<(&str, &str)> {
        state.messages.iter().map(|message| (&*message.role, &*message.text)).collect()
    }

    fn sent(state: &ChatState) -> Vec<&str> {
        let text = |sent| match sent {
            Sent::Said { text, .. } | Sent::Called { text, .. } | Sent::Answered { text, .. } => text,
        };
        state.unsent().into_iter().map(text).collect()
    }

    fn answered(state: &mut ChatState, question: &str, answer: &str) {
        assert!(state.ask(question));
        state.add(answer, [].into_iter());
        state.end(Outcome::Complete, None);
    }

    #[test]
    fn a_turn_goes_from_the_question_to_the_end_of_its_answer() {
        let mut state = ChatState::default();
        assert!(!state.ask("  "));
        assert!(state.ask(" Hi! "));
        assert_eq!((state.status, state.turn()), (ChatStatus::Submitted, 1));
        assert!(!state.ask("Again?") && !state.regenerate() && !state.edit(1, "x"), "one turn at a time");
        state.add("", [].into_iter());
        assert_eq!(state.status, ChatStatus::Submitted);
        state.add("Hel", [].into_iter());
        state.add("lo", [].into_iter());
        assert_eq!(
            (state.status, texts(&state)),
            (ChatStatus::Streaming, vec![("user", "Hi!"), ("assistant", "Hello")])
        );
        state.end(Outcome::Length, None);
        assert_eq!((state.status, state.outcome), (ChatStatus::Ready, Some(Outcome::Length)));
        assert_eq!(state.messages[1].outcome, Some(Outcome::Length));
        assert!(!state.stop());
    }

    #[test]
    fn what_came_before_a_stop_or_a_failure_stays() {
        let mut state = ChatState::default();
        state.ask("Hi!");
        state.add("Hel", [].into_iter());
        assert!(state.stop());
        assert_eq!((state.outcome, state.messages[1].outcome), (Some(Outcome::Aborted), Some(Outcome::Aborted)));
        state.ask("Go on");
        state.end(Outcome::Failed, Some(Error::new(Reason::Network, "no answer")));
        assert_eq!((state.status, state.messages.len()), (ChatStatus::Error, 3));
        assert!(state.regenerate());
        assert_eq!((state.error.as_ref(), sent(&state)), (None, vec!["Hi!", "Hel", "Go on"]));
    }

    #[test]
    fn asking_anew_drops_what_followed() {
        let mut state = ChatState::default();
        answered(&mut state, "one", "1");
        answered(&mut state, "two", "2");
        let keys: Vec<_> = state.messages.iter().map(|message| message.id).collect();
        assert!(!state.edit(keys[1], "an answer is no question"));
        assert!(!state.edit(keys[0], " \n"), "no question at all");
        assert!(state.edit(keys[0], "uno"));
        assert_eq!(texts(&state), [("user", "uno")]);
        state.add("I", [].into_iter());
        assert!(state.messages[1].id > keys[3], "no key is used twice");
    }

    #[test]
    fn a_thread_is_sent_only_what_it_does_not_hold() {
        let mut state = ChatState::default();
        state.load("t".to_owned());
        assert!(state.loading && !state.ask("too early"));
        let parts = r#"{"data":[{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"}]},{"role":"assistant","content":"c"},null,7]}"#;
        state.loaded(Ok(parts));
        assert_eq!(texts(&state), [("user", "ab"), ("assistant", "c")]);
        answered(&mut state, "two", "2");
        assert!(state.ask("three"));
        assert_eq!(sent(&state), ["three"]);
        state.stop();
        assert!(state.ask("four"));
        assert_eq!(sent(&state), ["three", "four"], "what was stopped may not have arrived");
        state.clear();
        assert_eq!((state.messages.len(), state.thread_id.as_ref(), state.status), (0, None, ChatStatus::Ready));
    }

    #[test]
    fn every_call_of_a_tool_has_an_answer_when_the_model_is_asked_again() {
        let call = |id: &str| ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
        let calls = [call("1"), call("2")];
        let mut state = ChatState::default();
        state.load("t".to_owned());
        state.loaded(Ok("[]"));
        state.ask("Hi!");
        let turn = state.turn();
        state.add("", calls.iter());
        state.calls_tools(Outcome::ToolCalls);
        state.tools_gave(vec![("1".to_owned(), "one".to_owned()), ("2".to_owned(), "two".to_owned())]);
        assert_eq!((state.status, state.turn()), (ChatStatus::Submitted, turn), "one turn, whatever tools it calls");
        let question = || Sent::Said { role: "user", text: "Hi!" };
        let answered = |call, text| Sent::Answered { call, text };
        let called = || Sent::Called { text: "", calls: &calls };
        // In a thread, too: the gateway stores a turn when it is over.
        assert_eq!(state.unsent(), [question(), called(), answered("1", "one"), answered("2", "two")]);
        state.add("Done", [].into_iter());
        state.end(Outcome::Complete, None);
        assert_eq!(texts(&state).last(), Some(&("assistant", "Done")));
        assert_eq!(state.unsent(), []);

        let mut state = ChatState::default();
        state.ask("Hi!");
        state.add("", calls.iter());
        state.calls_tools(Outcome::ToolCalls);
        assert!(state.stop());
        state.ask("Go on");
        let [first, second, one, two, _] = &state.unsent()[..] else { panic!("{:?}", state.unsent()) };
        assert_eq!((first, second), (&question(), &called()));
        assert_eq!((one, two), (&answered("1", STOPPED), &answered("2", STOPPED)));

        // With the ids of an answer before.
        state.add("", calls.iter());
        state.calls_tools(Outcome::ToolCalls);
        state.tools_gave(vec![("1".to_owned(), "one".to_owned()), ("2".to_owned(), "two".to_owned())]);
        let given = |state: &ChatState| -> Vec<String> {
            let answer = |sent| match sent {
                Sent::Answered { call, text } => Some([call, " ", text].concat()),
                Sent::Said { .. } | Sent::Called { .. } => None,
            };
            state.unsent().into_iter().filter_map(answer).collect()
        };
        let stopped = ["1", "2"].map(|call| [call, " ", STOPPED].concat());
        assert_eq!(given(&state), [&stopped[..], &["1 one", "2 two"].map(str::to_owned)].concat());
        state.add("", calls.iter());
        state.calls_tools(Outcome::ToolCalls);
        assert!(state.stop());
        assert_eq!(given(&state).len(), 6);
        assert_eq!(given(&state)[4..], stopped);
    }

    #[test]
    fn a_thread_that_cannot_be_read_says_why() {
        let not_found = Error::new(Reason::NotFound, "no such thread").with_status(404);
        let refused = Error::new(Reason::Forbidden, "no").with_status(403);
        for (reply, reason) in [
            (Err(not_found), None),
            (Err(refused), Some(Reason::Forbidden)),
            (Ok("{}"), Some(Reason::InvalidResponse)),
            (Ok("[]"), None),
        ] {
            let mut state = ChatState::default();
            state.load("t".to_owned());
            state.loaded(reply);
            assert_eq!(state.error.map(|error| error.reason()), reason);
            assert!(!state.loading);
        }
    }
}
