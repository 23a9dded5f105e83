//! A chat in Leptos. Whoever signs in elsewhere in the page, with supabase-js even, is signed in here.

use behest_client::auth::{Scope, Supabase};
use behest_client::client::{Chat, ChatState, Thread, UsageQuery, UsageReport, generate_session_id};
use behest_client::{Client, Error};
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};

type Connected = Result<(Supabase, Client), Error>;

/// What a page is told in the attributes of its body. Nothing of it is a secret.
#[derive(Clone)]
pub struct Settings {
    pub supabase_url: String,
    pub publishable_key: String,
    pub behest_url: String,
    /// Of the server that draws the page; without one Supabase's function is asked.
    pub token_url: String,
}

impl Settings {
    #[cfg(not(feature = "ssr"))]
    pub fn of_page() -> Self {
        let settings = document().body().map(|body| body.dataset());
        let setting = |name| settings.as_ref().and_then(|settings| settings.get(name)).unwrap_or_default();
        let (supabase_url, publishable_key) = (setting("supabaseUrl"), setting("publishableKey"));
        Self { supabase_url, publishable_key, behest_url: setting("behestUrl"), token_url: setting("tokenUrl") }
    }

    pub fn connect(&self) -> Connected {
        let supabase = Supabase::new(&*self.supabase_url, &*self.publishable_key)?;
        let client = Client::builder(&*self.behest_url).supabase(&supabase, "behest-token");
        let client = if self.token_url.is_empty() { client } else { client.token_url(&*self.token_url) };
        client.build().map(|client| (supabase, client))
    }
}

#[component]
pub fn Page(connected: Connected) -> impl IntoView {
    match connected {
        Ok((supabase, client)) => view! { <App supabase client /> }.into_any(),
        Err(error) => view! { <p role="alert">{error.to_string()}</p> }.into_any(),
    }
}

#[component]
fn App(supabase: Supabase, client: Client) -> impl IntoView {
    let user = RwSignal::new(None);
    provide_context(supabase.clone());
    provide_context(client);
    // An effect waits until the page has taken over what the server drew, where nobody is signed in.
    Effect::new(move |_| {
        supabase.on_change(move |_, session| user.set(session.map(|session| session.user().clone()))).forget();
    });
    // New tokens of the same user are no reason to draw the page anew.
    let user_id = Memo::new(move |_| user.get().map(|user| user.id));
    move || match user_id.get() {
        Some(_) => view! { <Room /> }.into_any(),
        None => view! { <SignIn /> }.into_any(),
    }
}

#[component]
fn SignIn() -> impl IntoView {
    let supabase = StoredValue::new(expect_context::<Supabase>());
    let [email, password, problem] = [(); 3].map(|()| RwSignal::new(String::new()));
    let is_awake = RwSignal::new(false);
    Effect::new(move |_| is_awake.set(true));
    let sign_in = move |event: SubmitEvent| {
        event.prevent_default();
        spawn_local(async move {
            let (supabase, email, password) = (supabase.get_value(), email.get_untracked(), password.get_untracked());
            let signed_in = supabase.sign_in_with_password(&email, &password).await;
            problem.set(signed_in.err().map(|error| said(&error)).unwrap_or_default());
        });
    };
    view! {
        <form on:submit=sign_in>
            <label>"Email " <input type="email" bind:value=email required /></label>
            <label>"Password " <input type="password" bind:value=password required /></label>
            <button disabled=move || !is_awake.get()>"Sign in"</button>
            <p role="alert">{problem}</p>
        </form>
    }
}

#[component]
fn Room() -> impl IntoView {
    let (supabase, client) =
        (StoredValue::new(expect_context::<Supabase>()), StoredValue::new(expect_context::<Client>()));
    let (state, threads) = (RwSignal::new(ChatState::default()), RwSignal::new(Vec::new()));
    let [question, note] = [(); 2].map(|()| RwSignal::new(String::new()));
    // Dropped with the room, it cancels what is under way.
    let chat = StoredValue::new(Chat::new(&client.get_value(), move |now| state.set(now.clone())));
    let send = move |event: SubmitEvent| {
        event.prevent_default();
        chat.with_value(|chat| chat.send(question.get_untracked())).then(|| question.set(String::new()));
    };
    let refresh = move |_| {
        spawn_local(async move {
            match look_up(&client.get_value()).await {
                Ok((used, list)) => (note.set(used), threads.set(list)).1,
                Err(error) => note.set(said(&error)),
            }
        })
    };
    let open = move |id: &str| chat.with_value(|chat| chat.set_thread(Some(id)));
    let sign_out = move |_| spawn_local(async move { drop(supabase.get_value().sign_out(Scope::Local).await) });
    let is_busy = move || state.with(ChatState::is_busy);
    let status = move || state.with(|state| state.outcome.map_or(state.status.as_str(), |outcome| outcome.as_str()));
    view! {
        <ol>
            <For each=move || state.get().messages key=|message| (message.id, message.text.len()) let:message>
                <li data-role=message.role.clone()>{message.text.clone()}</li>
            </For>
        </ol>
        <p role="status">{status}</p>
        <p role="alert">{move || state.with(|state| state.error.as_ref().map(said))}</p>
        <form on:submit=send>
            <label>"Your question " <input bind:value=question /></label>
            <button disabled=is_busy>"Send"</button>
            <button type="button" on:click=move |_| chat.with_value(Chat::stop)>"Stop"</button>
            <button type="button" disabled=is_busy on:click=move |_| { chat.with_value(Chat::regenerate); }>"Again"</button>
        </form>
        <button on:click=move |_| open(&generate_session_id())>"New thread"</button>
        <nav>
            <For
                each=move || threads.get()
                key=|thread| thread.id.clone()
                children=move |Thread { id, title, .. }| view! {
                    <button on:click=move |_| open(&id)>{title.unwrap_or_else(|| "Untitled".to_owned())}</button>
                }
            />
        </nav>
        <button on:click=refresh>"Refresh"</button>
        <output>{note}</output>
        <button on:click=sign_out>"Sign out"</button>
    }
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
