//! A chat in Yew. Whoever signs in elsewhere in the page, with supabase-js even, is signed in here.

use behest_client::auth::{Scope, Supabase};
use behest_client::client::{Chat, ChatState, Thread, UsageQuery, UsageReport, generate_session_id};
use behest_client::{Client, Error};
use wasm_bindgen_futures::spawn_local;
use web_sys::HtmlInputElement;
use yew::prelude::*;

fn main() {
    match connect() {
        Ok(project) => drop(yew::Renderer::<Door>::with_props(project).render()),
        Err(error) => gloo_utils::body().set_inner_text(&error.to_string()),
    }
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
fn Door(project: &Project) -> Html {
    let user = use_state_eq(|| None);
    let now = user.setter();
    use_effect_with(project.supabase.clone(), move |supabase| {
        let following = supabase.on_change(move |_, session| now.set(session.map(|session| session.user().id.clone())));
        move || drop(following)
    });
    match &*user {
        // Another user, another room.
        Some(id) => html! { <Room key={id.clone()} ..project.clone() /> },
        None => html! { <SignIn ..project.clone() /> },
    }
}

#[component]
fn SignIn(project: &Project) -> Html {
    let (email, password, problem) = (use_node_ref(), use_node_ref(), use_state(String::new));
    let sign_in = {
        let (supabase, problem) = (project.supabase.clone(), problem.setter());
        let (email, password) = (email.clone(), password.clone());
        move |event: SubmitEvent| {
            event.prevent_default();
            let (supabase, problem) = (supabase.clone(), problem.clone());
            let (email, password) = (typed(&email), typed(&password));
            spawn_local(async move {
                let signed_in = supabase.sign_in_with_password(&email, &password).await;
                problem.set(signed_in.err().as_ref().map(said).unwrap_or_default());
            });
        }
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
    let (state, note, question) = (use_state(ChatState::default), use_state(String::new), use_node_ref());
    let (threads, now) = (use_state(Vec::<Thread>::new), state.setter());
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
    let refresh = {
        let (client, note, threads) = (project.client.clone(), note.setter(), threads.setter());
        move |_: MouseEvent| {
            let (client, note, threads) = (client.clone(), note.clone(), threads.clone());
            spawn_local(async move {
                match look_up(&client).await {
                    Ok((used, list)) => (note.set(used), threads.set(list)),
                    Err(error) => (note.set(said(&error)), ()),
                };
            });
        }
    };
    let supabase = project.supabase.clone();
    let sign_out = move |_: MouseEvent| {
        let supabase = supabase.clone();
        spawn_local(async move { drop(supabase.sign_out(Scope::Local).await) });
    };
    let thread = |Thread { id, title, .. }: &Thread| {
        let (id, chat) = (id.clone(), chat.clone());
        let open = move |_: MouseEvent| chat.set_thread(Some(&id));
        html! { <button onclick={open}>{title.as_deref().unwrap_or("Untitled")}</button> }
    };
    html! {
        <>
            <ol>{ for state.messages.iter().map(|message| html! {
                <li key={message.id} data-role={message.role.clone()}>{&message.text}</li>
            }) }</ol>
            <p role="status">{state.outcome.map_or(state.status.as_str(), |outcome| outcome.as_str())}</p>
            <p role="alert">{state.error.as_ref().map(said)}</p>
            <form onsubmit={send}>
                <label>{"Your question "}<input ref={question} /></label>
                <button disabled={state.is_busy()}>{"Send"}</button>
                <button type="button" onclick={act(Chat::stop)}>{"Stop"}</button>
                <button type="button" disabled={state.is_busy()} onclick={act(|chat| { chat.regenerate(); })}>{"Again"}</button>
            </form>
            <button onclick={act(|chat| chat.set_thread(Some(&generate_session_id())))}>{"New thread"}</button>
            <nav>{ for threads.iter().map(thread) }</nav>
            <button onclick={refresh}>{"Refresh"}</button>
            <output>{&*note}</output>
            <button onclick={sign_out}>{"Sign out"}</button>
        </>
    }
}

fn typed(input: &NodeRef) -> String {
    input.cast::<HtmlInputElement>().map(|input| input.value()).unwrap_or_default()
}

/// What the user has used, in words, and the user's threads.
async fn look_up(client: &Client) -> Result<(String, Vec<Thread>), Error> {
    let UsageReport { totals, .. } = client.usage(&UsageQuery::new()).await?.parse()?;
    let used = format!("{} requests, {} tokens", totals.requests, totals.tokens());
    Ok((used, client.threads().await?.parse()?))
}

/// What went wrong, and what to do about it.
fn said(error: &Error) -> String {
    format!("{}. {}", error.message(), error.hint())
}
