//! A conversation's own limit on what it spends. It is kept by this client alone: a page that is reloaded, or
//! another one, begins anew. The gateway's limits are the gateway's.

use std::sync::{Arc, Mutex, PoisonError};

use crate::parse::Json;
use crate::{Error, Reason};

/// What a conversation may spend. Once it is spent, calls are refused before they are sent; a call under way is not cut.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Prompt and completion tokens together.
    pub tokens: Option<u64>,
    /// A cost, in the currency of the prices.
    pub cost: Option<Cost>,
}

/// A limit on cost, and the prices to count it by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The most that may be spent.
    pub limit: f64,
    /// Per million prompt tokens.
    pub prompt_price: f64,
    /// Per million completion tokens.
    pub completion_price: f64,
}

/// What has been spent of a budget.
#[derive(Debug)]
pub(crate) struct Meter {
    budget: Budget,
    spent: Mutex<Spent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    prompt: u64,
    completion: u64,
}

/// Without figures from the gateway, four bytes of text count as a token.
const BYTES_PER_TOKEN: usize = 4;

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, spent: Mutex::default() }
    }

    /// Refuses a call that would begin over the budget.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Spent { prompt, completion } = *self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let cost_spent = |cost: Cost| {
            let millions = prompt as f64 * cost.prompt_price + completion as f64 * cost.completion_price;
            millions / 1e6 >= cost.limit
        };
        if self.budget.tokens.is_some_and(|limit| prompt + completion >= limit)
            || self.budget.cost.is_some_and(cost_spent)
        {
            let used = prompt + completion;
            return Err(Error::new(Reason::BudgetExhausted, format!("this conversation has used {used} tokens")));
        }
        Ok(())
    }

    fn count(&self, usage: Option<&Json>, request: usize, answer: usize) {
        let stated = |name: &str| usage?.find(&[name])?.number().map(|tokens| tokens.max(0.0) as u64);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.prompt += stated("prompt_tokens").unwrap_or((request / BYTES_PER_TOKEN) as u64);
        spent.completion += stated("completion_tokens").unwrap_or((answer / BYTES_PER_TOKEN) as u64);
    }
}

/// What one call spends. It is counted when the call is over, however it ends: by the gateway's figures,
/// or by the size of its texts if none came.
pub(crate) struct Tab {
    meter: Arc<Meter>,
    request: usize,
    pub(crate) answer: usize,
    pub(crate) usage: Option<Json>,
}

impl Tab {
    pub(crate) fn new(meter: Arc<Meter>, request: usize) -> Self {
        Self { meter, request, answer: 0, usage: None }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.meter.count(self.usage.as_ref(), self.request, self.answer);
    }
}
