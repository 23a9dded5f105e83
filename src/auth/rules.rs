//! When a session is renewed, and what becomes of it then: decisions only. What is stored, sent and told is done elsewhere.

use super::reply::{ENDED, is_one_of};
use super::session::AuthSession;
use super::words::AuthEvent;
use crate::engine::{Moment, back_off};
use crate::wire::as_millis;
use crate::{Error, Reason};

/// A session is renewed when no more than this is left of its life: supabase-js's own margin, so that both agree.
const MARGIN: f64 = 90_000.0;
/// After a failed renewal: the first pause, which doubles, and the longest.
const REST: f64 = 5_000.0;
const LONGEST_REST: f64 = 60_000.0;
/// The longest one that a server is granted: what it asks for may be a wrong clock's date, or a mistake.
const LONGEST_ASKED: f64 = 600_000.0;
/// How often the storage is looked at for what another tab made of a refused token.
const LOOKS: u32 = 3;

/// What is known of the session, and of the latest attempts to renew it.
#[derive(Default)]
pub(super) struct Rules {
    /// What everybody was told last.
    known: Option<AuthSession>,
    /// How far the server's clock is ahead of this machine's, in milliseconds, and of its monotonic one.
    skew: f64,
    ahead: f64,
    rest: Option<Rest>,
}

/// After a failure nothing is sent for a while.
struct Rest {
    at: Moment,
    pause: f64,
    /// Failures, this one included.
    in_a_row: u32,
    error: Error,
}

/// What to do for somebody who wants the session.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// It is good.
    Use,
    /// It has to be renewed.
    Renew,
    /// It has expired, and could not be renewed a moment ago.
    Rest(Error),
}

/// What Supabase Auth made of a refresh token.
#[derive(Clone, Debug)]
pub(super) enum Came {
    Renewed(AuthSession),
    /// It will never take it (again).
    Refused(Error),
    /// It could not say: offline, rate limited, out of order.
    Failed(Error),
}

/// What becomes of the session then.
#[derive(Debug, PartialEq)]
pub(super) enum Then {
    /// This one is stored.
    Store(AuthSession),
    /// Somebody else has stored another one meanwhile, which counts.
    Adopt,
    /// Somebody else may have been quicker, and about to store it: look again in this many milliseconds.
    Look(f64),
    /// It stays as it is.
    Keep(Error),
    /// It has ended.
    End(Error),
    /// Somebody signed out meanwhile.
    Gone,
}

impl Rules {
    /// What was seen last.
    #[cfg(feature = "auth")]
    pub(super) fn known(&self) -> Option<&AuthSession> {
        self.known.as_ref()
    }

    /// This is stored now. What changed, if something did?
    pub(super) fn see(&mut self, stored: Option<&AuthSession>) -> Option<AuthEvent> {
        let event = change(self.known.as_ref(), stored)?;
        if event != AuthEvent::UserUpdated {
            // Whatever failed, failed for other tokens.
            self.rest = None;
        }
        self.known = stored.cloned();
        Some(event)
    }

    /// The server has just issued this session: its clock can be read off it.
    pub(super) fn issued(&mut self, session: &AuthSession, now: Moment) {
        if let Some(lifetime) = session.lifetime_ms() {
            let server = session.expires_ms() - lifetime;
            (self.skew, self.ahead) = (server - now.wall, server - now.monotonic);
        }
    }

    pub(super) fn step(&self, session: &AuthSession, now: Moment) -> Step {
        let left = self.left(session, now);
        // What lives no longer than twice the margin is renewed at half its life. With more than its whole life left, this
        // machine's clock is behind, and how much it is nobody knows.
        let (margin, most) =
            session.lifetime_ms().map_or((MARGIN, left), |life| (MARGIN.min(life / 2.0), life + MARGIN));
        match &self.rest {
            _ if left > margin && left <= most => Step::Use,
            Some(rest) if now.since(rest.at) < rest.pause => match left > 0.0 {
                true => Step::Use,
                // What reached nobody was too much for nobody, and the network is back at any moment.
                false if rest.error.reason() == Reason::Network => Step::Renew,
                false => Step::Rest(rest.error.clone()),
            },
            _ => Step::Renew,
        }
    }

