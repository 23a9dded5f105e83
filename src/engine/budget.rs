//! A conversation's own limit on what it spends. It is kept by this client alone: a page that is reloaded, or
//! another one, begins anew. The gateway's limits are the gateway's.

use crate::json::Json;
use crate::text::digits;
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
pub(crate) struct Meter {
    budget: Budget,
    prompt: f64,
    completion: f64,
}

/// Without figures from the gateway, four bytes of text count as a token.
const BYTES_PER_TOKEN: f64 = 4.0;

/// What one call spends: the gateway's figures, or the size of its texts if none came.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) request: usize,
    pub(crate) answer: usize,
    /// The gateway's `usage`.
    pub(crate) usage: Option<String>,
}

impl Meter {
    pub(crate) fn new(budget: Budget) -> Self {
        Self { budget, prompt: 0.0, completion: 0.0 }
    }

    /// Refuses a call that would begin over the budget.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let used = self.prompt + self.completion;
        let cost_spent = |cost: Cost| {
            let millions = self.prompt * cost.prompt_price + self.completion * cost.completion_price;
            millions / 1e6 >= cost.limit
        };
        if self.budget.tokens.is_some_and(|limit| used >= limit as f64) || self.budget.cost.is_some_and(cost_spent) {
            let message = ["this conversation has used ", &digits(used as u64), " tokens"].concat();
            return Err(Error::new(Reason::BudgetExhausted, message));
        }
        Ok(())
    }

    /// A call is over, however it ended.
    pub(crate) fn count(&mut self, spent: &Spent) {
        let usage = spent.usage.as_deref().and_then(Json::parse);
        let stated = |name: &str| Some(usage?.field(name)?.number()?.max(0.0));
        self.prompt += stated("prompt_tokens").unwrap_or(spent.request as f64 / BYTES_PER_TOKEN);
        self.completion += stated("completion_tokens").unwrap_or(spent.answer as f64 / BYTES_PER_TOKEN);
    }
}
