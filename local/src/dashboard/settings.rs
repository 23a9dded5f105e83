//! What can be changed while the servers run.

use maud::{Markup, html};

use super::format::{dollars, id, number};
use super::forms::form;
use super::room::Room;
use super::state::{Dashboard, Failure};
use super::{chart, connect, forms, request};
use crate::domain::limits::{Allowance, Amount, BudgetRule, Scope};
use crate::store::{budgets, ledger};

pub(super) async fn render(dashboard: &Dashboard) -> Result<Markup, Failure> {
    let budgets = dashboard.shared.store.run(|db| {
        let rules = budgets::all(db)?;
        rules.into_iter().map(|rule| Ok((ledger::spent_of(db, &rule)?, rule))).collect::<anyhow::Result<Vec<_>>>()
    });
    let budgets = budgets.await?;
    Ok(html! {
        div.settings {
            (connect::card(dashboard))
            (card("origins", "Allowed origins", &origins(dashboard)))
            (card("budgets", "Budgets", &budget_rules(dashboard, &budgets)))
            (card("faults", "Faults on demand", &faults(dashboard)))
            (card("switches", "Switches", &switches(dashboard)))
        }
    })
}

fn card(name: &str, title: &str, body: &Markup) -> Markup {
    html! { section.card aria-labelledby=(name) { h3 id=(name) { (title) } (body) } }
}

fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// One thing that is set, and the button that takes it away.
fn item(dashboard: &Dashboard, action: &str, what: &str, text: &Markup, fields: &Markup) -> Markup {
    let button = html! { (fields) button { "Remove" span.visually-hidden { " " (what) } } };
    html! { li { span { (text) } (form(dashboard, Room::Settings, action, Some("inline"), &button)) } }
}

fn list(items: &[Markup], empty: &str) -> Markup {
    html! {
        @if items.is_empty() { p.muted.empty { (empty) } } @else { ul.list { @for item in items { (item) } } }
    }
}

fn origins(dashboard: &Dashboard) -> Markup {
    let all = dashboard.shared.origins.list();
    let items: Vec<_> = all
        .iter()
        .filter(|origin| **origin != dashboard.shared.gateway_url)
        .map(|origin| item(dashboard, "origins", origin, &html! { code { (origin) } }, &hidden("remove", origin)))
        .collect();
    let add = html! {
        label {
            "Scheme, host and port"
            input name="add" required placeholder="http://localhost:3000" autocomplete="off" spellcheck="false";
        }
        button.primary { "Allow" }
    };
    html! { (list(&items, "No page may call.")) (form(dashboard, Room::Settings, "origins", None, &add)) }
}

fn budget_rules(dashboard: &Dashboard, budgets: &[(Option<Amount>, BudgetRule)]) -> Markup {
    let rule = |(spent, rule): &(Option<Amount>, BudgetRule)| {
        let scope = rule.scope.name();
        let text = html! {
            (whose(rule)) ": " (amount(rule.allowance))
            @if let Some(spent) = spent { (used(rule.allowance, *spent)) }
        };
        let fields = html! { (hidden("scope", scope)) (hidden("subject", &rule.subject)) (hidden("remove", "yes")) };
        item(dashboard, "budgets", &format!("budget of {scope} {}", rule.subject), &text, &fields)
    };
    let set = html! {
        label {
            "Of"
            select name="scope" {
                option value="session" { "each session" }
                option value="user" { "each user" }
                option value="project" { "the project" }
            }
        }
        label {
            "Only of this id"
            input name="subject" placeholder="all" autocomplete="off" spellcheck="false";
        }
        label {
            "Tokens, or dollars"
            input name="amount" required placeholder="20000 or 0.50usd" autocomplete="off";
        }
        button.primary { "Set" }
    };
    let items: Vec<_> = budgets.iter().map(rule).collect();
    html! { (list(&items, "Nobody has a budget.")) (form(dashboard, Room::Settings, "budgets", None, &set)) }
}

fn faults(dashboard: &Dashboard) -> Markup {
    let all = dashboard.shared.faults.lock().clone();
    let items: Vec<_> = all
        .iter()
        .map(|fault| {
            let text = fault.to_string();
            item(dashboard, "faults", &text, &html! { code { (text) } }, &hidden("remove", &fault.text))
        })
        .collect();
    let add = html! {
        label {
            "Where and what"
            input name="add" required placeholder="chat status=503 times=2" autocomplete="off" spellcheck="false"
                aria-describedby="fault-help";
        }
        button.primary { "Add" }
    };
    html! {
        (list(&items, "Everything works as it should."))
        (form(dashboard, Room::Settings, "faults", None, &add))
        p.small.muted #fault-help {
            "chat, mint, threads, usage, models, function, auth, rest or a path; then delay=ms, status=code, "
            "retry-after=s, cut=bytes, stall=bytes, chunks=bytes, times=n."
        }
    }
}

fn switches(dashboard: &Dashboard) -> Markup {
    let controls = &dashboard.shared.controls;
    let (killed, tiers) = (controls.killed(), controls.read().tier_limits);
    let switch = |name: &str, on: bool, class: &str, text: &str| {
        forms::switch(dashboard, Room::Settings, name, if on { "off" } else { "on" }, class, text)
    };
    html! {
        ul.list {
            @if killed {
                li { span { "The gateway refuses every call." } (switch("killed", true, "primary", "Switch on")) }
            } @else {
                li { span { "The gateway answers." } (switch("killed", false, "danger", "Switch off")) }
            }
            @if tiers {
                li { span { "Tier limits are enforced." } (switch("tiers", true, "", "Stop enforcing")) }
            } @else {
                li { span { "Tier limits are not enforced." } (switch("tiers", false, "", "Enforce")) }
            }
            li { span { "Requests" } (request::keep(dashboard, Room::Settings)) }
            li { span { "Signing keys" } (form(dashboard, Room::Settings, "keys", Some("inline"), &html! { button { "Rotate" } })) }
        }
    }
}

fn whose(rule: &BudgetRule) -> Markup {
    html! {
        @match (rule.scope, rule.subject.as_str()) {
            (Scope::Project, _) => { "The whole project" }
            (Scope::User, "") => { "Each user" }
            (Scope::Session, "") => { "Each session" }
            (Scope::User, subject) => { "User " (id(subject)) }
            (Scope::Session, subject) => { "Session " (id(subject)) }
        }
    }
}

/// How much of a budget is used, where it is one budget and not a rule for many.
fn used(allowance: Allowance, spent: Amount) -> Markup {
    let (text, part, whole) = match (allowance.tokens, allowance.cost_nanos) {
        (Some(limit), _) => (number(spent.tokens), spent.tokens, limit),
        (None, limit) => (dollars(spent.cost_nanos), spent.cost_nanos, limit.unwrap_or_default()),
    };
    html! { span.small.muted.used { (text) " used " (chart::share(part.min(whole), whole)) } }
}

fn amount(allowance: Allowance) -> String {
    match allowance.tokens {
        Some(tokens) => format!("{} tokens", number(tokens)),
        None => allowance.to_string(),
    }
}
