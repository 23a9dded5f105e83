//! The page around every room.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::forms::switch;
use super::room::Room;
use super::state::{Dashboard, Failure};
use super::view::{View, WINDOWS};
use super::{overview, request, requests, settings, tokens, users};

/// `GET /dashboard`
pub(super) async fn first(State(dashboard): State<Dashboard>, Query(view): Query<View>) -> Result<Markup, Failure> {
    page(&dashboard, Room::Overview, &view).await
}

/// `GET /dashboard/{room}`
pub(super) async fn show(
    State(dashboard): State<Dashboard>,
    Path(name): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Failure> {
    let Some(room) = Room::of(&name) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    Ok(page(&dashboard, room, &view).await?.into_response())
}

async fn page(dashboard: &Dashboard, room: Room, view: &View) -> Result<Markup, Failure> {
    let live = live(dashboard, room, view).await?;
    let before = match room {
        Room::Requests => requests::filter(view),
        _ => Markup::default(),
    };
    let after = match room {
        Room::Users => users::list(dashboard).await?,
        Room::Settings => settings::render(dashboard).await?,
        _ => Markup::default(),
    };
    Ok(shell(dashboard, room, view, &html! { (before) div #live data-room=(room.name()) { (live) } (after) }))
}

/// `GET /dashboard/live/{room}`: the part of a room that changes by itself.
pub(super) async fn refresh(
    State(dashboard): State<Dashboard>,
    Path(name): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Failure> {
    let Some(room) = Room::of(&name) else { return Ok(StatusCode::NOT_FOUND.into_response()) };
    Ok(live(&dashboard, room, &view).await?.into_response())
}

/// `GET /dashboard/requests/{id}`
pub(super) async fn one(State(dashboard): State<Dashboard>, Path(id): Path<u64>, Query(view): Query<View>) -> Response {
    let served = dashboard.shared.activity.log().served.iter().find(|served| served.id == id).cloned();
    let Some(served) = served else {
        return (StatusCode::NOT_FOUND, "This request is not known any more: the latest 400 are kept.").into_response();
    };
    let body = request::render(&dashboard, &served);
    shell(&dashboard, Room::Requests, &view, &html! { div #live { (banner(&dashboard, Room::Requests)) (body) } })
        .into_response()
}

async fn live(dashboard: &Dashboard, room: Room, view: &View) -> Result<Markup, Failure> {
    let content = match room {
        Room::Overview => overview::render(dashboard, view).await?,
        Room::Requests => requests::render(dashboard, view),
        Room::Users => users::render(dashboard, view).await?,
        Room::Tokens => tokens::render(dashboard),
        Room::Settings => html! {},
    };
    Ok(html! { (banner(dashboard, room)) (content) })
}

/// What nobody must overlook.
fn banner(dashboard: &Dashboard, room: Room) -> Markup {
    html! {
        @if dashboard.shared.controls.killed() {
            div.banner role="alert" {
                strong { "The kill switch is on: the gateway refuses every call." }
                (switch(dashboard, room, "killed", "off", "primary", "Let the gateway answer"))
            }
        }
    }
}

fn shell(dashboard: &Dashboard, room: Room, view: &View, content: &Markup) -> Markup {
    let (window, _) = view.window();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (room.title()) " · behest-local" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/dashboard/style.css";
                script type="module" src="/dashboard/live.js" {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    h1 { "behest-local" }
                    p.small.muted #state role="status" { "As of loading" }
                    nav.rooms aria-label="Rooms" {
                        @for other in Room::ALL {
                            a href={ "/dashboard/" (other.name()) } aria-current=[(other == room).then_some("page")] {
                                (other.title())
                            }
                        }
                    }
                }
                main #content tabindex="-1" {
                    h2.visually-hidden { (room.title()) }
                    @match dashboard.notices.take(&view.notice) {
                        Some(Err(problem)) => p.notice.problem role="alert" { (problem) },
                        Some(Ok(done)) => p.notice role="status" { (done) },
                        None => {},
                    }
                    @if room.has_window() {
                        nav.tabs aria-label="Time shown" {
                            @for (name, text, _) in WINDOWS {
                                a href={ "?window=" (name) } aria-current=[(name == window).then_some("page")] { (text) }
                            }
                            a.export href={ "/dashboard/usage.csv?window=" (window) } download { "Export CSV" }
                        }
                    }
                    (content)
                }
                footer.small.muted {
                    "Supabase at " code { (dashboard.shared.supabase_url) } ", gateway at " code { (dashboard.shared.gateway_url) }
                    ". Nothing here is the real Behest: tokens say " code { "iss: behest-local" } "."
                }
            }
        }
    }
}
