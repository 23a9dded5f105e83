//! Starting, stopping, and what outlives a stop; the page's origin; the program itself.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use behest_local::{Config, Upstream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{DEADLINE, PAGE, World, config, in_time, send};

async fn refusal(config: Config) -> String {
    format!("{:#}", in_time(behest_local::start(config)).await.unwrap_err())
}

#[tokio::test]
async fn switches_and_faults_are_as_they_were_left() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Config { data: Some(folder.path().join("data.sqlite")), ..config() };
    let world = World::with(settings()).await;
    let page = send(world.get_gateway("/dashboard/settings")).await.text;
    let key = page.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let post = async |path: &str, field: &str, value: &str| {
        let fields = reqwest::Url::parse_with_params("http://localhost", [("key", key), (field, value)]).unwrap();
        let form = world.http.post(format!("{}{path}", world.running.gateway_url));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(send(form.body(fields.query().unwrap().to_owned())).await.status, 303);
    };
    post("/dashboard/switches", "killed", "on").await;
    post("/dashboard/switches", "tiers", "on").await;
    post("/dashboard/faults", "add", "models status=503 times=2").await;
    post("/dashboard/faults", "add", "usage status=500").await;
    assert_eq!(send(world.get_gateway("/v1/models")).await.status, 503);
    in_time(world.running.stop()).await;

    let world = World::with(settings()).await;
    let page = send(world.get_gateway("/dashboard/settings")).await.text;
    for shown in ["The gateway refuses every call.", "Tier limits are enforced.", "usage status=500"] {
        assert!(page.contains(shown), "{shown}");
    }
    assert_eq!(world.mint(&json!({ "user_id": "ada" })).await.refusal().0, 403);
    world.running.set_killed(false).await.unwrap();
    let token = world.minted("ada").await;
    let models = async || send(world.get_gateway("/v1/models").bearer_auth(&token)).await.status.as_u16();
    assert_eq!((models().await, models().await), (503, 200), "one of two was left");
    in_time(world.running.stop()).await;

    let world = World::with(settings()).await;
    let token = world.minted("ada").await;
    assert_eq!(send(world.get_gateway("/v1/models").bearer_auth(&token)).await.status, 200);
    assert_eq!(send(world.get_gateway("/v1/usage").bearer_auth(&token)).await.status, 500);
}

#[tokio::test]
async fn a_wrong_setting_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let www = Some(std::env::temp_dir());
    let cases = [
        (Config { supabase_port: port, ..config() }, "--supabase-port"),
        (Config { gateway_port: port, ..config() }, "--gateway-port"),
        (Config { page_port: port, www: www.clone(), ..config() }, "--page-port"),
        (Config { www: Some("/no/such/folder".into()), ..config() }, "--www"),
        (Config { package: Some("/no/such/folder".into()), www, ..config() }, "--package"),
        (Config { host: [0, 0, 0, 0].into(), ..config() }, "--expose"),
        (Config { host: [192, 0, 2, 1].into(), ..config() }, "--expose"),
        (Config { allow_origins: vec!["http://localhost:3000/".into()], ..config() }, "--allow-origin"),
        (Config { allow_origins: vec!["*".into()], ..config() }, "--allow-origin"),
        (Config { data: Some("/no/such/folder/data.sqlite".into()), ..config() }, "data.sqlite"),
        (
            Config {
                upstream: Some(Upstream { url: "localhost:80".into(), key: None, model: None, silence: DEADLINE }),
                ..config()
            },
            "--upstream",
        ),
    ];
    for (config, name) in cases {
        let text = refusal(config).await;
        assert!(text.contains(name), "{name}: {text}");
    }
    let text = refusal(Config { gateway_port: port, ..config() }).await;
    assert!(text.contains(&format!("port {port} of 127.0.0.1 is taken")), "{text}");
}

#[tokio::test]
async fn users_keys_and_usage_outlive_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Config { data: Some(folder.path().join("data.sqlite")), ..config() };
    let world = World::with(settings()).await;
    let ada = world.sign_up("ada@example.com").await;
    let token = world.token(&ada).await;
    let question = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
    assert_eq!(send(world.chat(&token, &question)).await.status, 200);
    let keys = (world.running.publishable_key.clone(), world.running.behest_key.clone());
    in_time(world.running.stop()).await;

    let world = World::with(settings()).await;
    assert_eq!(keys, (world.running.publishable_key.clone(), world.running.behest_key.clone()));
    assert_eq!(world.sign_in("ada@example.com").await.user, ada.user);
    let usage = send(world.get_gateway("/v1/usage").bearer_auth(&token)).await;
    assert_eq!(usage.json()["totals"]["requests"], 1, "the old token is still this gateway's: {}", usage.text);
}