    /// `sent` was sent and this came, while `stored` is stored now, and has been looked at so often.
    pub(super) fn after(
        &mut self,
        sent: &AuthSession,
        stored: Option<&AuthSession>,
        came: Came,
        looks: u32,
        now: Moment,
    ) -> Then {
        let Some(stored) = stored else { return Then::Gone };
        if !stored.has_tokens_of(sent) {
            return Then::Adopt;
        }
        match came {
            Came::Renewed(session) => Then::Store(session),
            Came::Failed(error) => self.keep(error, now, f64::INFINITY),
            // What is refused for good is asked once more when the token is of no use any longer.
            Came::Refused(error) if self.left(sent, now) > 0.0 => self.keep(error, now, self.left(sent, now)),
            Came::Refused(_) if looks < LOOKS => Then::Look(200.0 * f64::from(1 << looks)),
            Came::Refused(error) => Then::End(error),
        }
    }

    fn keep(&mut self, error: Error, now: Moment, longest: f64) -> Then {
        let in_a_row = self.rest.as_ref().map_or(0, |rest| rest.in_a_row);
        let asked = error.retry_after().map_or(0.0, as_millis).min(LONGEST_ASKED);
        let pause = back_off(REST, LONGEST_REST, in_a_row).max(asked).min(longest);
        self.rest = Some(Rest { at: now, pause, in_a_row: in_a_row + 1, error: error.clone() });
        Then::Keep(error)
    }

    /// What is left of its life, in milliseconds, by the clock that says less: the other may have been set back, or stood
    /// still while the machine slept.
    fn left(&self, session: &AuthSession, now: Moment) -> f64 {
        session.expires_ms() - (now.wall + self.skew).max(now.monotonic + self.ahead)
    }
}

/// What happened between the two, if something did.
pub(super) fn change(before: Option<&AuthSession>, now: Option<&AuthSession>) -> Option<AuthEvent> {
    Some(match (before, now) {
        (None, None) => return None,
        (None, Some(_)) => AuthEvent::SignedIn,
        (Some(_), None) => AuthEvent::SignedOut,
        (Some(before), Some(now)) if before == now => return None,
        (Some(before), Some(now)) if before.has_tokens_of(now) => AuthEvent::UserUpdated,
        (Some(before), Some(now)) if now.continues(before) => AuthEvent::TokenRefreshed,
        (Some(_), Some(_)) => AuthEvent::SignedIn,
    })
}

impl Came {
    /// What Supabase Auth answered to a refresh token.
    pub(super) fn of(answer: Result<AuthSession, Error>) -> Self {
        match answer {
            Ok(session) => Self::Renewed(session),
            Err(error) if may_pass(&error) => Self::Failed(error),
            Err(error) => Self::Refused(error),
        }
    }

    /// Is it worth another attempt in a moment?
    pub(super) fn may_be_asked_again(&self) -> bool {
        match self {
            Self::Failed(error) => matches!(error.reason(), Reason::Network | Reason::ServerError | Reason::Conflict),
            Self::Renewed(_) | Self::Refused(_) => false,
        }
    }
}

