//! What JavaScript may call, by name, and what it says to that.

use crate::auth::parts::{Back, Kind, Op};
use crate::auth::{AuthOptions, Scope, UserChanges, VerifyType};
use crate::js::read::{Given, fields};
use crate::{Error, Reason};

/// A call.
pub(super) enum Call {
    /// Who is signed in, with a good token.
    Session,
    /// The same, or as far as it is known.
    Initial,
    Refresh,
    /// The address to be sent to, to sign in with this provider.
    Provider(String),
    /// What the address brought back of a sign-in that was begun here: the parameters to take out of it.
    Returning,
    Do(Op),
    /// There is nothing to be done.
    Nothing,
}

/// `text` is what the call needs to know: a JSON object.
pub(super) fn read(name: &str, text: &str) -> Result<(Call, AuthOptions), Error> {
    let given = fields(text);
    let need = |name: &str| given.text(name).ok_or_else(|| invalid(name, " is missing, or no string"));
    let back = || Back::of(&|name| given.text(name));
    let kind = match name {
        "session" => return Ok((Call::Session, AuthOptions::new())),
        "initial" => return Ok((Call::Initial, AuthOptions::new())),
        "refresh" => return Ok((Call::Refresh, AuthOptions::new())),
        "provider" => return Ok((Call::Provider(need("provider")?), options(&given))),
        "returning" => return Ok((back().map_or(Call::Nothing, |_| Call::Returning), AuthOptions::new())),
        "returned" => match back() {
            None => return Ok((Call::Nothing, AuthOptions::new())),
            Some(Back::Refused(error)) => return Err(error),
            Some(Back::Code(_)) => Kind::Exchange,
        },
        "password" => Kind::Password,
        "signUp" => Kind::SignUp,
        "anonymous" => Kind::Anonymous,
        "code" => Kind::Code,
        "recovery" => Kind::Recovery,
        "verify" if given.text("token_hash").is_some() => Kind::VerifyHash,
        "verify" => Kind::Verify,
        "exchange" => Kind::Exchange,
        "user" => Kind::User,
        "update" => Kind::Update,
        _ => Kind::SignOut,
    };
    let mut op = Op::new(kind);
    if matches!(kind, Kind::Password | Kind::SignUp | Kind::Code | Kind::Recovery | Kind::Verify) {
        op = op.contact(&given.text("email").map_or_else(|| need("phone"), Ok)?);
    }
    let secret = match kind {
        Kind::Password | Kind::SignUp => "password",
        Kind::Verify => "token",
        Kind::VerifyHash => "token_hash",
        Kind::Exchange => "code",
        _ => "",
    };
    if !secret.is_empty() {
        op = op.secret(&need(secret)?);
    }
    op = match kind {
        Kind::Verify | Kind::VerifyHash => op.verify(verify_type(&need("type")?)?),
        Kind::Update => op.changes(changes(&given)),
        Kind::SignOut => op.scope(scope(&given)?),
        _ => op,
    };
    Ok((Call::Do(op), options(&given)))
}

fn invalid(what: &str, why: &str) -> Error {
    Error::new(Reason::InvalidRequest, [what, why].concat())
}

fn verify_type(name: &str) -> Result<VerifyType, Error> {
    // Those of a telephone are told by its number.
    let known = match name {
        "sms" => Some(VerifyType::Email),
        "phone_change" => Some(VerifyType::EmailChange),
        _ => VerifyType::from_name(name),
    };
    known.ok_or_else(|| invalid(name, " is no type"))
}

fn scope(given: &Given<'_>) -> Result<Scope, Error> {
    let Some(name) = given.text("scope") else { return Ok(Scope::default()) };
    let known = [Scope::Global, Scope::Local, Scope::Others].into_iter().find(|scope| scope.as_str() == name);
    known.ok_or_else(|| invalid(&name, " is no scope"))
}

fn options(given: &Given<'_>) -> AuthOptions {
    let defaults = AuthOptions::new();
    AuthOptions {
        redirect_to: given.text("redirectTo"),
        data: given.object("data").map_or(defaults.data, str::to_owned),
        captcha_token: given.text("captchaToken"),
        create_user: given.raw("shouldCreateUser") != Some("false"),
        scopes: given.text("scopes"),
        parameters: given.object("queryParams").map(|json| fields(json).texts()).unwrap_or_default(),
    }
}

fn changes(given: &Given<'_>) -> UserChanges {
    let names = ["email", "phone", "password", "nonce", "data"];
    let given = names.into_iter().filter_map(|name| Some((name, given.raw(name)?)));
    given.fold(UserChanges::new(), |changes, (name, value)| changes.json(name, value))
}
