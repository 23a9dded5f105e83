//! A chat in Yew. Whoever signs in elsewhere in the page, with supabase-js even, is signed in here.

use behest_client::auth::{Scope, Supabase};
use behest_client::client::{Chat, ChatState, UsageQuery, UsageReport};
use behest_client::{Client, Error};
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlInputElement;
use yew::prelude::*;

fn main() {
    yew::Renderer::<App>::new().render();
}

/// Both are cheap to clone, and equal if they are the same: properties as they are.
#[derive(Clone, PartialEq, Properties)]
struct Project {
    supabase: Supabase,
    client: Client,
}

fn connect() -> Result<Project, Error> {
    let settings = gloo_utils::body().dataset();
    let setting = |name: &str| settings.get(name).unwrap_or_default();
    let supabase = Supabase::new(setting("supabaseUrl"), setting("publishableKey"))?;
    let client = Client::builder(setting("behestUrl")).supabase(&supabase, "behest-token").build()?;
    Ok(Project { supabase, client })
}

#[component]
fn App() -> Html {
    match &*use_memo((), |()| connect()) {
        Ok(Project { supabase, client }) => html! { <Door supabase={supabase.clone()} client={client.clone()} /> },
        Err(error) => html! { <p role="alert">{error.to_string()}</p> },
    }
}

#[component]
fn Door(project: &Project) -> Html {
    let user = use_state_eq(|| None);
    let now = user.setter();
    use_effect_with(project.supabase.clone(), move |supabase| {
        let following = supabase.on_change(move |_, session| now.set(session.map(|session| session.user().id.clone())));
        move || drop(following)
    });
    let Project { supabase, client } = project.clone();
    match &*user {
        // Another user, another room.
        Some(id) => html! { <Room key={id.clone()} {supabase} {client} /> },
        None => html! { <SignIn {supabase} {client} /> },
    }
}

#[component]
fn SignIn(project: &Project) -> Html {
    let (email, password, problem) = (use_node_ref(), use_node_ref(), use_state(String::new));
    let sign_in = {
        let (supabase, email, password) = (project.supabase.clone(), email.clone(), password.clone());
        let problem = problem.setter();
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            let (supabase, problem) = (supabase.clone(), problem.clone());
            let (email, password) = (typed(&email), typed(&password));
            spawn_local(async move {
                if let Err(error) = supabase.sign_in_with_password(&email, &password).await {
                    problem.set(said(&error));
                }
            });
        })
    };
    html! {
        <form onsubmit={sign_in}>
            <label>{"Email "}<input ref={email} type="email" required=true /></label>
            <label>{"Password "}<input ref={password} type="password" required=true /></label>
            <button>{"Sign in"}</button>
            <p role="alert">{&*problem}</p>
        </form>
    }
}

#[component]
fn Room(project: &Project) -> Html {
    let (state, usage, question) = (use_state(ChatState::default), use_state(String::new), use_node_ref());
    let now = state.setter();
    // Dropped with the room, it cancels what is under way.
    let chat = use_memo((), |()| Chat::new(&project.client, move |state| now.set(state.clone())));
    let act = |act: fn(&Chat)| {
        let chat = chat.clone();
        move |_: MouseEvent| act(&chat)
    };
    let send = {
        let (chat, question) = (chat.clone(), question.clone());
        move |event: SubmitEvent| {
            event.prevent_default();
            if chat.send(typed(&question)) {
                question.cast::<HtmlInputElement>().inspect(|input| input.set_value(""));
            }
        }
    };
    let show_usage = {
        let (client, usage) = (project.client.clone(), usage.setter());
        move |_: MouseEvent| {
            let (client, usage) = (client.clone(), usage.clone());
            spawn_local(async move {
                let reply = client.usage(&UsageQuery::new()).await.and_then(|reply| reply.parse::<UsageReport>());
                usage.set(match reply {
                    Ok(report) => format!("{} requests, {} tokens", report.totals.requests, report.totals.tokens()),
                    Err(error) => said(&error),
                });
            });
        }
    };
    let supabase = project.supabase.clone();
    let sign_out = move |_: MouseEvent| {
        let supabase = supabase.clone();
        spawn_local(async move { supabase.sign_out(Scope::Local).await.unwrap_or_default() });
    };
    let item = |message: &std::sync::Arc<_>| -> Html {
        let message: &behest_client::client::ChatMessage = message;
        html! { <li key={message.id} data-role={message.role.clone()}>{&message.text}</li> }
    };
    html! {
        <>
            <ol>{ for state.messages.iter().map(item) }</ol>
            <p role="status">{state.outcome.map_or(state.status.as_str(), |outcome| outcome.as_str())}</p>
            <p role="alert">{state.error.as_ref().map(said)}</p>
            <form onsubmit={send}>
                <label>{"Your question "}<input ref={question} /></label>
                <button>{"Send"}</button>
                <button type="button" onclick={act(Chat::stop)}>{"Stop"}</button>
                <button type="button" onclick={act(|chat| { chat.regenerate(); })}>{"Again"}</button>
            </form>
            <button onclick={show_usage}>{"Usage"}</button>
            <output>{&*usage}</output>
            <button onclick={sign_out}>{"Sign out"}</button>
        </>
    }
}

fn typed(input: &NodeRef) -> String {
    input.cast::<HtmlInputElement>().map(|input| input.value()).unwrap_or_default()
}

/// What went wrong, and what to do about it.
fn said(error: &Error) -> String {
    format!("{}. {}", error.message(), error.hint())
}
