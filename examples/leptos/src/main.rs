//! A chat in Leptos. Whoever signs in elsewhere in the page, with supabase-js even, is signed in here.

use behest_client::auth::{Scope, Supabase};
use behest_client::client::{Chat, ChatState, UsageQuery, UsageReport};
use behest_client::{Client, Error};
use leptos::prelude::*;
use leptos::task::spawn_local;

fn main() {
    console_error_panic_hook::set_once();
    mount_to_body(|| match connect() {
        Ok((supabase, client)) => view! { <App supabase client /> }.into_any(),
        Err(error) => view! { <p role="alert">{error.to_string()}</p> }.into_any(),
    });
}

fn connect() -> Result<(Supabase, Client), Error> {
    let settings = document().body().map(|body| body.dataset());
    let setting = |name: &str| settings.as_ref().and_then(|settings| settings.get(name)).unwrap_or_default();
    let supabase = Supabase::new(setting("supabaseUrl"), setting("publishableKey"))?;
    let client = Client::builder(setting("behestUrl")).supabase(&supabase, "behest-token").build()?;
    Ok((supabase, client))
}

#[component]
fn App(supabase: Supabase, client: Client) -> impl IntoView {
    let user = RwSignal::new(None);
    let following = supabase.on_change(move |_, session| user.set(session.map(|session| session.user().clone())));
    following.forget();
    provide_context(supabase);
    provide_context(client);
    // New tokens of the same user are no reason to draw the page anew.
    let user_id = Memo::new(move |_| user.get().map(|user| user.id));
    move || match user_id.get() {
        Some(_) => view! { <Room /> }.into_any(),
        None => view! { <SignIn /> }.into_any(),
    }
}

#[component]
fn SignIn() -> impl IntoView {
    let supabase = expect_context::<Supabase>();
    let (email, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let problem = RwSignal::new(String::new());
    let sign_in = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let supabase = supabase.clone();
        spawn_local(async move {
            let signed_in = supabase.sign_in_with_password(&email.get_untracked(), &password.get_untracked()).await;
            problem.set(signed_in.err().map(|error| said(&error)).unwrap_or_default());
        });
    };
    view! {
        <form on:submit=sign_in>
            <label>"Email " <input type="email" bind:value=email required /></label>
            <label>"Password " <input type="password" bind:value=password required /></label>
            <button>"Sign in"</button>
            <p role="alert">{problem}</p>
        </form>
    }
}

#[component]
fn Room() -> impl IntoView {
    let (supabase, client) = (expect_context::<Supabase>(), expect_context::<Client>());
    let (state, question, usage) =
        (RwSignal::new(ChatState::default()), RwSignal::new(String::new()), RwSignal::new(String::new()));
    // Dropped with the room, it cancels what is under way.
    let chat = StoredValue::new(Chat::new(&client, move |now| state.set(now.clone())));
    let send = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if chat.with_value(|chat| chat.send(question.get_untracked())) {
            question.set(String::new());
        }
    };
    let show_usage = move |_| {
        let client = client.clone();
        spawn_local(async move {
            let reply = client.usage(&UsageQuery::new()).await.and_then(|reply| reply.parse::<UsageReport>());
            usage.set(match reply {
                Ok(report) => format!("{} requests, {} tokens", report.totals.requests, report.totals.tokens()),
                Err(error) => said(&error),
            });
        });
    };
    let sign_out = move |_| {
        let supabase = supabase.clone();
        spawn_local(async move { supabase.sign_out(Scope::Local).await.unwrap_or_default() });
    };
    let status = move || state.with(|state| state.outcome.map_or(state.status.as_str(), |outcome| outcome.as_str()));
    let problem = move || state.with(|state| state.error.as_ref().map(said));
    view! {
        <ol>
            <For
                each=move || state.get().messages
                key=|message| (message.id, message.text.len())
                children=|message| view! { <li data-role=message.role.clone()>{message.text.clone()}</li> }
            />
        </ol>
        <p role="status">{status}</p>
        <p role="alert">{problem}</p>
        <form on:submit=send>
            <label>"Your question " <input bind:value=question /></label>
            <button>"Send"</button>
            <button type="button" on:click=move |_| chat.with_value(Chat::stop)>"Stop"</button>
            <button type="button" on:click=move |_| { chat.with_value(Chat::regenerate); }>"Again"</button>
        </form>
        <button on:click=show_usage>"Usage"</button>
        <output>{usage}</output>
        <button on:click=sign_out>"Sign out"</button>
    }
}

/// What went wrong, and what to do about it.
fn said(error: &Error) -> String {
    format!("{}. {}", error.message(), error.hint())
}
