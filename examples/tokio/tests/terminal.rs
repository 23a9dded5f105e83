//! The program as somebody at a terminal uses it, against behest-local.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::process::Stdio;
use std::time::Duration;

use behest_local::{Config, Running};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    unread: String,
}

impl Terminal {
    fn open(running: &Running) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_example-tokio"))
            .env("SUPABASE_URL", &running.supabase_url)
            .env("SUPABASE_PUBLISHABLE_KEY", &running.publishable_key)
            .env("BEHEST_URL", &running.gateway_url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keys, screen, unread: String::new() }
    }

    async fn press(&mut self, line: &str) {
        self.keys.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// What is shown up to these words.
    async fn until(&mut self, words: &str) -> String {
        loop {
            if let Some(at) = self.unread.find(words) {
                let rest = self.unread.split_off(at + words.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            let mut bytes = [0; 1024];
            let read = timeout(DEADLINE, self.screen.read(&mut bytes)).await;
            let count = read.unwrap_or_else(|_| panic!("no {words:?} in {:?}", self.unread)).unwrap();
            assert!(count > 0, "it ended without {words:?}: {:?}", self.unread);
            self.unread.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    /// Ctrl-C.
    async fn interrupt(&mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    }

    async fn sign_in(&mut self, running: &Running) {
        let user = running.demo_user.as_ref().unwrap();
        self.until("Email: ").await;
        self.press(&user.email).await;
        self.until("Password: ").await;
        self.press(&user.password).await;
        self.until("Signed in as demo@example.com.\n> ").await;
    }

    async fn ends(mut self) {
        assert!(timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap().success());
    }
}

fn config() -> Config {
    Config { demo_user: true, pace: Duration::from_millis(1), ..Config::default() }
}

async fn start(config: Config) -> Running {
    timeout(DEADLINE, behest_local::start(config)).await.unwrap().unwrap()
}

#[tokio::test]
async fn somebody_signs_in_asks_and_leaves() {
    let running = start(config()).await;
    let mut terminal = Terminal::open(&running);
    terminal.until("Email: ").await;
    terminal.press("demo@example.com").await;
    terminal.until("Password: ").await;
    terminal.press("wrong password").await;
    let refusal = terminal.until("\nEmail: ").await;
    assert!(refusal.contains("Check the address and the password."), "{refusal}");
    terminal.press("").await;
    terminal.until("Password: ").await;
    terminal.press("").await;
    terminal.sign_in(&running).await;

    terminal.press("Hi!").await;
    assert!(terminal.until("\n> ").await.len() > 20);
    terminal.press("usage").await;
    let usage = terminal.until("\n> ").await;
    assert!(usage.starts_with("1 requests, "), "{usage}");
    assert_eq!(running.counters().get("mint"), 1);

    running.set_killed(true).await.unwrap();
    terminal.press("Are you there?").await;
    let refusal = terminal.until("\n> ").await;
    assert!(refusal.matches(". ").count() >= 1 && refusal.contains("gateway"), "{refusal}");
    running.set_killed(false).await.unwrap();
    terminal.press("And now?").await;
    terminal.until("\n> ").await;

    terminal.interrupt().await;
    terminal.until("Bye.").await;
    terminal.ends().await;
    assert_eq!(running.counters().get("auth.logout"), 1);
}

#[tokio::test]
async fn control_c_stops_an_answer_and_nothing_else() {
    let running = start(Config { pace: Duration::from_millis(200), ..config() }).await;
    let mut terminal = Terminal::open(&running);
    terminal.sign_in(&running).await;
    terminal.press("Tell me everything about patience.").await;
    terminal.until(" ").await;
    terminal.interrupt().await;
    terminal.until("[stopped]\n> ").await;
    timeout(DEADLINE, running.counters().reached("chat.aborted", 1)).await.unwrap();
    terminal.press("Hi!").await;
    terminal.until(" ").await;
    terminal.interrupt().await;
    terminal.until("[stopped]\n> ").await;
    // The end of the input is an end, too.
    let Terminal { child, keys, screen, unread } = terminal;
    drop(keys);
    let mut child = child;
    assert!(timeout(DEADLINE, child.wait()).await.unwrap().unwrap().success());
    drop((screen, unread));
}
