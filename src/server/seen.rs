//! Which tokens have been verified before.
//!
//! A session's access token comes again and again: with each call that a guard lets in, with each gateway token that is
//! minted during its life. Its signature is looked at once. What it says is judged each time: when it ends, whose it is.

use std::sync::{Arc, Mutex, PoisonError};

use subtle::ConstantTimeEq as _;

use super::platform::crypto::VerifyingKey;
use crate::Secret;

/// So many are remembered; a newer one takes the place of an older one.
const PLACES: usize = SHELVES * SHELF;
/// Places are made by the shelf: an endpoint that lives for one request needs hardly any.
const SHELVES: usize = 16;
const SHELF: usize = 32;
/// A longer token is verified each time.
const LONGEST: usize = 4096;

/// Tokens whose signatures were good, each with the very key that said so: once a key set is fetched anew, its keys are others.
#[derive(Default)]
pub(super) struct Seen(Mutex<[Vec<Option<Verified>>; SHELVES]>);

struct Verified {
    token: Secret,
    by: Arc<VerifyingKey>,
}

impl Seen {
    /// Was exactly this token verified by one of these keys? How long the answer takes tells nobody how much of a guess was right.
    pub(super) fn has(&self, token: &str, keys: &[Arc<VerifyingKey>]) -> bool {
        let shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (shelf, place) = place(token);
        let Some(Some(known)) = shelves[shelf].get(place) else { return false };
        let is_same: bool = known.token.expose().as_bytes().ct_eq(token.as_bytes()).into();
        is_same && keys.iter().any(|key| Arc::ptr_eq(key, &known.by))
    }

    pub(super) fn keep(&self, token: &Secret, key: &Arc<VerifyingKey>) {
        if token.expose().len() > LONGEST {
            return;
        }
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (shelf, place) = place(token.expose());
        let shelf = &mut shelves[shelf];
        if shelf.is_empty() {
            shelf.resize_with(SHELF, || None);
        }
        shelf[place] = Some(Verified { token: token.clone(), by: Arc::clone(key) });
    }
}

/// Shelf and place on it, by the end of its signature, which is as good as random.
fn place(token: &str) -> (usize, usize) {
    let end = token.bytes().rev().take(8);
    let place = end.fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % PLACES;
    (place / SHELF, place % SHELF)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_to_its_key_alone_and_to_the_letter() {
        let (key, other) = (Arc::new(VerifyingKey::hs256(b"a")), Arc::new(VerifyingKey::hs256(b"a")));
        let seen = Seen::default();
        let token = Secret::from("header.claims.signature");
        assert!(!seen.has(token.expose(), &[Arc::clone(&key)]));
        seen.keep(&token, &key);
        assert!(seen.has(token.expose(), &[Arc::clone(&other), Arc::clone(&key)]));
        assert!(!seen.has(token.expose(), &[other]), "a key that is equal is another key");
        assert!(!seen.has("header.others.signature", &[Arc::clone(&key)]), "the same signature over other claims");
        let long = Secret::from(format!("{}.signature", "x".repeat(LONGEST)));
        seen.keep(&long, &key);
        assert!(!seen.has(long.expose(), &[key]));
    }

    #[test]
    fn so_many_are_kept_and_no_more() {
        let key = Arc::new(VerifyingKey::hs256(b"a"));
        let seen = Seen::default();
        for number in 0..10 * PLACES {
            seen.keep(&Secret::from(format!("a.b.{number:08}")), &key);
        }
        let places = || seen.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Vec::len).sum::<usize>();
        assert_eq!(places(), PLACES);
        assert!(seen.has(&format!("a.b.{:08}", 10 * PLACES - 1), &[key]));
    }
}
