//! The axum server of the conformance suite: `/{name}` is the token endpoint with the settings of that name.

use std::collections::BTreeMap;

use behest_client::server::axum::router;
use behest_client::server::{Config, TokenEndpoint};
use serde_json::Value;

type Settings = BTreeMap<String, BTreeMap<String, Value>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let settings: Settings = serde_json::from_str(&std::env::var("SETTINGS")?)?;
    let mut app = axum::Router::new();
    for (name, variables) in settings {
        let config = Config::from_lookup(|name| variables.get(name)?.as_str().map(str::to_owned))?;
        app = app.nest(&format!("/{name}"), router(TokenEndpoint::new(config)?));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?.port());
    axum::serve(listener, app).await?;
    Ok(())
}
