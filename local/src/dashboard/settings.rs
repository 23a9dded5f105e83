//! What can be changed while the servers run.

use super::page::{dollars, id, number};
use super::{Dashboard, Failure, chart};
use crate::html::escape;
use crate::limits::{Allowance, Scope};
use crate::store::ledger::{self, Amount};

pub(super) async fn render(dashboard: &Dashboard) -> Result<String, Failure> {
    let budgets = dashboard.store.run(|db| {
        let rules = ledger::budgets(db)?;
        rules.into_iter().map(|rule| Ok((ledger::spent_of(db, &rule)?, rule))).collect::<anyhow::Result<Vec<_>>>()
    });
    let budgets = budgets.await?;
    let key = format!("<input type=\"hidden\" name=\"key\" value=\"{}\">", dashboard.form_key);
    let item = |action: &str, text: String, hidden: String, what: &str| {
        format!(
            "<li><span>{text}</span><form class=\"inline\" method=\"post\" action=\"/dashboard/{action}\">{key}{hidden}\
             <button>Remove<span class=\"visually-hidden\"> {}</span></button></form></li>",
            escape(what)
        )
    };
    let hidden =
        |name: &str, value: &str| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value));

    let origins: String = dashboard
        .origins
        .list()
        .iter()
        .filter(|origin| **origin != dashboard.gateway_url)
        .map(|origin| item("origins", format!("<code>{}</code>", escape(origin)), hidden("remove", origin), origin))
        .collect();
    let budgets: String = budgets
        .iter()
        .map(|(spent, rule)| {
            let whose = match (rule.scope, rule.subject.as_str()) {
                (Scope::Project, _) => "The whole project".to_owned(),
                (Scope::User, "") => "Each user".to_owned(),
                (Scope::Session, "") => "Each session".to_owned(),
                (Scope::User, subject) => format!("User {}", id(subject)),
                (Scope::Session, subject) => format!("Session {}", id(subject)),
            };
            let text = format!(
                "{whose}: {}{}",
                amount(rule.allowance),
                spent.map(|spent| used(rule.allowance, spent)).unwrap_or_default()
            );
            let fields =
                hidden("scope", rule.scope.name()) + &hidden("subject", &rule.subject) + &hidden("remove", "yes");
            item("budgets", text, fields, &format!("budget of {} {}", rule.scope.name(), rule.subject))
        })
        .collect();
    let faults: String = dashboard
        .faults
        .lock()
        .iter()
        .map(|fault| {
            let text = fault.to_string();
            item("faults", format!("<code>{}</code>", escape(&text)), hidden("remove", &text), &text)
        })
        .collect();
    let none = |list: String, text: &str| {
        if list.is_empty() {
            format!("<p class=\"muted empty\">{text}</p>")
        } else {
            format!("<ul class=\"list\">{list}</ul>")
        }
    };
    let (killed, tiers) = {
        let switches = dashboard.controls.read();
        (switches.killed, switches.tier_limits)
    };
    let switch = |name: &str, on: bool, text: &str, class: &str| {
        format!(
            "<form class=\"inline\" method=\"post\" action=\"/dashboard/switches\">{key}\
             <input type=\"hidden\" name=\"{name}\" value=\"{}\"><button class=\"{class}\">{text}</button></form>",
            if on { "off" } else { "on" }
        )
    };
    let project = if killed { "The gateway refuses every call." } else { "The gateway answers." };
    let tier_text = if tiers { "Tier limits are enforced." } else { "Tier limits are not enforced." };
    let switches = format!(
        "<ul class=\"list\"><li><span>{project}</span>{}</li><li><span>{tier_text}</span>{}</li>\
         <li><span>Signing keys</span><form class=\"inline\" method=\"post\" action=\"/dashboard/keys\">{key}\
         <button>Rotate</button></form></li></ul>",
        if killed {
            switch("killed", true, "Switch on", "primary")
        } else {
            switch("killed", false, "Switch off", "danger")
        },
        if tiers { switch("tiers", true, "Stop enforcing", "") } else { switch("tiers", false, "Enforce", "") },
    );
    Ok(format!(
        "<div id=\"settings\" class=\"settings\" tabindex=\"-1\">\
         <section class=\"card\" aria-labelledby=\"origins\"><h2 id=\"origins\">Allowed origins</h2>{}\
         <form method=\"post\" action=\"/dashboard/origins\">{key}\
         <label>Scheme, host and port<input name=\"add\" required placeholder=\"http://localhost:3000\" autocomplete=\"off\" spellcheck=\"false\"></label>\
         <button class=\"primary\">Allow</button></form></section>\
         <section class=\"card\" aria-labelledby=\"budgets\"><h2 id=\"budgets\">Budgets</h2>{}\
         <form method=\"post\" action=\"/dashboard/budgets\">{key}\
         <label>Of<select name=\"scope\"><option value=\"session\">each session</option><option value=\"user\">each user</option>\
         <option value=\"project\">the project</option></select></label>\
         <label>Only of this id<input name=\"subject\" placeholder=\"all\" autocomplete=\"off\" spellcheck=\"false\"></label>\
         <label>Tokens, or dollars<input name=\"amount\" required placeholder=\"20000 or 0.50usd\" autocomplete=\"off\"></label>\
         <button class=\"primary\">Set</button></form></section>\
         <section class=\"card\" aria-labelledby=\"faults\"><h2 id=\"faults\">Faults on demand</h2>{}\
         <form method=\"post\" action=\"/dashboard/faults\">{key}\
         <label>Where and what<input name=\"add\" required placeholder=\"chat status=503 times=2\" autocomplete=\"off\" spellcheck=\"false\" aria-describedby=\"fault-help\"></label>\
         <button class=\"primary\">Add</button></form>\
         <p class=\"small muted\" id=\"fault-help\">chat, mint, threads, usage, models, function, auth, rest or a path; then \
         delay=ms, status=code, retry-after=s, cut=bytes, stall=bytes, chunks=bytes, times=n.</p></section>\
         <section class=\"card\" aria-labelledby=\"switches\"><h2 id=\"switches\">Switches</h2>{switches}</section></div>",
        none(origins, "No page may call."),
        none(budgets, "Nobody has a budget."),
        none(faults, "Everything works as it should."),
    ))
}

/// How much of a budget is used, where it is one budget and not a rule for many.
fn used(allowance: Allowance, spent: Amount) -> String {
    let (text, part, whole) = match (allowance.tokens, allowance.cost_nanos) {
        (Some(limit), _) => (number(spent.tokens), spent.tokens, limit),
        (None, limit) => (dollars(spent.cost_nanos), spent.cost_nanos, limit.unwrap_or_default()),
    };
    format!("<span class=\"small muted used\">{text} used {}</span>", chart::share(part.min(whole), whole))
}

fn amount(allowance: Allowance) -> String {
    match allowance.tokens {
        Some(tokens) => format!("{} tokens", number(tokens)),
        None => allowance.to_string(),
    }
}
