//! A policy written in JavaScript.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::operation::{Operation, Outcome};
use super::{facade, host};
use crate::json::Json;
use crate::server::platform::log::log;
use crate::server::policy::{Grant, Policy};
use crate::server::user::User;
use crate::{Error, Reason};

/// `async (user) => ({ tier, ttlSecs })`, by its number with the host; what it throws refuses.
pub(super) struct HostPolicy(pub(super) u32);

impl HostPolicy {
    async fn ask(&self, user: User) -> Result<Grant, Error> {
        let mut at_once = None;
        let operation = Operation::begin(|id| at_once = host::decide(id, self.0, user.json()));
        if let Some(json) = at_once {
            return grant(&json);
        }
        match operation.await {
            Outcome { code: 1, text, .. } => grant(&text),
            Outcome { text, .. } => Err(facade::thrown(&text)),
        }
    }
}

impl Drop for HostPolicy {
    fn drop(&mut self) {
        host::forget_policy(self.0);
    }
}

impl Policy for HostPolicy {
    fn decide(&self, user: User) -> BoxFuture<'_, Result<Grant, Error>> {
        Box::pin(self.ask(user))
    }
}

fn grant(json: &str) -> Result<Grant, Error> {
    let no_object = || Error::new(Reason::Misconfigured, "the policy must resolve to an object {tier, ttlSecs}");
    let grant = Json::parse(json).filter(|grant| grant.is_object()).ok_or_else(no_object)?;
    let number = |name: &'static str| match grant.field(name) {
        None => Ok(None),
        Some(value) => value.raw().parse::<u32>().map(Some).map_err(|_| misfit(name)),
    };
    let ttl = number("ttlSecs")?.map(|seconds| Duration::from_secs(seconds.into()));
    Ok(Grant { tier: number("tier")?, ttl })
}

fn misfit(name: &str) -> Error {
    log!(error, "the policy's answer has a field that is not a whole number", name = name);
    Error::new(Reason::Misconfigured, "the policy's answer is not usable")
}
