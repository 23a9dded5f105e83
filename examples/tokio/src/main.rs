//! A chat in a terminal. Ctrl-C stops an answer, and at the prompt it ends the program. `usage` says what was spent.

use std::env;
use std::io::{self, Write as _};

use anyhow::Context as _;
use behest_client::auth::{Scope, Supabase};
use behest_client::client::{ChatRequest, Message, UsageQuery, UsageReport};
use behest_client::{Action, Client, Error};
use futures_util::StreamExt as _;
use tokio::signal::ctrl_c;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let supabase = Supabase::new(setting("SUPABASE_URL")?, setting("SUPABASE_PUBLISHABLE_KEY")?)?;
    let client = Client::builder(setting("BEHEST_URL")?).supabase(&supabase, "behest-token").build()?;
    let mut lines = lines();
    if sign_in(&supabase, &mut lines).await?.is_some() {
        chat(&client, &mut lines).await?;
        supabase.sign_out(Scope::Local).await?;
    }
    println!("Bye.");
    Ok(())
}

fn setting(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("set {name}: `behest-local start --demo-user` prints it"))
}

/// Asks until somebody is signed in; `None` if nobody wants to be.
async fn sign_in(supabase: &Supabase, lines: &mut Lines) -> anyhow::Result<Option<()>> {
    loop {
        let Some(email) = lines.ask("Email: ").await? else { return Ok(None) };
        let Some(password) = lines.ask("Password: ").await? else { return Ok(None) };
        match supabase.sign_in_with_password(&email, &password).await {
            Ok(session) => {
                println!("Signed in as {}.", session.user().email.as_deref().unwrap_or("a guest"));
                return Ok(Some(()));
            }
            Err(error) => tell(&error),
        }
    }
}

async fn chat(client: &Client, lines: &mut Lines) -> anyhow::Result<()> {
    let mut messages = Vec::new();
    while let Some(line) = lines.ask("> ").await? {
        match line.trim() {
            "" => {}
            "usage" => usage(client).await,
            question => {
                messages.push(Message::user(question));
                match answer(client, &messages).await {
                    Ok(text) => messages.push(Message::assistant(text)),
                    Err(error) => {
                        tell(&error);
                        messages.pop();
                        if error.action() == Action::SignIn {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

/// Prints the answer as it comes. Stopped, it is as long as it is.
async fn answer(client: &Client, messages: &[Message]) -> Result<String, Error> {
    let mut stream = client.chat_stream(&ChatRequest::new(messages)).await?;
    loop {
        tokio::select! {
            chunk = stream.next() => match chunk {
                Some(chunk) => show(chunk?.text()),
                None => break,
            },
            // Whoever drops the stream cancels it, on the wire too.
            _ = ctrl_c() => {
                show(" [stopped]");
                break;
            }
        }
    }
    println!();
    Ok(stream.text().to_owned())
}

async fn usage(client: &Client) {
    let reply = client.usage(&UsageQuery::new()).await;
    match reply.and_then(|reply| reply.parse::<UsageReport>()) {
        Ok(UsageReport { totals, .. }) => {
            println!("{} requests, {} tokens, ${:.6}", totals.requests, totals.tokens(), totals.cost_usd);
        }
        Err(error) => tell(&error),
    }
}

fn show(text: &str) {
    print!("{text}");
    // A terminal that is gone needs no text.
    let _ = io::stdout().flush();
}

/// What went wrong, and what to do about it.
fn tell(error: &Error) {
    println!("{}. {}", error.message(), error.hint());
}

/// What is typed, line by line.
struct Lines(UnboundedReceiver<io::Result<String>>);

/// A thread of its own reads: it may wait for ever without holding up the program's end.
fn lines() -> Lines {
    let (send, receive) = unbounded_channel();
    std::thread::spawn(move || io::stdin().lines().try_for_each(|line| send.send(line)));
    Lines(receive)
}

impl Lines {
    /// The next line; `None` at the end, and after Ctrl-C.
    async fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        show(prompt);
        tokio::select! {
            line = self.0.recv() => line.transpose(),
            _ = ctrl_c() => Ok(None),
        }
    }
}
