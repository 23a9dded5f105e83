//! The commands beside `start`, as a person types them, and who may see the tools.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use behest_local::Config;
use serde_json::json;

use crate::operation::Program;
use crate::support::{PAGE, World, config, in_time, send};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_behest-local")).args(arguments).output().unwrap()
}

pub(crate) fn on(data: &Path, command: &str, more: &[&str]) -> Result<String, String> {
    let mut arguments = vec![command, "--data", data.to_str().unwrap()];
    arguments.extend(more);
    let Output { status, stdout, stderr } = run(&arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

#[tokio::test]
async fn users_are_listed_and_given_plans_while_the_servers_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    assert!(on(&data, "users", &[]).unwrap_err().contains("there is no data file"));
    let world = World::with(Config { data: Some(data.clone()), ..config() }).await;
    let ada = world.sign_up("ada@example.com").await;
    let listed = on(&data, "users", &[]).unwrap();
    assert_eq!(listed, format!("{}  free   ada@example.com\n", ada.user));
    let listed = on(&data, "users", &["--set-plan", &ada.user, "pro"]).unwrap();
    assert!(listed.contains("pro"), "{listed}");
    let token = world.token(&ada).await;
    assert_eq!(crate::support::jwt_part(&token, 1)["tier"], 2);
    let unknown = on(&data, "users", &["--set-plan", &ada.user, "gold"]).unwrap_err();
    assert!(unknown.contains("no plan \"gold\": use free, pro, max"), "{unknown}");
    let nobody = on(&data, "users", &["--set-plan", "nobody", "pro"]).unwrap_err();
    assert_eq!(nobody.trim(), "error: there is no user nobody");
}

#[tokio::test]
async fn a_reader_who_has_read_enough_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let world = World::with(Config { data: Some(data.clone()), ..config() }).await;
    world.sign_up("ada@example.com").await;
    for command in ["users", "keys", "status"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut program = Command::new(env!("CARGO_BIN_EXE_behest-local"));
        let program = program.arg(command).args(["--data", data.to_str().unwrap()]).stdout(writer);
        let Output { status, stderr, .. } = program.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        assert!(status.success() && stderr.is_empty(), "{command}: {}", String::from_utf8_lossy(&stderr));
    }
}

#[tokio::test]
async fn tokens_are_minted_and_keys_kept_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let world = World::with(Config { data: Some(data.clone()), ..config() }).await;
    let token = on(&data, "mint", &["--user", "ada", "--tier", "3", "--ttl", "60"]).unwrap();
    let hello = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    assert_eq!(send(world.chat(token.trim(), &hello)).await.status, 200);
    assert!(on(&data, "mint", &["--user", "admin"]).unwrap_err().contains("reserved"));
    assert!(on(&data, "mint", &["--user", "ada", "--tier", "0"]).unwrap_err().contains("tier must be"));
    assert!(on(&data, "mint", &["--user", "ada", "--ttl", "5"]).unwrap_err().contains("60 to 86400"));

    let line = on(&data, "keys", &["--add"]).unwrap();
    let key = line.trim().strip_prefix("BEHEST_KEY=").unwrap();
    let mint =
        async || send(world.post_gateway("/v1/auth/mint", &json!({ "user_id": "a" })).bearer_auth(key)).await.status;
    assert_eq!(mint().await, 200);
    let listed = on(&data, "keys", &[]).unwrap();
    assert!(listed.contains("valid") && !listed.contains(key), "{listed}");
    let id = listed.split_whitespace().next().unwrap();
    assert!(on(&data, "keys", &["--revoke", id]).unwrap().contains("revoked"));
    assert_eq!(mint().await, 401);
}

#[cfg(unix)]
#[tokio::test]
async fn status_and_reset_know_whether_the_servers_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let mut program = Program::start(&data);
    let gateway = program.addresses["gateway"].as_str().unwrap().to_owned();
    assert_eq!(on(&data, "status", &[]).unwrap(), format!("running, gateway at {gateway}\n"));
    assert!(on(&data, "reset", &[]).unwrap_err().contains("stop them first"));
    assert!(!program.signal("-KILL").success());
    assert_eq!(on(&data, "status", &[]).unwrap(), "not running\n", "a killed one does not run either");
    on(&data, "reset", &[]).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

/// A server whose clock has stood still for long.
async fn server_of_yesterday() -> String {
    let app = axum::Router::new().fallback(|| async { [("date", "Mon, 21 Sep 2020 14:13:20 GMT")] });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app).into_future());
    url
}

