//! What the page's forms do. Each goes back to the page and says what was done, or why nothing was.

use std::time::Duration;

use anyhow::{Result, ensure};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::room::Room;
use super::state::{Dashboard, Failure};
use crate::domain::limits::{Allowance, Scope};
use crate::domain::origins::is_origin;
use crate::store::{budgets, settings};

/// The fields of all forms; each reads its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fields {
    key: String,
    add: String,
    remove: String,
    scope: String,
    subject: String,
    amount: String,
    killed: String,
    tiers: String,
    texts: String,
    /// Where the form stands, and its answer is shown.
    room: Room,
}

type Posted = Result<Form<Fields>, FormRejection>;

pub(super) async fn origins(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        let mut list = dashboard.shared.origins.list();
        let done = if fields.remove.is_empty() {
            let origin = fields.add.trim();
            ensure!(
                is_origin(origin),
                "{origin:?} is not an origin: write scheme, host and port as in http://localhost:3000, \
                 in lower case, without a path or a trailing slash"
            );
            list.push(origin.to_owned());
            format!("{origin} may call now")
        } else {
            list.retain(|origin| *origin != fields.remove);
            format!("{} may not call any more", fields.remove)
        };
        list.sort();
        list.dedup();
        let kept: Vec<String> = list.iter().filter(|origin| !dashboard.implied.contains(origin)).cloned().collect();
        dashboard.shared.store.run(move |db| settings::set(db, settings::ORIGINS, Some(&kept.join("\n")))).await?;
        dashboard.shared.origins.set(list);
        dashboard.functions.redeploy()?;
        dashboard.shared.activity.forget_refusals(fields.add.trim());
        Ok(done)
    })
    .await
}

pub(super) async fn budgets(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        let scope: Scope = fields.scope.parse()?;
        let subject = fields.subject.trim().to_owned();
        ensure!(scope != Scope::Project || subject.is_empty(), "the project's budget is not of one id: leave it empty");
        let removes = !fields.remove.is_empty();
        let allowance: Option<Allowance> = if removes { None } else { Some(fields.amount.parse()?) };
        dashboard.shared.store.run(move |db| budgets::set(db, scope, &subject, allowance)).await?;
        Ok(if removes { "The budget is removed" } else { "The budget is set" }.to_owned())
    })
    .await
}

pub(super) async fn faults(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        let done = if fields.remove.is_empty() {
            let fault = fields.add.parse()?;
            dashboard.shared.faults.lock().push(fault);
            "The fault is set"
        } else {
            dashboard.shared.faults.lock().retain(|fault| fault.text != fields.remove);
            "The fault is removed"
        };
        dashboard.shared.keep_faults().await?;
        Ok(done.to_owned())
    })
    .await
}

pub(super) async fn switches(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        let shared = &dashboard.shared;
        Ok(match (fields.killed.as_str(), fields.tiers.as_str(), fields.texts.as_str()) {
            (_, _, "on") => {
                shared.activity.keep_texts(true);
                "Prompts and answers are kept from now on"
            }
            (_, _, "off") => {
                shared.activity.keep_texts(false);
                "Prompts and answers are forgotten"
            }
            ("on", ..) => {
                shared.set_killed(true).await?;
                "The gateway refuses every call now"
            }
            ("off", ..) => {
                shared.set_killed(false).await?;
                "The gateway answers again"
            }
            (_, "on", _) => {
                shared.set_tier_limits(true).await?;
                "Tier limits are enforced"
            }
            _ => {
                shared.set_tier_limits(false).await?;
                "Tier limits are not enforced any more"
            }
        }
        .to_owned())
    })
    .await
}

pub(super) async fn keys(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |_| {
        dashboard.shared.admin().rotate_keys().await?;
        Ok("New keys sign from now on; what the old ones signed stays valid".to_owned())
    })
    .await
}

pub(super) async fn plans(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        dashboard.shared.admin().set_plan(&fields.subject, &fields.add).await?;
        Ok(format!("The plan is {} now; tokens that are minted from now on say so", fields.add))
    })
    .await
}

pub(super) async fn bans(State(dashboard): State<Dashboard>, headers: HeaderMap, posted: Posted) -> Response {
    answer(&dashboard, &headers, posted, async |fields| {
        let banned = fields.add == "on";
        dashboard.shared.admin().set_ban(&fields.subject, banned.then_some(FOR_GOOD)).await?;
        Ok(if banned { "The user cannot sign in any more" } else { "The user may sign in again" }.to_owned())
    })
    .await
}

/// As long as Supabase's own longest ban, a century.
const FOR_GOOD: Duration = Duration::from_secs(876_000 * 3600);

/// A form that stands in this room: where it goes, and the key that shows it is ours.
pub(super) fn form(dashboard: &Dashboard, room: Room, action: &str, class: Option<&str>, fields: &Markup) -> Markup {
    html! {
        form class=[class] method="post" action={ "/dashboard/" (action) } {
            input type="hidden" name="key" value=(dashboard.form_key);
            input type="hidden" name="room" value=(room.name());
            (fields)
        }
    }
}

/// A button that switches something.
pub(super) fn switch(dashboard: &Dashboard, room: Room, name: &str, to: &str, class: &str, text: &str) -> Markup {
    let fields = html! { input type="hidden" name=(name) value=(to); button class=(class) { (text) } };
    form(dashboard, room, "switches", Some("inline"), &fields)
}

/// A button that lets the pages of an origin call.
pub(super) fn allow(dashboard: &Dashboard, room: Room, origin: &str) -> Markup {
    let fields = html! {
        input type="hidden" name="add" value=(origin);
        button { "Allow " span.visually-hidden { (origin) } }
    };
    form(dashboard, room, "origins", Some("inline"), &fields)
}

/// A button that takes a fault away.
pub(super) fn remove_fault(dashboard: &Dashboard, room: Room, fault: &str) -> Markup {
    let fields = html! { input type="hidden" name="remove" value=(fault); button { "Remove the fault" } };
    form(dashboard, room, "faults", Some("inline"), &fields)
}

/// Checks that the form came from the page, does what it asks for, and goes back to the page.
async fn answer(
    dashboard: &Dashboard,
    headers: &HeaderMap,
    posted: Posted,
    work: impl AsyncFnOnce(Fields) -> Result<String>,
) -> Response {
    let Ok(Form(fields)) = posted else {
        return (StatusCode::BAD_REQUEST, "This is not the page's form.").into_response();
    };
    let is_ours = verify_slices_are_equal(fields.key.as_bytes(), dashboard.form_key.as_bytes()).is_ok();
    if !is_ours || is_cross_site(headers) {
        let why = "This form did not come from the dashboard as it is now. Go back, reload it, and try again.";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let room = fields.room;
    let notice = work(fields).await.map_err(|error| format!("{error:#}"));
    match dashboard.notices.keep(notice) {
        Ok(name) => Redirect::to(&format!("/dashboard/{}?notice={name}", room.name())).into_response(),
        Err(error) => Failure::from(error).into_response(),
    }
}

/// What a browser says of the request itself; programs say nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return true;
    }
    match (text(header::ORIGIN.as_str()), text(header::HOST.as_str())) {
        (Some(origin), Some(host)) => origin.split_once("://").is_none_or(|(_, place)| place != host),
        _ => false,
    }
}
