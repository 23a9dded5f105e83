//! When the tools that a model calls are run, and what the model is told of them.

use std::fmt::Write as _;

use super::stream::Outcome;
use super::tools::ToolCall;
use crate::json::quote;
use crate::{Error, Reason};

/// How often a model may call tools in one turn, unless the application says otherwise.
pub(crate) const MOST_ROUNDS: u32 = 8;

/// What follows an answer.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// The turn is over.
    End,
    /// The calls are answered, and the model is asked again.
    RunTools,
    /// It calls tools for ever.
    Fail(Error),
}

/// What follows the answer of this round; the first one is 1.
pub(crate) fn next(outcome: Outcome, calls: usize, round: u32, most: u32) -> Next {
    match () {
        () if calls == 0 || outcome == Outcome::Aborted => Next::End,
        () if round < most => Next::RunTools,
        () => {
            let mut message = "the model called tools ".to_owned();
            let _ = write!(message, "{round} times without an answer (`max_rounds`)");
            Next::Fail(Error::new(Reason::BudgetExhausted, message))
        }
    }
}

/// What a model is told of a call that went wrong, or that nobody knows a tool for.
pub(crate) fn told_error(what: &str) -> String {
    let mut json = r#"{"error":"#.to_owned();
    quote(what, &mut json);
    json.push('}');
    json
}

/// What a message of the conversation is to the model.
#[derive(Debug, PartialEq)]
pub(crate) enum Sent<'a> {
    Said { role: &'a str, text: &'a str },
    Called { text: &'a str, calls: &'a [ToolCall] },
    Answered { call: &'a str, text: &'a str },
}

/// The text of a call that was stopped before it had an answer: a model refuses to go on without one.
pub(crate) const STOPPED: &str = r#"{"error":"it was stopped"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_run_until_the_model_is_done_or_has_called_too_often() {
        assert_eq!(next(Outcome::Complete, 0, 1, 8), Next::End);
        assert_eq!(next(Outcome::Aborted, 1, 1, 8), Next::End);
        assert_eq!(next(Outcome::ToolCalls, 2, 7, 8), Next::RunTools);
        // Some servers say that they stopped, and call tools all the same.
        assert_eq!(next(Outcome::Complete, 1, 1, 2), Next::RunTools);
        let Next::Fail(error) = next(Outcome::ToolCalls, 1, 8, 8) else { panic!("it goes on for ever") };
        assert_eq!(error.reason(), Reason::BudgetExhausted);
        assert!(error.message().contains("8 times"), "{error}");
    }

    #[test]
    fn what_a_model_is_told_is_json() {
        assert_eq!(told_error("no \"x\"\n"), r#"{"error":"no \"x\"\n"}"#);
    }
}
