//! Child processes that never outlive this one: each leads a process group of its own, and Ctrl-C, SIGTERM, a deadline
//! or a dropped handle ends the whole group.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static INTERRUPTED_CODE: AtomicI32 = AtomicI32::new(130);

/// How long a child may take to stop by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// Makes Ctrl-C and SIGTERM stop the children first, then this process.
pub(crate) fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        running().iter().for_each(|&group| signal(group, Stop::Politely));
        let asked = Instant::now();
        while !running().is_empty() && asked.elapsed() < GRACE {
            thread::sleep(POLL);
        }
        running().iter().for_each(|&group| signal(group, Stop::Now));
        std::process::exit(INTERRUPTED_CODE.load(Ordering::Relaxed));
    })
    .context("could not listen for Ctrl-C")
}

/// From now on Ctrl-C is the normal end, not a failure.
pub(crate) fn interruption_is_success() {
    INTERRUPTED_CODE.store(0, Ordering::Relaxed);
}

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy)]
enum Stop {
    Politely,
    Now,
}

#[cfg(unix)]
fn signal(group: u32, how: Stop) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;
    let signal = match how {
        Stop::Politely => Signal::SIGTERM,
        Stop::Now => Signal::SIGKILL,
    };
    if let Ok(group) = i32::try_from(group) {
        // An error only says that the group has ended already.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

#[cfg(not(unix))]
fn signal(group: u32, how: Stop) {
    if matches!(how, Stop::Now) {
        let _ = Command::new("taskkill").args(["/T", "/F", "/PID", &group.to_string()]).output();
    }
}

/// A running child and everything it starts.
pub(crate) struct Running {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Running {
    /// Starts the command without standard input: a child in a group of its own must not wait for the terminal.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let child = command.spawn().with_context(|| format!("could not start {:?}", command.get_program()))?;
        running().push(child.id());
        Ok(Self { child, ended: None })
    }

    /// The child's exit status, or `None` if it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.poll()? {
                return Ok(Some(status));
            }
            if started.elapsed() >= limit {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }

    /// Lines of standard output (which must be piped), as they come.
    pub(crate) fn lines(&mut self) -> Receiver<String> {
        let (sender, receiver) = mpsc::channel();
        if let Some(stdout) = self.child.stdout.take() {
            thread::spawn(move || forward(stdout, &sender));
        }
        receiver
    }

    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                let id = self.child.id();
                running().retain(|&group| group != id);
            }
        }
        Ok(self.ended)
    }

    /// Ends the child and its descendants.
    pub(crate) fn stop(&mut self) {
        let group = self.child.id();
        if matches!(self.poll(), Ok(None)) {
            signal(group, Stop::Politely);
            if !matches!(self.wait(GRACE), Ok(Some(_))) {
                signal(group, Stop::Now);
                let _ = self.wait(GRACE);
            }
        }
        running().retain(|&other| other != group);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn forward(stdout: ChildStdout, sender: &mpsc::Sender<String>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    while reader.by_ref().read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        if sender.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

/// How a watched command came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
    TimedOut,
}

/// Runs a command, shows its output as it comes, gives each line of standard output to `line`, and ends it at `limit`.
pub(crate) fn watch(command: &mut Command, limit: Duration, mut line: impl FnMut(&str)) -> Result<End> {
    let mut child = Running::start(command.stdout(Stdio::piped()))?;
    let lines = child.lines();
    let started = Instant::now();
    let mut show = |text: String| {
        let _ = writeln!(std::io::stdout(), "{text}");
        line(&text);
    };
    // A grandchild can keep the pipe open, so the end of the child counts as well as the end of its output.
    let mut exited: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(text) => show(text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if exited.is_none() && child.poll()?.is_some() {
            exited = Some(Instant::now());
        }
        if exited.is_some_and(|at| at.elapsed() > GRACE) {
            break;
        }
        if exited.is_none() && started.elapsed() > limit {
            child.stop();
            return Ok(End::TimedOut);
        }
    }
    Ok(match child.wait(limit.saturating_sub(started.elapsed()).max(GRACE))? {
        Some(status) if status.success() => End::Success,
        Some(_) => End::Failure,
        None => End::TimedOut,
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn gives_every_line_and_the_end() {
        let mut seen = Vec::new();
        let end = watch(&mut shell("echo one; printf two"), Duration::from_secs(30), |l| seen.push(l.to_owned()));
        assert_eq!(end.ok(), Some(End::Success));
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(watch(&mut shell("exit 3"), Duration::from_secs(30), |_| {}).ok(), Some(End::Failure));
    }

    #[test]
    fn a_deadline_ends_the_descendants_too() {
        let mut pid = None;
        let started = Instant::now();
        let mut command = shell("sleep 600 & echo $!; wait");
        let end = watch(&mut command, Duration::from_millis(300), |line| pid = line.parse::<i32>().ok());
        assert_eq!(end.ok(), Some(End::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(60));
        let pid = nix::unistd::Pid::from_raw(pid.unwrap());
        // The orphan is reaped by init: give that a moment, then it must be gone (or a zombie nobody reaps).
        let gone = || {
            nix::sys::signal::kill(pid, None).is_err()
                || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
        };
        while !gone() {
            assert!(started.elapsed() < Duration::from_secs(60), "the grandchild survived");
            thread::sleep(POLL);
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Running::start(&mut Command::new("no-such-program-here")).err().map(|e| e.to_string());
        assert!(error.is_some_and(|text| text.contains("no-such-program-here")));
    }
}
