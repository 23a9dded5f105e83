//! Faults on demand: answers that refuse, dawdle, break off, fall silent, or come in pieces of a given size.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use http::StatusCode;

/// What goes wrong with an answer. Every part is optional; they work together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) delay: Option<Duration>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<u64>,
    /// Bytes after which the connection breaks.
    pub(crate) cut: Option<usize>,
    /// Bytes after which nothing more comes.
    pub(crate) stall: Option<usize>,
    /// Size of the pieces.
    pub(crate) chunks: Option<usize>,
}

/// A fault of every answer at some paths, until it is used up.
///
/// Written as `WHERE EFFECT… [times=N]`. WHERE is `chat`, `mint`, `threads`, `usage`, `models`, `function`, `auth`, `rest`
/// or the beginning of a path. Effects: `delay=MS`, `status=CODE` (with `retry-after=SECS`), `cut=BYTES`, `stall=BYTES`,
/// `chunks=BYTES`. For example `chat status=503 times=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    place: String,
    pub(crate) effect: Effect,
    /// How often it still happens; for ever if `None`.
    pub(crate) times: Option<u32>,
    /// How it was written, but for the times.
    pub(crate) text: String,
}

const PLACES: [(&str, &str); 8] = [
    ("chat", "/v1/chat/completions"),
    ("mint", "/v1/auth/mint"),
    ("threads", "/v1/threads"),
    ("usage", "/v1/usage"),
    ("models", "/v1/models"),
    ("function", "/functions/v1/"),
    ("auth", "/auth/v1/"),
    ("rest", "/rest/v1/"),
];

impl Effect {
    /// The effect that the words name, and how often it happens.
    pub(crate) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<(Self, Option<u32>)> {
        let mut effect = Self::default();
        let mut times = None;
        for word in words {
            let (name, value) = word.split_once('=').with_context(|| format!("{word:?} is not NAME=NUMBER"))?;
            let number: u32 = value.parse().with_context(|| format!("{word:?} is not NAME=NUMBER"))?;
            let size = || usize::try_from(number).context("too large");
            match name {
                "delay" => effect.delay = Some(Duration::from_millis(number.into())),
                "status" => {
                    let status = u16::try_from(number).ok().filter(|status| (200..600).contains(status));
                    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                    effect.status = Some(status.with_context(|| format!("{number} is not a status"))?);
                }
                "retry-after" => effect.retry_after = Some(number.into()),
                "cut" => effect.cut = Some(size()?),
                "stall" => effect.stall = Some(size()?),
                "chunks" => {
                    ensure!(number > 0, "chunks must have at least one byte");
                    effect.chunks = Some(size()?);
                }
                "times" => times = Some(number),
                other => {
                    bail!("there is no fault {other:?}: use delay, status, retry-after, cut, stall, chunks and times")
                }
            }
        }
        ensure!(effect != Self::default(), "no fault is named: use delay, status, cut, stall or chunks");
        Ok((effect, times))
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let place = words.next().context("a fault needs a place, as in: chat status=503")?;
        let path = match PLACES.iter().find(|(name, _)| *name == place) {
            Some((_, path)) => (*path).to_owned(),
            None if place.starts_with('/') => place.to_owned(),
            None => bail!("{place:?} is not a place: use {} or a path", PLACES.map(|(name, _)| name).join(", ")),
        };
        // In one text: the command line shows an error without its causes.
        let (effect, times) = Effect::parse(words).map_err(|why| anyhow!("the fault {text:?}: {why:#}"))?;
        let text = text.split_whitespace().filter(|word| !word.starts_with("times=")).collect::<Vec<_>>().join(" ");
        Ok(Self { place: path, effect, times, text })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            Some(times) => write!(f, "{} times={times}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// The faults that are set. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self(Arc::new(Mutex::new(faults)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds faults that were kept, unless they are set already.
    pub(crate) fn restore(&self, kept: impl Iterator<Item = Fault>) {
        let mut faults = self.lock();
        for fault in kept {
            if !faults.iter().any(|set| set.text == fault.text) {
                faults.push(fault);
            }
        }
    }

    /// The first fault of this path, as it is before it happens once less.
    pub(crate) fn take(&self, path: &str) -> Option<Fault> {
        let mut faults = self.lock();
        let at = faults.iter().position(|fault| path.starts_with(&fault.place) && fault.times != Some(0))?;
        let fault = faults.get_mut(at)?;
        let taken = fault.clone();
        fault.times = fault.times.map(|times| times - 1);
        faults.retain(|fault| fault.times != Some(0));
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_wrong_ones_explained() {
        let fault: Fault = "chat  status=503 retry-after=2 times=2".parse().unwrap();
        assert_eq!(fault.to_string(), "chat status=503 retry-after=2 times=2");
        let faults = Faults::new(vec![fault]);
        assert_eq!(faults.take("/v1/models"), None);
        for _ in 0..2 {
            assert_eq!(
                faults.take("/v1/chat/completions").unwrap().effect.status,
                Some(StatusCode::SERVICE_UNAVAILABLE)
            );
        }
        assert_eq!(faults.take("/v1/chat/completions"), None, "used up");
        for (bad, why) in [
            ("", "needs a place"),
            ("chat", "no fault is named"),
            ("nowhere status=500", "is not a place"),
            ("chat status=99", "is not a status"),
            ("chat explode=1", "there is no fault"),
            ("chat cut=x", "NAME=NUMBER"),
            ("/x chunks=0", "at least one byte"),
        ] {
            let error = format!("{:#}", bad.parse::<Fault>().unwrap_err());
            assert!(error.contains(why), "{bad}: {error}");
        }
    }
}