/// Can it be another time? Only what Supabase Auth itself refuses for good ends a session: a proxy's page, a wrong key and a
/// refused origin are no reason to sign anybody out.
fn may_pass(error: &Error) -> bool {
    let refused = matches!(error.status(), Some(400 | 401 | 403 | 404 | 422));
    // Older servers name nothing, and say it in OAuth's words.
    let ends = |code: &str| is_one_of(ENDED, code) || matches!(code, "validation_failed" | "invalid_grant");
    let named = error.code().is_some_and(ends);
    !(refused && named)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: f64 = 3_600_000.0;

    /// A session of this login, issued at this second, that lives an hour.
    fn session(login: &str, tokens: &str, issued: u64) -> AuthSession {
        let claims = format!(r#"{{"sub":"u","session_id":"{login}","iat":{issued},"exp":{}}}"#, issued + 3600);
        let token = format!("e30.{}.{tokens}", crate::base64::encode_url(claims.as_bytes()));
        let json = format!(r#"{{"access_token":"{token}","refresh_token":"{tokens}","expires_at":{}}}"#, issued + 3600);
        AuthSession::parse(&json, 0.0).unwrap()
    }

    fn at(wall: f64) -> Moment {
        Moment { wall, monotonic: wall }
    }

    fn refusal(status: u16, code: &str) -> Error {
        Error::new(Reason::InvalidRequest, "refused").with_status(status).with_code(Some(code.to_owned()))
    }

    #[test]
    fn every_change_has_its_event() {
        let (one, two, other) = (session("l", "1", 0), session("l", "2", 9), session("m", "3", 9));
        let same_user = super::super::session::User::parse(r#"{"id":"u","email":"new@example.com"}"#).unwrap();
        let updated = two.with_user(&same_user).unwrap();
        let mut rules = Rules::default();
        for (stored, event) in [
            (None, None),
            (Some(&one), Some(AuthEvent::SignedIn)),
            (Some(&one), None),
            (Some(&two), Some(AuthEvent::TokenRefreshed)),
            (Some(&updated), Some(AuthEvent::UserUpdated)),
            (Some(&other), Some(AuthEvent::SignedIn)),
            (None, Some(AuthEvent::SignedOut)),
            (None, None),
        ] {
            assert_eq!(rules.see(stored), event, "{stored:?}");
        }
    }

    #[test]
    fn a_session_is_renewed_before_it_expires() {
        let rules = Rules::default();
        let session = session("l", "1", 0);
        for (now, step) in
            [(0.0, Step::Use), (HOUR - 90_001.0, Step::Use), (HOUR - 90_000.0, Step::Renew), (HOUR + 1.0, Step::Renew)]
        {
            assert_eq!(rules.step(&session, at(now)), step, "{now}");
        }
        let json = r#"{"access_token":"a","refresh_token":"r","expires_in":60,"expires_at":60,"user":{"id":"u"}}"#;
        let short = AuthSession::parse(json, 0.0).unwrap();
        assert_eq!(rules.step(&short, at(29_000.0)), Step::Use);
        assert_eq!(rules.step(&short, at(30_000.0)), Step::Renew);
    }

    #[test]
    fn a_wrong_clock_is_noticed_with_the_first_session() {
        for ahead in [-2.0 * HOUR, 2.0 * HOUR] {
            let mut rules = Rules::default();
            let session = session("l", "1", 36_000);
            let now = 36_000_000.0 + ahead;
            rules.issued(&session, at(now));
            assert_eq!(rules.step(&session, at(now)), Step::Use, "{ahead}");
            assert_eq!(rules.step(&session, at(now + HOUR)), Step::Renew, "{ahead}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_no_dead_token_alive() {
        let session = session("l", "1", 36_000);
        let start = 36_000_000.0;
        let mut rules = Rules::default();
        rules.issued(&session, at(start));
        let later = |wall| Moment { wall, monotonic: start + HOUR };
        assert_eq!(rules.step(&session, later(start - HOUR)), Step::Renew);
        // After a reload the stored session alone tells, as far as it can.
        let rules = Rules::default();
        assert_eq!(rules.step(&session, at(start - 90_000.0)), Step::Use);
        assert_eq!(rules.step(&session, at(start - 90_001.0)), Step::Renew);
    }

    #[test]
    fn what_becomes_of_a_session() {
        let (sent, winner, new) = (session("l", "1", 0), session("l", "2", 0), session("l", "3", 0));
        let refused = || Came::Refused(refusal(400, "refresh_token_already_used"));
        let failed = || Came::Failed(Error::new(Reason::RateLimited, "slower"));
        let (early, late) = (HOUR - 80_000.0, HOUR + 1.0);
        let kind = |then| match then {
            Then::Store(_) => "store",
            Then::Adopt => "adopt",
            Then::Look(_) => "look",
            Then::Keep(_) => "keep",
            Then::End(_) => "end",
            Then::Gone => "gone",
        };
        for (stored, came, looks, now, expected) in [
            (Some(&sent), Came::Renewed(new.clone()), 0, early, "store"),
            // Somebody else signed in or renewed it, whatever came of ours.
            (Some(&winner), Came::Renewed(new.clone()), 0, late, "adopt"),
            (Some(&winner), refused(), 0, late, "adopt"),
            (Some(&winner), failed(), 0, late, "adopt"),
            // Signed out: what came must not bring the session back.
            (None, Came::Renewed(new), 0, early, "gone"),
            (None, refused(), 0, late, "gone"),
            // Still good.
            (Some(&sent), refused(), 0, early, "keep"),
            (Some(&sent), failed(), 0, early, "keep"),
            // Rate limits and dead networks sign nobody out.
            (Some(&sent), failed(), 9, late, "keep"),
            // A winner may be about to store what it got.
            (Some(&sent), refused(), 0, late, "look"),
            (Some(&sent), refused(), 2, late, "look"),
            (Some(&sent), refused(), 3, late, "end"),
        ] {
            let then = Rules::default().after(&sent, stored, came.clone(), looks, at(now));
            assert_eq!(kind(then), expected, "{stored:?} {came:?} {looks} {now}");
        }
    }

    #[test]
    fn only_a_refusal_of_the_token_ends_a_session() {
        for (status, code, ends) in [
            (400, "refresh_token_already_used", true),
            (400, "refresh_token_not_found", true),
            (403, "session_not_found", true),
            (400, "session_expired", true),
            (400, "user_banned", true),
            (400, "invalid_grant", true),
            (429, "over_request_rate_limit", false),
            (409, "conflict", false),
            (401, "", false),
            (403, "origin_refused", false),
            (404, "", false),
            (500, "unexpected_failure", false),
            (502, "", false),
        ] {
            let came = Came::of(Err(refusal(status, code)));
            assert_eq!(matches!(came, Came::Refused(_)), ends, "{status} {code}");
        }
        assert!(matches!(Came::of(Err(Error::new(Reason::Network, "offline"))), Came::Failed(_)));
    }

    #[test]
    fn after_a_failure_the_server_has_peace() {
        let session = session("l", "1", 0);
        let mut rules = Rules::default();
        rules.see(Some(&session));
        let error = Error::new(Reason::RateLimited, "slower");
        let fail = |rules: &mut Rules, error: &Error, now| {
            rules.after(&session, Some(&session), Came::Failed(error.clone()), 0, at(now))
        };
        let early = HOUR - 80_000.0;
        fail(&mut rules, &error, early);
        assert_eq!(rules.step(&session, at(early + 4_999.0)), Step::Use);
        assert_eq!(rules.step(&session, at(early + 5_000.0)), Step::Renew);
        fail(&mut rules, &error, HOUR);
        assert_eq!(rules.step(&session, at(HOUR + 9_999.0)), Step::Rest(error.clone()));
        assert_eq!(rules.step(&session, at(HOUR + 10_000.0)), Step::Renew);
        // Longer, if the server says so.
        fail(&mut rules, &error.clone().with_retry_after(Some(Duration::from_secs(300))), HOUR);
        assert!(matches!(rules.step(&session, at(HOUR + 299_000.0)), Step::Rest(_)));
        // A machine that slept has rested.
        assert_eq!(rules.step(&session, Moment { wall: 9.0 * HOUR, monotonic: HOUR }), Step::Renew);
        fail(&mut rules, &error.clone().with_retry_after(Some(Duration::from_secs(u64::MAX))), HOUR);
        assert!(matches!(rules.step(&session, at(HOUR + 599_000.0)), Step::Rest(_)));
        assert_eq!(rules.step(&session, at(HOUR + 600_000.0)), Step::Renew);
        // A dead network needs none, once the session is of no use without it.
        let offline = Error::new(Reason::Network, "offline");
        fail(&mut rules, &offline, early);
        assert_eq!(rules.step(&session, at(early + 1.0)), Step::Use);
        fail(&mut rules, &offline, HOUR);
        assert_eq!(rules.step(&session, at(HOUR + 1.0)), Step::Renew);
        fail(&mut rules, &error, HOUR);
        // Other tokens begin anew.
        rules.see(Some(&self::session("l", "2", 3_000)));
        assert_eq!(rules.step(&session, at(HOUR + 1.0)), Step::Renew);
    }
}
