//! What an app needs to connect, to be copied.

use maud::{Markup, html};

use super::state::Dashboard;
use crate::connect::Connect;

pub(super) fn card(dashboard: &Dashboard) -> Markup {
    let Connect { public, secret, code } = Connect::to(&dashboard.shared);
    html! {
        section.card.wide aria-labelledby="connect" {
            h3 #connect { "Connect" }
            (values(&public))
            details {
                summary { "Keys for servers: never in a page" }
                (values(&secret))
            }
            @for (name, code) in &code {
                details {
                    summary { (name) }
                    pre.mono tabindex="0" aria-label={ (name) " code" } { (code) }
                    (copy(name, code))
                }
            }
        }
    }
}

fn values(rows: &[(&str, &str)]) -> Markup {
    html! {
        ul.list {
            @for (name, value) in rows { li { span { (name) " " code { (value) } } (copy(name, value)) } }
        }
    }
}

fn copy(what: &str, text: &str) -> Markup {
    html! { button type="button" data-copy=(text) { "Copy" span.visually-hidden { " " (what) } } }
}