#[tokio::test]
async fn ports_are_free_again_after_a_stop() {
    let world = World::start().await;
    let gateway = world.running.gateway_url.clone();
    in_time(world.running.stop()).await;
    assert!(world.http.get(&gateway).send().await.unwrap_err().is_connect());
    let port = gateway.rsplit_once(':').unwrap().1.parse().unwrap();
    let again = World::with(Config { gateway_port: port, ..config() }).await;
    assert_eq!(again.running.gateway_url, gateway);
}

#[tokio::test]
async fn the_page_is_served_with_its_package_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (www, package) = (folder.path().join("www"), folder.path().join("pkg"));
    std::fs::create_dir_all(package.join("dist")).unwrap();
    std::fs::create_dir(&www).unwrap();
    std::fs::write(www.join("index.html"), "<!doctype html>").unwrap();
    std::fs::write(package.join("index.js"), "export {}").unwrap();
    std::fs::write(package.join("dist/core.wasm"), b"\0asm").unwrap();
    std::fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    let world = World::with(Config { www: Some(www), package: Some(package), page_port: 0, ..config() }).await;
    let page = world.running.page_url.clone().unwrap();
    let cases = [("/", "text/html"), ("/pkg/index.js", "text/javascript"), ("/pkg/dist/core.wasm", "application/wasm")];
    for (path, media_type) in cases {
        let answer = send(world.http.get(format!("{page}{path}"))).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(media_type), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{path}");
    }
    for path in ["/none.js", "/..%2fsecret.txt", "/pkg/..%2f..%2fsecret.txt"] {
        assert_eq!(send(world.http.get(format!("{page}{path}"))).await.status, 404, "{path}");
    }
    let settings = send(world.http.get(format!("{page}/config.json"))).await;
    let expected = json!({
        "supabaseUrl": world.running.supabase_url,
        "behestUrl": world.running.gateway_url,
        "publishableKey": world.running.publishable_key,
        "functionName": "behest-token",
    });
    assert_eq!(settings.json(), expected);
    assert!(!settings.text.contains(world.running.behest_key.expose().as_str()));

    let token = world.minted("ada").await;
    let models = send(world.get_gateway("/v1/models").bearer_auth(&token).header("origin", &page)).await;
    assert_eq!(models.status, 200, "its own page may call");
    let other = send(world.get_gateway("/v1/models").bearer_auth(&token).header("origin", PAGE)).await;
    assert_eq!(other.status, 403);
}

#[tokio::test]
async fn other_origins_can_be_added() {
    let (origin, app) = ("https://app.example.com", "tauri://localhost");
    let world = World::with(Config { allow_origins: vec![origin.into(), app.into()], ..config() }).await;
    let ada = world.sign_up("ada@example.com").await;
    for allowed in [origin, app, PAGE] {
        let answer = send(world.function().bearer_auth(&ada.access).header("origin", allowed)).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, Some(allowed)));
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let models = send(world.get_gateway("/v1/models").bearer_auth(token).header("origin", allowed)).await;
        assert_eq!((models.status.as_u16(), models.header("access-control-allow-origin")), (200, Some(allowed)));
    }
}

#[tokio::test]
async fn counters_are_shown_on_both_origins() {
    let world = World::start().await;
    world.sign_up("ada@example.com").await;
    for origin in [&world.running.supabase_url, &world.running.gateway_url] {
        let counters = send(world.http.get(format!("{origin}/_local/counters"))).await;
        assert_eq!(counters.json()["auth.signup"], 1);
    }
}

