//! Users and sessions.

use maud::{Markup, html};

use super::card::Card;
use super::format::{Ids, ago, id, none, number};
use super::forms::form;
use super::overview::used;
use super::room::Room;
use super::state::{Dashboard, Failure};
use super::view::View;
use super::{chart, format, requests};
use crate::admin::PLANS;
use crate::store::report::{self, By, SessionUse, Share};
use crate::store::users::{self, UserRow};

const LINES: u32 = 12;
const LISTED: u32 = 50;

pub(super) async fn render(dashboard: &Dashboard, view: &View) -> Result<Markup, Failure> {
    let (_, length) = view.window();
    let now = dashboard.shared.clock.now_ms();
    let figures = dashboard.shared.store.read(move |db| {
        let window = View::covers(db, length, now)?;
        Ok((report::shares(db, By::User, window, LINES)?, report::sessions(db, window, LINES)?))
    });
    let (users, sessions) = figures.await?;
    Ok(html! { (by_user(&users)) (latest(&sessions, now)) })
}

fn by_user(users: &[Share]) -> Markup {
    let most: i64 = users.iter().map(|user| user.sums.cost_nanos).sum();
    let ids = Ids::of(users.iter().map(|user| &*user.name));
    let row = |Share { name, of, sums }: &Share| {
        let mut row = vec![ids.show(name), of.as_deref().map_or_else(none, id)];
        row.extend(used(*sums));
        row.push(chart::share(sums.cost_nanos, most));
        row
    };
    let columns = &["User", "Address", "Chats", "Tokens", "Cost", "Share"];
    let card = Card { title: "By user", name: "by-user", wide: true, columns, empty: "No chats in this time." };
    card.of(&users.iter().map(row).collect::<Vec<_>>())
}

fn latest(sessions: &[SessionUse], now: i64) -> Markup {
    let ids = Ids::of(sessions.iter().map(|session| &*session.session_id));
    let row = |session: &SessionUse| {
        let link = html! { a href=(requests::of("session", &session.session_id)) { (ids.show(&session.session_id)) } };
        let mut row = vec![link, id(session.email.as_deref().unwrap_or(&session.user_id))];
        row.extend(used(session.sums));
        row.push(ago(session.last_used, now));
        row
    };
    let columns = &["Session", "User", "Chats", "Tokens", "Cost", "Last used"];
    let card =
        Card { title: "Latest sessions", name: "sessions", wide: true, columns, empty: "No chats in this time." };
    card.of(&sessions.iter().map(row).collect::<Vec<_>>())
}

/// Those who signed up last, and what can be changed about them.
pub(super) async fn list(dashboard: &Dashboard) -> Result<Markup, Failure> {
    let now = dashboard.shared.clock.now_ms();
    let (rows, count) = dashboard.shared.store.read(|db| users::latest(db, LISTED)).await?;
    let row = |user: &UserRow| {
        vec![
            user.email.as_deref().map_or_else(|| html! { span.muted { "anonymous" } }, id),
            format::id(&user.id),
            plan(dashboard, user),
            ago(user.created_at, now),
            user.last_sign_in_at.map_or_else(none, |at| ago(at, now)),
            ban(dashboard, user, now),
        ]
    };
    let columns = &["Address", "Id", "Plan", "Came", "Last sign-in", "Sign-in"];
    let title = if count > i64::from(LISTED) {
        format!("The latest {LISTED} of {} users", number(count))
    } else {
        "Users".to_owned()
    };
    let card = Card { title: &title, name: "users", wide: true, columns, empty: "Nobody has signed up yet." };
    Ok(html! { div.static { (card.of(&rows.iter().map(row).collect::<Vec<_>>())) } })
}

/// For those who read the page with their ears.
fn whose(user: &UserRow) -> &str {
    user.email.as_deref().unwrap_or(&user.id)
}

fn plan(dashboard: &Dashboard, user: &UserRow) -> Markup {
    let fields = html! {
        input type="hidden" name="subject" value=(user.id);
        select name="add" aria-label={ "Plan of " (whose(user)) } {
            @if user.plan.is_none() { option value="" selected { "none" } }
            @for plan in PLANS { option value=(plan) selected[user.plan.as_deref() == Some(plan)] { (plan) } }
        }
        button { "Set" span.visually-hidden { " the plan of " (whose(user)) } }
    };
    form(dashboard, Room::Users, "plans", Some("inline"), &fields)
}

fn ban(dashboard: &Dashboard, user: &UserRow, now: i64) -> Markup {
    let banned = user.banned_until.is_some_and(|until| now < until);
    let (value, text) = if banned { ("off", "Allow") } else { ("on", "Ban") };
    let fields = html! {
        input type="hidden" name="subject" value=(user.id);
        input type="hidden" name="add" value=(value);
        button.danger[!banned] { (text) span.visually-hidden { " " (whose(user)) } }
    };
    form(dashboard, Room::Users, "bans", Some("inline"), &fields)
}
