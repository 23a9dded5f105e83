//! What JavaScript may call, by number, and what it says to that.

use crate::auth::parts::{Back, Kind, Op};
use crate::auth::{AuthEvent, Scope};
use crate::js::read::{Given, fields};
use crate::{Error, Reason};

/// A call.
pub(super) enum Call {
    /// Who is signed in, with a good token.
    Session,
    /// The same, or as far as it is known.
    Initial,
    Refresh,
    /// A sign-in at a provider begins, whose way back must bring this verifier.
    Leaving(String),
    /// Has the address brought something back of a sign-in that was begun here?
    Returning,
    Do(Op),
    /// There is nothing to be done.
    Nothing,
}

/// What is to be done for the further calls of `pkg/lib/auth/auth.js`, in the order of their numbers.
const KINDS: [Kind; 9] = [
    Kind::Password,
    Kind::SignUp,
    Kind::Anonymous,
    Kind::Code,
    Kind::Recovery,
    Kind::Verify,
    Kind::Exchange,
    Kind::User,
    Kind::Update,
];

/// `text` is what the call needs to know: a JSON object.
pub(super) fn read(number: u32, text: &str) -> Result<Call, Error> {
    let given = fields(text);
    let kind = match number {
        0 => return Ok(Call::Session),
        1 => return Ok(Call::Initial),
        2 => return Ok(Call::Refresh),
        3 => return Ok(Call::Leaving(given.text("verifier").unwrap_or_default())),
        4 => return Ok(back(&given).map_or(Call::Nothing, |_| Call::Returning)),
        5 => match back(&given) {
            None => return Ok(Call::Nothing),
            Some(Back::Refused(error)) => return Err(error),
            Some(Back::Code(code)) => {
                let mut op = Op::new(Kind::Exchange);
                op.secret = code.into();
                return Ok(Call::Do(op));
            }
        },
        number => KINDS.get(number as usize - 6).copied().unwrap_or(Kind::SignOut),
    };
    let mut op = Op::new(kind);
    op.body = given.raw("body").unwrap_or_default().to_owned();
    op.secret = given.text("secret").unwrap_or_default().into();
    op.redirect_to = given.text("redirectTo");
    op.verifier = given.text("verifier");
    if given.raw("recovers") == Some("true") {
        op.event = AuthEvent::PasswordRecovery;
    }
    if let Some(name) = given.text("scope") {
        let unknown = || Error::new(Reason::InvalidRequest, [&name, " is no scope"].concat());
        op.scope = Scope::from_name(&name).ok_or_else(unknown)?;
    }
    Ok(Call::Do(op))
}

fn back(given: &Given<'_>) -> Option<Back> {
    Back::of(&|name| given.text(name))
}
