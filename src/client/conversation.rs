//! Sessions and threads that stay put while tokens rotate.

use std::sync::Arc;

use super::Client;
use super::budget::{Budget, Meter};
use super::token::TokenCache;
use super::transport::{DefaultTransport, Transport};
use crate::wire::is_header_safe;
use crate::{Error, Reason};

/// What a conversation keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConversationOptions {
    /// The session that cost and short-term memory are attributed to; a new UUID if absent.
    pub session_id: Option<String>,
    /// A thread that the gateway stores and continues, sent as `X-Thread-Id`.
    pub thread_id: Option<String>,
    /// What it may spend; no limit if absent.
    pub budget: Option<Budget>,
}

impl Client {
    /// A client with a session of its own, and optionally a thread: for one conversation of several.
    ///
    /// It has a token of its own too, minted for its session, so that cost is attributed right
    /// whether the gateway looks at the header or into the token.
    pub fn conversation(&self, options: ConversationOptions) -> Result<Client, Error> {
        for id in options.session_id.iter().chain(&options.thread_id) {
            if !is_header_safe(id) || id.len() > 255 {
                return Err(Error::new(
                    Reason::InvalidConfig,
                    "session and thread ids must be 1 to 255 visible ASCII characters",
                ));
            }
        }
        let session_id = options.session_id.unwrap_or_else(|| uuid_v4(self.shared.transport.random()));
        Ok(Client {
            tokens: TokenCache::new(self.shared.clone(), Some(session_id)),
            thread_id: options.thread_id.map(Into::into),
            meter: options.budget.map(|budget| Arc::new(Meter::new(budget))),
            ..self.clone()
        })
    }

    /// The session id that calls carry. The plain client learns it with its first token.
    pub fn session_id(&self) -> Option<String> {
        self.tokens.session_id()
    }
}

/// A new session id: a random UUID.
pub fn generate_session_id() -> String {
    uuid_v4(DefaultTransport::default().random())
}

/// [RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-4) from random bytes.
pub(crate) fn uuid_v4(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0F | 0x40;
    random[8] = random[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in random.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0x0F] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}
