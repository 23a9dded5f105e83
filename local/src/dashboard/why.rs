//! Why a request was refused, and what to do about it.

use behest_client::Reason;
use maud::{Markup, html};

use super::forms::{allow, remove_fault, switch};
use super::room::Room;
use super::state::Dashboard;
use crate::domain::activity::{Refusal, Served};

pub(super) fn card(dashboard: &Dashboard, served: &Served) -> Markup {
    let refusal = served.refusal.clone().unwrap_or_default();
    let (because, remedy) = remedy(dashboard, served, &refusal);
    html! {
        section.card.wide.why aria-labelledby="why" {
            h3 #why { "Why was this refused?" }
            @if !refusal.message.is_empty() { p { "“" (refusal.message) "” " code { (refusal.code) } } }
            p { (because) }
            @if let Some(remedy) = remedy { (remedy) }
        }
    }
}

/// The cause in words, and the button that takes it away where there is one.
fn remedy(dashboard: &Dashboard, served: &Served, refusal: &Refusal) -> (String, Option<Markup>) {
    let link = |name: &str, text: &str| Some(html! { a href={ "/dashboard/settings#" (name) } { (text) } });
    let shared = &dashboard.shared;
    if let Some(fault) = refusal.message.strip_prefix("This fault was asked for: ") {
        let known = shared.faults.lock().iter().any(|set| set.text == fault);
        let remove = known.then(|| remove_fault(dashboard, Room::Requests, fault));
        return ("A fault that was set here answered in the server's place.".to_owned(), remove);
    }
    let refused_origin = served.origin.as_deref().filter(|origin| {
        let origin = origin.parse();
        served.status == 403 && origin.is_ok_and(|origin| !shared.origins.allows(&origin))
    });
    if let Some(origin) = refused_origin {
        let because =
            format!("Pages of {origin} are not allowed to call. In production this is the list of CORS origins.");
        return (because, Some(allow(dashboard, Room::Requests, origin)));
    }
    let because = match (refusal.code.as_str(), served.status) {
        ("forbidden", 403) if refusal.message.contains("kill switch") => {
            let on = shared.controls.killed();
            let answer = || switch(dashboard, Room::Requests, "killed", "off", "primary", "Let the gateway answer");
            return ("The kill switch was on.".to_owned(), on.then(answer));
        }
        ("budget_exceeded", _) => {
            let because = "A budget is spent: what was used and what running chats may still use leave no room.";
            return (because.to_owned(), link("budgets", "Look at the budgets"));
        }
        ("budget_reserved", _) => "Running chats hold what this one needs. It may be tried again when they have ended.",
        ("rate_limited" | "quota_exceeded", 429 | 402) if shared.controls.read().tier_limits => {
            let stop = switch(dashboard, Room::Requests, "tiers", "off", "", "Stop enforcing the limits of tiers");
            return ("The limits of the user's tier were reached.".to_owned(), Some(stop));
        }
        ("content_blocked", _) => "The prompt matches a pattern of --block.",
        ("over_request_rate_limit", _) => "Supabase's limits for one address were reached: --auth-limits sets them.",
        ("over_email_send_rate_limit", _) => "One letter a minute goes to an address.",
        ("invalid_credentials", _) => {
            let users = html! { a href="/dashboard/users" { "Look at the users" } };
            return ("There is no such user, or the password is another one.".to_owned(), Some(users));
        }
        ("user_banned", _) => {
            let users = html! { a href="/dashboard/users" { "Look at the users" } };
            return ("The user is banned.".to_owned(), Some(users));
        }
        ("", 401) if served.server == "supabase" => {
            let text = "Send the publishable key in the `apikey` header.";
            return (refusal.hint.clone().unwrap_or_else(|| text.to_owned()), link("connect", "Copy it"));
        }
        (code, status) => {
            let known = Reason::from_name(code).map(|reason| reason.hint().to_owned());
            let general = match status {
                401 => "The token or key was not accepted. Mint a new token; check that it is sent as it was given.",
                404 => "Nothing is at this path, or no such thing is there.",
                405 => "The path does not answer that method.",
                413 => "The body is too large.",
                500.. => "The server, or the model's server behind it, failed: the terminal says more.",
                _ => "The request is not as the server expects it; it says so in its own words above.",
            };
            return (refusal.hint.clone().or(known).unwrap_or_else(|| general.to_owned()), None);
        }
    };
    (because.to_owned(), None)
}
