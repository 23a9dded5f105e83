//! What JavaScript may call, by name, and what it says to that.

use crate::auth::parts::Op;
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
    /// The address without what a sign-in of this browser brought back, if it brought something.
    Returning(String),
    /// Ends the sign-in that came back with this address.
    Returned(String),
    Do(Op),
}

/// `text` is what the call needs to know: a JSON object.
pub(super) fn read(name: &str, text: &str) -> Result<(Call, AuthOptions), Error> {
    let given = fields(text);
    let need = |name: &str| given.text(name).ok_or_else(|| invalid(name, " is missing, or no string"));
    let contact = || given.text("email").map_or_else(|| need("phone"), Ok);
    let call = match name {
        "session" => Call::Session,
        "initial" => Call::Initial,
        "refresh" => Call::Refresh,
        "provider" => Call::Provider(need("provider")?),
        "returning" => Call::Returning(need("url")?),
        "returned" => Call::Returned(need("url")?),
        name => Call::Do(match name {
            "password" => Op::Password { contact: contact()?, password: need("password")?.into() },
            "signUp" => Op::SignUp { contact: contact()?, password: need("password")?.into() },
            "anonymous" => Op::Anonymous,
            "code" => Op::Code { contact: contact()? },
            "recovery" => Op::Recovery { email: need("email")? },
            "verify" => {
                let kind = kind(&need("type")?)?;
                match given.text("token_hash") {
                    Some(token_hash) => Op::VerifyHash { token_hash, kind },
                    None => Op::Verify { contact: contact()?, code: need("token")?, kind },
                }
            }
            "exchange" => Op::exchange(need("code")?),
            "user" => Op::User,
            "update" => Op::Update(changes(&given)),
            _ => Op::SignOut(scope(&given)?),
        }),
    };
    Ok((call, options(&given)))
}

fn invalid(what: &str, why: &str) -> Error {
    Error::new(Reason::InvalidRequest, [what, why].concat())
}

fn kind(name: &str) -> Result<VerifyType, Error> {
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
    UserChanges {
        email: given.text("email"),
        phone: given.text("phone"),
        password: given.text("password").map(Into::into),
        nonce: given.text("nonce"),
        data: given.object("data").map(str::to_owned),
    }
}
