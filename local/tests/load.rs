//! Five hundred streams at once for a minute, three hundred that each take half a minute, half a million rows, a hundred
//! deaths: `cargo xtask test --suite load`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use behest_local::Admin;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};

const STREAMS: usize = 500;
const LENGTH: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(15);
/// What the heap may be above its size after the warm-up.
const SLACK_KIB: u64 = 16 * 1024;

struct Program {
    child: Child,
    gateway: String,
}

impl Program {
    fn start(data: &Path, pace_ms: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_behest-local"));
        command.args(["start", "--json", "--supabase-port", "0", "--gateway-port", "0", "--page-port", "0"]);
        command.args(["--pace-ms", pace_ms, "--data"]).arg(data).env("RUST_LOG", "warn");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addresses: Value = serde_json::from_str(&line).unwrap();
        Self { child, gateway: addresses["gateway"].as_str().unwrap().to_owned() }
    }

    /// The memory the program holds, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Default)]
struct Seen {
    complete: usize,
    events: usize,
    first: Vec<Duration>,
    whole: Vec<Duration>,
}

/// One stream after another until the time is over. Each is read to its end.
async fn reader(http: &Client, url: &str, token: &str, session: usize, until: Instant) -> Seen {
    let body = json!({ "messages": [{ "role": "user", "content": "How are you?" }], "stream": true }).to_string();
    let mut seen = Seen::default();
    while Instant::now() < until {
        let began = Instant::now();
        let request = http.post(url).bearer_auth(token).header("x-session-id", format!("s{session}"));
        let answer = request.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut chunks = answer.bytes_stream();
        let mut tail = Vec::new();
        let mut is_first = true;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            if std::mem::take(&mut is_first) {
                seen.first.push(began.elapsed());
            }
            seen.events += chunk.windows(6).filter(|window| window == b"data: ").count();
            tail.extend_from_slice(&chunk);
            tail.drain(..tail.len().saturating_sub(64));
        }
        assert!(tail.ends_with(b"data: [DONE]\n\n"), "a stream ended early");
        seen.complete += 1;
        seen.whole.push(began.elapsed());
    }
    seen
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute of the whole machine: cargo xtask test --suite load"]
async fn five_hundred_streams_for_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let program = Program::start(&data, "100");
    let admin = Admin::open(&data).await.unwrap();
    let tokens: Vec<String> = (0..10).map(|user| admin.mint(&format!("u{user}"), None, 3600).unwrap()).collect();
    let http = Client::builder().no_proxy().pool_max_idle_per_host(STREAMS).build().unwrap();
    let url = format!("{}/v1/chat/completions", program.gateway);
    let began = Instant::now();
    let readers = (0..STREAMS).map(|at| reader(&http, &url, &tokens[at % tokens.len()], at, began + LENGTH));
    let watch = async {
        tokio::time::sleep(WARM_UP).await;
        let warm = program.memory();
        tokio::time::sleep(LENGTH.saturating_sub(WARM_UP)).await;
        (warm, program.memory())
    };
    let (seen, (warm, end)) = tokio::join!(join_all(readers), watch);
    let took = began.elapsed();

    let complete: usize = seen.iter().map(|seen| seen.complete).sum();
    let events: usize = seen.iter().map(|seen| seen.events).sum();
    let mut rows = 0;
    for token in &tokens {
        let usage = http.get(format!("{}/v1/usage", program.gateway)).bearer_auth(token).send().await.unwrap();
        let usage: Value = serde_json::from_str(&usage.text().await.unwrap()).unwrap();
        rows += usage["totals"]["requests"].as_u64().unwrap();
    }
    let mut first: Vec<_> = seen.iter().flat_map(|seen| seen.first.clone()).collect();
    let mut whole: Vec<_> = seen.iter().flat_map(|seen| seen.whole.clone()).collect();
    println!("{STREAMS} streams at once for {:.1} s: {complete} complete, {rows} usage rows", took.as_secs_f32());
    println!("{events} events, {:.0} a second", events as f32 / took.as_secs_f32());
    for (name, times) in [("first byte", &mut first), ("whole stream", &mut whole)] {
        let [half, most, worst] = [50, 99, 100].map(|percent| percentile(times, percent).as_millis());
        println!("{name}: median {half} ms, 99th percentile {most} ms, slowest {worst} ms");
    }
    println!("memory: {} KiB after {} s, {} KiB at the end", warm, WARM_UP.as_secs(), end);
    assert!(complete >= STREAMS);
    assert_eq!(rows, complete as u64, "every stream has its usage row");
    assert!(end <= warm + SLACK_KIB, "memory grew");
}

