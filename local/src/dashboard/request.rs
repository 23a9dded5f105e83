//! One request in detail, and why it was refused.

use maud::{Markup, html};
use serde_json::Value;

use super::forms::switch;
use super::requests::{of, status};
use super::room::Room;
use super::state::Dashboard;
use super::why;
use crate::domain::activity::{Served, Texts};
use crate::domain::clock::rfc3339;

pub(super) fn render(dashboard: &Dashboard, served: &Served) -> Markup {
    let whole = served.whole_ms.map_or_else(|| "still streaming".to_owned(), |ms| format!("{ms} ms"));
    let facts = [
        ("Status", status(served.status)),
        ("When", html! { time datetime=(rfc3339(served.at)) { (rfc3339(served.at)) } }),
        ("Server", html! { (served.server) }),
        ("First byte after", html! { (served.ms.to_string()) " ms" }),
        ("Last byte after", html! { (whole) }),
        ("Page", served.origin.as_deref().map_or_else(|| html! { "none" }, |origin| html! { code { (origin) } })),
        ("User", id("user", served.user_id.as_deref())),
        ("Session", id("session", served.session_id.as_deref())),
    ];
    html! {
        section.card.wide aria-labelledby="request" {
            h3 #request { code { (served.method) " " (served.path) } }
            dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
        }
        @if served.status >= 400 { (why::card(dashboard, served)) }
        (headers("Request headers", "asked-with", &served.headers))
        (headers("Answer headers", "answered-with", &served.answer_headers))
        @if served.path.ends_with("/chat/completions") { (texts(dashboard, served.texts.as_ref())) }
    }
}

/// With the way to everything else of this user or session.
fn id(name: &str, id: Option<&str>) -> Markup {
    html! {
        @match id {
            Some(id) => a href=(of(name, id)) { code { (id) } },
            None => "not known",
        }
    }
}

fn headers(title: &str, name: &str, headers: &[(String, String)]) -> Markup {
    html! {
        section.card aria-labelledby=(name) {
            h3 id=(name) { (title) }
            dl.headers { @for (name, value) in headers { div { dt.mono { (name) } dd.mono { (value) } } } }
        }
    }
}

fn texts(dashboard: &Dashboard, texts: Option<&Texts>) -> Markup {
    html! {
        section.card.wide aria-labelledby="texts" {
            h3 #texts { "Prompt and answer" }
            @match texts {
                Some(Texts { asked, answered }) => {
                    @for (name, text) in [("Prompt", prompt(asked)), ("Answer", answer(answered))] {
                        h4 { (name) }
                        pre.mono.text tabindex="0" aria-label=(name) { (text) }
                    }
                }
                None => {
                    p.muted { "Not kept. From now on they can be, in memory, until behest-local ends." }
                    (keep(dashboard, Room::Requests))
                }
            }
        }
    }
}

/// The switch that keeps prompts and answers, or forgets them.
pub(super) fn keep(dashboard: &Dashboard, room: Room) -> Markup {
    if dashboard.shared.activity.keeps_texts() {
        switch(dashboard, room, "texts", "off", "", "Forget prompts and answers")
    } else {
        switch(dashboard, room, "texts", "on", "", "Keep prompts and answers")
    }
}

/// The messages, a line for each role; what is no chat is shown as it is.
fn prompt(body: &str) -> String {
    let Ok(json) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    let Some(messages) = json["messages"].as_array() else { return body.to_owned() };
    let line = |message: &Value| {
        let content = &message["content"];
        let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
        format!("{}: {text}", message["role"].as_str().unwrap_or("?"))
    };
    messages.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The words of an answer, whole or streamed; what has none is shown as it is.
fn answer(body: &str) -> String {
    let words = |json: &Value, part: &str| json["choices"][0][part]["content"].as_str().map(str::to_owned);
    let whole = serde_json::from_str::<Value>(body).ok().and_then(|json| words(&json, "message"));
    let streamed = || {
        let events = body.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        events.filter_map(|json| words(&json, "delta")).collect::<String>()
    };
    whole.unwrap_or_else(|| Some(streamed()).filter(|text| !text.is_empty()).unwrap_or_else(|| body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_shown_as_what_was_said() {
        assert_eq!(prompt(r#"{"messages":[{"role":"user","content":"Hi"}]}"#), "user: Hi");
        assert_eq!(prompt("no JSON"), "no JSON");
        assert_eq!(answer(r#"{"choices":[{"message":{"content":"Hello"}}]}"#), "Hello");
        let delta = |text: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
        assert_eq!(answer(&format!("{}{}data: [DONE]\n\n", delta("Hel"), delta("lo"))), "Hello");
        assert_eq!(answer(r#"{"error":{}}"#), r#"{"error":{}}"#);
    }
}
