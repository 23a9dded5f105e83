//! The page around everything.

use axum::extract::{Query, State};
use maud::{DOCTYPE, Markup, html};

use super::state::{Dashboard, Failure};
use super::view::{View, WINDOWS};
use super::{live, settings};

/// `GET /dashboard`
pub(super) async fn show(State(dashboard): State<Dashboard>, Query(view): Query<View>) -> Result<Markup, Failure> {
    let (window, _) = view.window();
    let live = live::render(&dashboard, &view).await?;
    let settings = settings::render(&dashboard).await?;
    Ok(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "behest-local dashboard" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/dashboard/style.css";
                script type="module" src="/dashboard/live.js" {}
            }
            body {
                a.skip href="#settings" { "Skip to the settings" }
                header {
                    h1 { "behest-local " span.muted { "dashboard" } }
                    p.small.muted #state role="status" { "As of loading" }
                }
                main {
                    @if let Some(problem) = &view.problem {
                        p.notice.problem role="alert" { (problem) }
                    } @else if let Some(done) = &view.done {
                        p.notice role="status" { (done) }
                    }
                    nav.tabs aria-label="Time shown" {
                        @for (name, text, _) in WINDOWS {
                            a href={ "?window=" (name) } aria-current=[(name == window).then_some("page")] { (text) }
                        }
                        a.export href={ "/dashboard/usage.csv?window=" (window) } download { "Export CSV" }
                    }
                    div #live data-window=(window) { (live) }
                    (settings)
                }
                footer.small.muted {
                    "Supabase at " code { (dashboard.shared.supabase_url) } ", gateway at " code { (dashboard.shared.gateway_url) }
                    ". Nothing here is the real Behest: tokens say " code { "iss: behest-local" } "."
                }
            }
        }
    })
}