const LONG_STREAMS: usize = 300;
const EACH: Duration = Duration::from_secs(30);
/// The words of the answer to [`reader`]'s question take so long each.
const SLOW_PACE_MS: &str = "470";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half a minute: cargo xtask test --suite load"]
async fn three_hundred_streams_of_half_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let program = Program::start(&data, SLOW_PACE_MS);
    let token = Admin::open(&data).await.unwrap().mint("ada", None, 3600).unwrap();
    let http = Client::builder().no_proxy().pool_max_idle_per_host(LONG_STREAMS).build().unwrap();
    let url = format!("{}/v1/chat/completions", program.gateway);
    // One stream each: before the first is over, the time is.
    let until = Instant::now() + EACH / 2;
    let readers = (0..LONG_STREAMS).map(|at| reader(&http, &url, &token, at, until));
    let watch = async {
        tokio::time::sleep(EACH / 3).await;
        let warm = program.memory();
        tokio::time::sleep(EACH / 2).await;
        (warm, program.memory())
    };
    let (seen, (warm, end)) = tokio::join!(join_all(readers), watch);
    let mut whole: Vec<_> = seen.iter().flat_map(|seen| seen.whole.clone()).collect();
    let shortest = percentile(&mut whole, 0);
    println!("{LONG_STREAMS} streams at once, each at least {:.1} s: none broken", shortest.as_secs_f32());
    println!("memory: {warm} KiB after {} s, {end} KiB after {} s", (EACH / 3).as_secs(), (EACH * 5 / 6).as_secs());
    assert_eq!(whole.len(), LONG_STREAMS);
    assert!(shortest >= EACH, "{shortest:?}");
    assert!(end <= warm + SLACK_KIB, "memory grew");
}

const ROWS: usize = 500_000;
/// What a refresh of any room may take.
const REFRESH: Duration = Duration::from_millis(200);

#[tokio::test]
#[ignore = "measures times: cargo xtask test --suite load"]
async fn half_a_million_rows_hold_up_neither_the_dashboard_nor_chats() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    drop(Program::start(&data, "0"));
    let db = rusqlite::Connection::open(&data).unwrap();
    // A month of a thousand users, each session with two chats.
    db.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS})
         INSERT INTO usage SELECT 'request-' || i, 'user-' || (i % 1000), 'session-' || (i / 2), 'model-' || (i % 3), 20, 200,
             i % 977, 'counted', 'complete', unixepoch() * 1000 - (i * 5184) FROM n;
         COMMIT"
    ))
    .unwrap();
    drop(db);

    let program = Program::start(&data, "0");
    let token = Admin::open(&data).await.unwrap().mint("user-1", None, 3600).unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let mut slowest = Vec::new();
    for room in [
        "overview?window=15m",
        "overview?window=24h",
        "overview?window=7d",
        "overview?window=all",
        "requests",
        "users?window=15m",
        "users?window=24h",
        "users?window=all",
        "tokens",
    ] {
        let (mut refreshes, mut chats) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let refresh = async {
                let began = Instant::now();
                let answer = http.get(format!("{}/dashboard/live/{room}", program.gateway)).send().await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().is_empty()), (200, false));
                began.elapsed()
            };
            let chat = async {
                let began = Instant::now();
                let body = json!({ "messages": [{ "role": "user", "content": "Hi" }] }).to_string();
                let chat = http.post(format!("{}/v1/chat/completions", program.gateway)).bearer_auth(&token).body(body);
                let answer = chat.send().await.unwrap();
                assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().is_empty()), (200, false));
                began.elapsed()
            };
            let (refresh, chat) = tokio::join!(refresh, chat);
            refreshes.push(refresh);
            chats.push(chat);
        }
        let [refresh, chat] = [&mut refreshes, &mut chats].map(|times| percentile(times, 100));
        println!("{room}: slowest refresh {} ms, slowest chat beside it {} ms", refresh.as_millis(), chat.as_millis());
        slowest.push((refresh.max(chat), room));
    }
    assert!(slowest.iter().all(|(time, _)| *time < REFRESH), "{slowest:?}");
}

const DEATHS: usize = 100;
const CALLERS: usize = 8;

#[tokio::test]
#[ignore = "takes a minute: cargo xtask test --suite load"]
async fn a_hundred_deaths_under_load_lose_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.sqlite");
    let http = Client::builder().no_proxy().build().unwrap();
    let answered = std::sync::Mutex::new(Vec::new());
    for death in 0..DEATHS {
        let mut program = Program::start(&data, "0");
        let admin = Admin::open(&data).await.unwrap();
        let token = admin.mint("ada", None, 3600).unwrap();
        let url = format!("{}/v1/chat/completions", program.gateway);
        let count = || answered.lock().unwrap().len();
        // It dies somewhere between one answer and another, each time elsewhere.
        let enough = count() + 1 + death % 23;
        let caller = |_| async {
            loop {
                let body = json!({ "messages": [{ "role": "user", "content": "Hi" }] }).to_string();
                let Ok(answer) = http.post(&url).bearer_auth(&token).body(body).send().await else { break };
                assert_eq!(answer.status(), 200);
                let id = answer.headers()["x-trace-id"].to_str().unwrap().to_owned();
                if answer.bytes().await.is_err() {
                    break;
                }
                answered.lock().unwrap().push(id);
            }
        };
        let callers = join_all((0..CALLERS).map(caller));
        let killer = async {
            while count() < enough {
                tokio::task::yield_now().await;
            }
            program.child.kill().unwrap();
        };
        tokio::join!(callers, killer);
    }
    let kept: HashSet<String> =
        Admin::open(&data).await.unwrap().usage().await.unwrap().into_iter().map(|row| row.request_id).collect();
    let answered = answered.into_inner().unwrap();
    let lost = answered.iter().filter(|id| !kept.contains(*id)).count();
    println!("{DEATHS} deaths, {} answers, {lost} of them without a row", answered.len());
    assert_eq!(lost, 0);
}
