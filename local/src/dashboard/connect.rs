//! What an app needs to connect: addresses, keys, and the first lines of code.

use maud::{Markup, html};

use super::state::Dashboard;
use crate::servers::supabase::FUNCTION_NAME;

pub(super) fn card(dashboard: &Dashboard) -> Markup {
    let shared = &dashboard.shared;
    let (supabase, gateway, identity) = (&shared.supabase_url, &shared.gateway_url, &shared.identity);
    let public = [
        ("Supabase URL", supabase.as_str()),
        ("Publishable key", identity.publishable_key.as_str()),
        ("Gateway URL", gateway.as_str()),
        ("Token function", FUNCTION_NAME),
    ];
    let secret = [
        ("Supabase secret key", identity.secret_key.expose().as_str()),
        ("Gateway API key", identity.behest_key.expose().as_str()),
    ];
    let key = &identity.publishable_key;
    let javascript = format!(
        "import {{ createClient as createSupabase }} from \"@supabase/supabase-js\";\n\
         import {{ createClient }} from \"behest-client\";\n\n\
         const supabase = createSupabase(\"{supabase}\", \"{key}\");\n\
         const behest = createClient({{ supabase, behestUrl: \"{gateway}\" }});\n\
         console.log(await behest.ask(\"Hi!\"));\n"
    );
    let rust = format!(
        "let client = Client::builder(\"{gateway}\")\n    .function(\"{supabase}\", \"{FUNCTION_NAME}\")\n    \
         .session(source)\n    .build()?;\nprintln!(\"{{}}\", client.ask(\"Hi!\").await?);\n"
    );
    let curl = format!(
        "TOKEN=$(curl -s {gateway}/v1/auth/mint -H \"Authorization: Bearer $BEHEST_KEY\" \\\n  \
         -d '{{\"user_id\":\"me\"}}' | sed 's/.*\"jwt\":\"\\([^\"]*\\).*/\\1/')\n\
         curl {gateway}/v1/chat/completions -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -d '{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hi!\"}}]}}'\n"
    );
    html! {
        section.card.wide aria-labelledby="connect" {
            h3 #connect { "Connect" }
            (values(&public))
            details {
                summary { "Keys for servers: never in a page" }
                (values(&secret))
            }
            @for (name, code) in [("JavaScript", javascript), ("Rust", rust), ("curl", curl)] {
                details {
                    summary { (name) }
                    pre.mono tabindex="0" aria-label={ (name) " code" } { (code) }
                    (copy(name, &code))
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
