//! The page by itself (`csr`), the page that takes over what a server drew (`hydrate`), and that server (`ssr`).

use example_leptos::{Page, Settings};
use leptos::prelude::*;

#[cfg(not(feature = "ssr"))]
fn main() {
    console_error_panic_hook::set_once();
    let page = || view! { <Page connected=Settings::of_page().connect() /> };
    #[cfg(feature = "hydrate")]
    leptos::mount::hydrate_body(page);
    #[cfg(not(feature = "hydrate"))]
    mount_to_body(page);
}

/// Pages and token endpoint. `PAGES` is the folder of what wasm-bindgen made of the page, `LISTEN` by default 127.0.0.1:3000.
#[cfg(feature = "ssr")]
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use behest_client::server::{TokenEndpoint, axum::router};

    let setting = |name: &str| std::env::var(name).with_context(|| format!("set {name}"));
    // First of all: its error lists every setting that is missing.
    let endpoint = TokenEndpoint::from_env()?;
    let listen = setting("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let settings = Settings {
        supabase_url: setting("SUPABASE_URL")?,
        publishable_key: setting("SUPABASE_PUBLISHABLE_KEY")?,
        behest_url: setting("BEHEST_BASE_URL")?,
        token_url: format!("{origin}/behest-token"),
    };
    // What Leptos spawns while it draws runs on tokio.
    any_spawner::Executor::init_tokio()?;
    // Nobody is signed in here, so that all requests can share it.
    let connected = settings.connect();
    let app = axum::Router::new()
        .nest("/behest-token", router(endpoint))
        .nest_service("/pkg", tower_http::services::ServeDir::new(setting("PAGES")?))
        .fallback(leptos_axum::render_app_to_stream(move || shell(settings.clone(), connected.clone())));
    println!("listening {origin}");
    axum::serve(listener, app).await?;
    Ok(())
}

#[cfg(feature = "ssr")]
fn shell(
    settings: Settings,
    connected: Result<(behest_client::auth::Supabase, behest_client::Client), behest_client::Error>,
) -> impl IntoView {
    let Settings { supabase_url, publishable_key, behest_url, token_url } = settings;
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <title>"behest-client in Leptos"</title>
                <link rel="icon" href="data:," />
                <script type="module">
                    "import init from '/pkg/example-leptos-hydrate.js';
                    await init({ module_or_path: '/pkg/example-leptos-hydrate_bg.wasm' });"
                </script>
            </head>
            <body
                data-supabase-url=supabase_url
                data-publishable-key=publishable_key
                data-behest-url=behest_url
                data-token-url=token_url
            >
                <Page connected />
            </body>
        </html>
    }
}
