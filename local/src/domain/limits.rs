//! What users may spend: budgets, and the limits of tiers.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

/// Billionths of a US dollar in one.
const NANOS: f64 = 1e9;

/// Prices of this gateway in billionths of a US dollar per token: 0.10 and 0.40 dollars per million.
const INPUT_NANOS: i64 = 100;
const OUTPUT_NANOS: i64 = 400;

/// No chat uses more than this, whatever its caller asks for or its upstream says: sums of it stay far below overflow.
pub(crate) const MOST_TOKENS: i64 = 10_000_000_000;

/// The price of so many tokens.
pub(crate) fn cost(input: i64, output: i64) -> i64 {
    input.saturating_mul(INPUT_NANOS).saturating_add(output.saturating_mul(OUTPUT_NANOS))
}

/// Tokens, and their cost in billionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) tokens: i64,
    pub(crate) cost_nanos: i64,
}

impl Amount {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            cost_nanos: self.cost_nanos.saturating_add(other.cost_nanos),
        }
    }
}

/// Whose spending a budget bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All users together.
    Project,
    /// Each user, or one.
    User,
    /// Each session of each user, or one.
    Session,
}

impl Scope {
    pub(crate) const ALL: [Self; 3] = [Self::Session, Self::User, Self::Project];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::User => "user",
            Self::Session => "session",
        }
    }
}

impl FromStr for Scope {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.name() == text)
            .ok_or_else(|| anyhow!("{text:?} is not a scope: write project, user or session"))
    }
}

/// The size of a budget. Whichever bound is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens of prompts and answers together.
    pub tokens: Option<i64>,
    /// Billionths of a US dollar.
    pub cost_nanos: Option<i64>,
}

impl Allowance {
    /// The most tokens that each of `answers` answers to the prompt may have, once this much is used. Below one, there is
    /// no room for the request.
    pub(crate) fn room(self, used: Amount, prompt: i64, answers: i64) -> i64 {
        let answers = answers.max(1);
        let left = |limit: i64, used: i64, prompt: i64| limit.saturating_sub(used).saturating_sub(prompt);
        let by_tokens = self.tokens.map(|limit| left(limit, used.tokens, prompt) / answers);
        let by_cost = self
            .cost_nanos
            .map(|limit| left(limit, used.cost_nanos, cost(prompt, 0)) / answers.saturating_mul(OUTPUT_NANOS));
        by_tokens.into_iter().chain(by_cost).min().unwrap_or(MOST_TOKENS)
    }
}

/// `20000` (tokens) or `0.50usd`.
impl FromStr for Allowance {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let dollars = text.strip_prefix('$').or_else(|| text.strip_suffix("usd")).or_else(|| text.strip_suffix("USD"));
        let help = || format!("{text:?} is not an amount: write tokens as in 20000, or US dollars as in 0.50usd");
        if let Some(dollars) = dollars {
            let dollars: f64 = dollars.trim().parse().with_context(help)?;
            ensure!((0.0..=1e9).contains(&dollars), help());
            return Ok(Self { tokens: None, cost_nanos: Some((dollars * NANOS).round() as i64) });
        }
        let tokens: i64 = text.parse().with_context(help)?;
        ensure!(tokens >= 0, help());
        Ok(Self { tokens: Some(tokens), cost_nanos: None })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.tokens, self.cost_nanos) {
            (Some(tokens), Some(nanos)) => write!(f, "{tokens} tokens or {} US dollars", nanos as f64 / NANOS),
            (Some(tokens), None) => write!(f, "{tokens} tokens"),
            (None, Some(nanos)) => write!(f, "{} US dollars", nanos as f64 / NANOS),
            (None, None) => f.write_str("no limit"),
        }
    }
}

/// A budget as it is set: `SCOPE[:SUBJECT]=AMOUNT`, such as `session=20000` or `user:ada=0.50usd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    /// Whose spending.
    pub scope: Scope,
    /// One user or session by id; empty for each of them.
    pub subject: String,
    /// How much.
    pub allowance: Allowance,
}

impl FromStr for BudgetRule {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (who, amount) =
            text.rsplit_once('=').with_context(|| format!("{text:?} is not a budget: write session=20000"))?;
        let (scope, subject) = who.split_once(':').unwrap_or((who, ""));
        let scope: Scope = scope.trim().parse()?;
        if scope == Scope::Project && !subject.is_empty() {
            bail!("the project's budget has no subject: write project={amount}");
        }
        Ok(Self { scope, subject: subject.trim().to_owned(), allowance: amount.parse()? })
    }
}

/// The documented limits of a tier, for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) name: &'static str,
    pub(crate) requests_per_minute: usize,
    pub(crate) requests_per_day: i64,
    pub(crate) tokens_per_day: i64,
}

impl Tier {
    pub(crate) const fn of(tier: Option<u64>) -> Self {
        let (name, requests_per_minute, requests_per_day, tokens_per_day) = match tier {
            None | Some(0 | 1) => ("free", 10, 100, 50_000),
            Some(2) => ("pro", 60, 10_000, 2_000_000),
            Some(_) => ("max", 300, 100_000, 20_000_000),
        };
        Self { name, requests_per_minute, requests_per_day, tokens_per_day }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_wrong_ones_explained() {
        let rule = |text: &str| text.parse::<BudgetRule>().map_err(|why| format!("{why:#}"));
        let tokens = |tokens| Allowance { tokens: Some(tokens), cost_nanos: None };
        assert_eq!(
            rule("session=20000"),
            Ok(BudgetRule { scope: Scope::Session, subject: String::new(), allowance: tokens(20_000) })
        );
        let dollars = Allowance { tokens: None, cost_nanos: Some(500_000_000) };
        for text in ["user:a=b=0.50usd", "user:a=b=$0.5"] {
            let expected = BudgetRule { scope: Scope::User, subject: "a=b".into(), allowance: dollars };
            assert_eq!(rule(text), Ok(expected));
        }
        for (bad, why) in [
            ("session", "write session=20000"),
            ("team=1", "project, user or session"),
            ("project:x=1", "has no subject"),
            ("session=-1", "is not an amount"),
            ("session=1.5", "is not an amount"),
            ("session=NaNusd", "is not an amount"),
        ] {
            assert!(rule(bad).unwrap_err().contains(why), "{bad}");
        }
    }

    #[test]
    fn the_tighter_bound_leaves_the_room() {
        let both = Allowance { tokens: Some(100), cost_nanos: Some(20_000) };
        let used = |tokens, cost_nanos| Amount { tokens, cost_nanos };
        assert_eq!(both.room(used(0, 0), 10, 1), 47, "190 hundredths of the cost at 4 each");
        assert_eq!(both.room(used(80, 0), 10, 1), 10);
        assert_eq!(both.room(used(80, 0), 10, 3), 3, "each of three answers");
        assert!(both.room(used(90, 0), 10, 1) < 1 && both.room(used(0, 19_000), 10, 1) < 1);
        assert!(both.room(used(i64::MAX, i64::MAX), i64::MAX, i64::MAX) < 1, "nothing overflows");
    }
}