/// The program, ended by force when the test ends early.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) addresses: Value,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn program(more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_behest-local"));
    command.args(["start", "--supabase-port", "0", "--gateway-port", "0", "--page-port", "0"]).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_where(data, &[])
    }

    /// With more in its environment.
    pub(crate) fn start_where(data: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = program(&["--json", "--demo-user", "--data", data.to_str().unwrap()]);
        let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addresses = serde_json::from_str(&line).unwrap_or_else(|why| {
            let mut log = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
            panic!("{why}: {line:?} {log}")
        });
        Self { addresses, child }
    }

    async fn post(&self, origin: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Value {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{path}", self.addresses[origin].as_str().unwrap());
        let mut request = http.post(url).body(body.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await.json()
    }

    /// Signs the demo user in and asks one question.
    pub(crate) async fn ask(&self) {
        let key = self.addresses["publishableKey"].as_str().unwrap();
        let user = &self.addresses["demoUser"];
        let session = self.post("supabase", "/auth/v1/token?grant_type=password", &[("apikey", key)], user).await;
        let bearer = |token: &Value| format!("Bearer {}", token.as_str().unwrap_or_else(|| panic!("{session}")));
        let access = bearer(&session["access_token"]);
        let headers = [("authorization", access.as_str())];
        let bundle = self.post("supabase", "/functions/v1/behest-token", &headers, &json!({})).await;
        let question = json!({ "messages": [{ "role": "user", "content": "Hi" }] });
        let headers = [("authorization", &*bearer(&bundle["token"]))];
        let answer = self.post("gateway", "/v1/chat/completions", &headers, &question).await;
        assert_eq!(answer["object"], "chat.completion", "{answer}");
    }

    #[cfg(unix)]
    pub(crate) fn signal(&mut self, signal: &str) -> std::process::ExitStatus {
        let kill = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap()
    }
}

#[tokio::test]
async fn sessions_and_tokens_live_as_long_as_the_flags_say() {
    let mut child = program(&["--json", "--session-ttl-secs", "77", "--token-ttl-secs", "66"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let program = Program { addresses: serde_json::from_str(&line).unwrap(), child };
    let key = program.addresses["publishableKey"].as_str().unwrap();
    let body = json!({ "email": "ada@example.com", "password": "correct horse" });
    let session = program.post("supabase", "/auth/v1/signup", &[("apikey", key)], &body).await;
    assert_eq!(session["expires_in"], 77);
    let access = format!("Bearer {}", session["access_token"].as_str().unwrap());
    let bundle =
        program.post("supabase", "/functions/v1/behest-token", &[("authorization", &access)], &json!({})).await;
    assert_eq!(bundle["ttl"], 66, "{bundle}");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let settings = format!("{}/auth/v1/settings", program.addresses["supabase"].as_str().unwrap());
    let settings = send(http.get(settings).header("apikey", key)).await.json();
    assert_eq!((&settings["external"]["email"], &settings["mailer_autoconfirm"]), (&json!(true), &json!(true)));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crowd_at_the_door_costs_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(&folder.path().join("data.sqlite"));
    let supabase = program.addresses["supabase"].as_str().unwrap();
    let key = program.addresses["publishableKey"].as_str().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "email": "nobody@example.com", "password": "not the one" }).to_string();
    let sign_in = || {
        let call = http.post(format!("{supabase}/auth/v1/token?grant_type=password")).header("apikey", key);
        send(call.body(body.clone()))
    };
    for answer in futures_util::future::join_all((0..300).map(|_| sign_in())).await {
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 256 * 1024, "{peak} KiB");
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_prints_one_line_and_ends_cleanly_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["-TERM", "-INT"] {
        let mut program = Program::start(&folder.path().join("data.sqlite"));
        assert_eq!(program.addresses["page"], Value::Null, "no --www, no page");
        assert_eq!(program.addresses["demoUser"]["email"], "demo@example.com");
        program.ask().await;
        let key = program.addresses["publishableKey"].as_str().unwrap();
        let wrong = json!({ "email": "demo@example.com", "password": "not this one" });
        program.post("supabase", "/auth/v1/token?grant_type=password", &[("apikey", key)], &wrong).await;
        assert!(program.signal(signal).success());
        let (mut out, mut log) = (String::new(), String::new());
        program.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        program.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert_eq!(out, "", "the one line is all of it");
        assert!(log.contains("POST /v1/chat/completions"), "{log}");
        let password = program.addresses["demoUser"]["password"].as_str().unwrap();
        assert!(log.contains("Supabase Auth refused POST /token") && log.contains("invalid_credentials"), "{log}");
        for secret in ["behest_sk_", "eyJ", password, "not this one"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
}

/// What the terminal shows is all that an app needs.
#[cfg(unix)]
#[test]
fn the_terminal_says_how_to_connect() {
    let mut child = program(&["--demo-user"]).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let shown: String = lines.take_while(|line| !line.starts_with("Ctrl-C")).map(|line| line + "\n").collect();
    let _ended_with_the_test = Program { child, addresses: Value::Null };
    for name in ["Supabase URL", "Gateway URL", "Dashboard", "Token function", "Demo user"] {
        assert!(shown.contains(name), "{name}: {shown}");
    }
    for key in ["sb_publishable_", "sb_secret_", "behest_sk_"] {
        assert!(shown.contains(key), "{key}: {shown}");
    }
    for code in [
        "JavaScript:",
        "behest.ask(\"Hi!\")",
        "Rust:",
        "Supabase::new(\"http://127.0.0.1:",
        "Client::builder(\"http://127.0.0.1:",
        "curl:",
        "$BEHEST_KEY",
    ] {
        assert!(shown.contains(code), "{code}: {shown}");
    }
}

/// A client that begins to read and then does not, at Ctrl-C: what it was sent is booked.
#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_keeps_the_row_of_a_client_that_does_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let mut program = Program::start(&data);
    let admin = behest_local::Admin::open(&data).await.unwrap();
    let token = admin.mint("ada", None, 3600).unwrap();
    let url = format!("{}/v1/chat/completions", program.addresses["gateway"].as_str().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({ "messages": [{ "role": "user", "content": "Hi" }], "stream": true }).to_string();
    let fault = http.post(url).bearer_auth(token).header("x-behest-local-fault", "stall=2000").body(body);
    let mut held = in_time(fault.send()).await.unwrap();
    assert!(in_time(held.chunk()).await.unwrap().is_some());
    assert!(program.signal("-INT").success());
    let rows = admin.usage().await.unwrap();
    assert_eq!((rows.len(), rows[0].outcome.as_str()), (1, "aborted"), "{rows:?}");
    assert!(rows[0].output_tokens > 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_killed_program_loses_no_row_whose_answer_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let mut first = Program::start(&data);
    for _ in 0..3 {
        first.ask().await;
    }
    assert!(!first.signal("-KILL").success());
    let world = World::with(Config { data: Some(data), ..config() }).await;
    assert_eq!(world.running.admin().usage().await.unwrap().len(), 3);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_one_that_is_killed_in_the_middle_of_many() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let mut program = Program::start(&data);
    // A log that nobody reads would stop the program at a full pipe.
    let mut log = program.child.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let token = behest_local::Admin::open(&data).await.unwrap().mint("ada", None, 3600).unwrap();
    let url = format!("{}/v1/chat/completions", program.addresses["gateway"].as_str().unwrap());
    let (answered, http) = (Arc::new(AtomicUsize::new(0)), reqwest::Client::builder().no_proxy().build().unwrap());
    let workers: Vec<_> = (0..16)
        .map(|_| {
            let (http, url, token, answered) = (http.clone(), url.clone(), token.clone(), Arc::clone(&answered));
            let body = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
            tokio::spawn(async move {
                while let Ok(answer) = http.post(&url).bearer_auth(&token).body(body).send().await {
                    if answer.bytes().await.is_err() {
                        break;
                    }
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let many = async {
        while answered.load(Ordering::SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
    };
    in_time(many).await;
    assert!(!program.signal("-KILL").success());
    for worker in workers {
        in_time(worker).await.unwrap();
    }
    let world = World::with(Config { data: Some(data), ..config() }).await;
    let (rows, answered) = (world.running.admin().usage().await.unwrap().len(), answered.load(Ordering::SeqCst));
    assert!(rows >= answered, "{answered} answers were given, {rows} rows are left");
}

#[test]
fn the_program_says_what_is_wrong() {
    let cases = [
        (vec!["--host", "0.0.0.0"], "--expose"),
        (
            vec!["--upstream", "http://127.0.0.1:1", "--upstream-key-env", "NO_SUCH_VARIABLE"],
            "NO_SUCH_VARIABLE is not set",
        ),
        (vec!["--upstream-model", "m"], "--upstream"),
        (vec!["--package", "."], "--www"),
        (vec!["--token-ttl-secs", "59"], "--token-ttl-secs: 59 is not between"),
        (vec!["--session-ttl-secs", "0"], "--session-ttl-secs"),
        (vec!["--data", "/proc/data.sqlite"], "cannot write beside /proc/data.sqlite"),
        (vec!["--data", "/sys/kernel/uevent_seqnum"], "/sys/kernel/uevent_seqnum is read-only"),
        (vec!["--data", "Cargo.toml"], "Cargo.toml is not a data file of behest-local"),
        (vec!["--fault", "chat status=99"], "99 is not a status"),
        (vec!["--fault", "chat"], "no fault is named"),
        (vec!["--exposed-headers", "x-trace-id x-request-id"], "--exposed-headers"),
        (vec!["--config", "no-such-file.toml"], "cannot read no-such-file.toml"),
    ];
    for (flags, why) in cases {
        let output = program(&flags).output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(why), "{why}: {text}");
        assert!(!text.contains("backtrace"), "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_holds_flags_and_the_command_line_stands_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("behest-local.toml");
    std::fs::write(&file, "gateway-port = 1\ndemo-user = true\nallow-origin = [\"https://a.example\"]\n").unwrap();
    let file = file.to_str().unwrap();
    let mut child = program(&["--json", "--config", file]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let program = Program { addresses: serde_json::from_str(&line).unwrap(), child };
    assert_eq!(program.addresses["demoUser"]["email"], "demo@example.com");
    assert!(!program.addresses["gateway"].as_str().unwrap().ends_with(":1"), "the flag stands before the file");
    std::fs::write(file, "no-such-flag = 1\n").unwrap();
    let refused = self::program(&["--config", file]).output().unwrap();
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("--no-such-flag"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(file), "the file is named");
}