#[tokio::test]
async fn doctor_does_both_preflights_and_says_what_to_change() {
    let world = World::start().await;
    let doctor = async |origin: &str, supabase: &str, behest: &str| {
        let arguments: Vec<String> = ["doctor", "--origin", origin, "--supabase-url", supabase, "--behest-url", behest]
            .map(str::to_owned)
            .to_vec();
        let done = tokio::task::spawn_blocking(move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
        let output = in_time(done).await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (supabase, gateway) = (&world.running.supabase_url, &world.running.gateway_url);
    let (good, out, _) = doctor(PAGE, supabase, gateway).await;
    assert!(good && out.lines().filter(|line| line.starts_with("ok ")).count() == 5, "{out}");
    let (good, out, error) = doctor("http://localhost:9999", supabase, &format!("{gateway}/v1/")).await;
    assert!(!good && error.contains("2 of 4 checks failed"), "{error}");
    assert!(out.contains("set CORS_ORIGIN to http://localhost:9999"), "{out}");
    assert!(out.contains("Allowed Origins: add http://localhost:9999"), "{out}");
    let (good, out, _) = doctor(PAGE, "http://127.0.0.1:1", gateway).await;
    assert!(!good && out.contains("cannot be reached"), "{out}");
    let (good, out, _) = doctor(PAGE, gateway, supabase).await;
    assert!(!good && out.contains("there is no function of this name") && out.contains("swapped"), "{out}");
    let (good, out, _) = doctor(PAGE, supabase, supabase).await;
    assert!(!good && out.contains("there is no gateway at this URL"), "{out}");
    let (good, out, error) = doctor(PAGE, "localhost:54321", gateway).await;
    assert!(
        !good && out.is_empty() && error.contains("--supabase-url: \"localhost:54321\" must begin with"),
        "{error}"
    );
    let (good, out, _) = doctor(PAGE, &server_of_yesterday().await, gateway).await;
    assert!(!good && out.contains("s ahead of it: set the clock"), "{out}");
    let ada = world.sign_up("ada@example.com").await;
    let of_session = async |supabase: &str| {
        let arguments = ["doctor", "--origin", PAGE, "--supabase-url", supabase, "--behest-url", gateway]
            .map(str::to_owned)
            .to_vec();
        let access = ada.access.clone();
        let run = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_behest-local"));
            command.args(arguments).args(["--session-env", "SESSION"]).env("SESSION", access).output().unwrap()
        };
        let output = in_time(tokio::task::spawn_blocking(run)).await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (good, out) = of_session(supabase).await;
    assert!(good && out.contains("ok    the access token is a session of the Supabase project"), "{out}");
    let elsewhere = supabase.replace("127.0.0.1", "localhost");
    let (good, out) = of_session(&elsewhere).await;
    assert!(!good && out.contains(&format!("issued by {supabase}/auth/v1, not by {elsewhere}/auth/v1")), "{out}");
    let (good, _, error) = doctor("http://localhost:9999/", supabase, gateway).await;
    assert!(!good && error.contains("is not an origin"), "{error}");
    assert_eq!(world.counted("mint"), 0);
}

#[tokio::test]
async fn a_proxy_of_the_system_stands_before_other_machines_alone() {
    let nobody = [("HTTP_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "")];
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start_where(&folder.path().join("data.sqlite"), &nobody);
    program.ask().await;
    let url = |name: &str| program.addresses[name].as_str().unwrap();
    let arguments = ["doctor", "--origin", PAGE, "--supabase-url", url("supabase"), "--behest-url", url("gateway")];
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_behest-local"));
    let Output { stdout, .. } = doctor.args(arguments).envs(nobody).output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    assert!(said.contains("ok    the clocks of this machine and the gateway agree"), "{said}");
    assert!(!said.contains("cannot be reached"), "{said}");
}

#[tokio::test]
async fn the_tools_and_the_dashboard_answer_to_names_of_this_machine_alone() {
    let world = World::start().await;
    for path in ["/_local/counters", "/_local/mail", "/dashboard", "/dashboard/live/requests", "/dashboard/usage.csv"] {
        assert_eq!(send(world.get_gateway(path)).await.status, 200, "{path}");
        let rebound = send(world.get_gateway(path).header("host", "evil.example")).await;
        assert_eq!(rebound.status, 404, "{path} under another name");
    }
    assert_eq!(send(world.get_gateway("/dashboard/cellar")).await.status, 404);
}

#[cfg(unix)]
#[tokio::test]
async fn the_dashboard_says_how_to_connect_and_it_works() {
    let world = World::start().await;
    let page = send(world.get_gateway("/dashboard/settings")).await.text;
    let copied: Vec<String> = page
        .split("data-copy=\"")
        .skip(1)
        .map(|rest| {
            rest.split('"')
                .next()
                .unwrap()
                .replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        })
        .collect();
    let behest_key = world.running.behest_key.expose();
    for shown in [&world.running.supabase_url, &world.running.gateway_url, &world.running.publishable_key, behest_key] {
        assert!(copied.contains(shown), "{shown}");
    }
    let curl = copied.iter().find(|text| text.contains("curl")).unwrap().clone();
    let key = behest_key.clone();
    let run = move || Command::new("sh").args(["-c", &curl]).env("BEHEST_KEY", key).output().unwrap();
    let output = in_time(tokio::task::spawn_blocking(run)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("You wrote: “Hi!”"), "{said} {}", String::from_utf8_lossy(&output.stderr));
}
