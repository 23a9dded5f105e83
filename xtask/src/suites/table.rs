//! The test suites: one table, one runner each.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{cell::OnceCell, fs};

use anyhow::{Context as _, Result, bail};

use super::counts::Counts;
use super::{features, policy, published, upstream};
use crate::demo;
use crate::machine::artifacts::{self, Artifact};
use crate::machine::children::{End, watch};
use crate::machine::commands::{command, step};
use crate::machine::places::root;
use crate::package::{leptos, pack, rust_pages, size};
use crate::tools::toolchain::TARGET;
use crate::tools::{Tools, components, npm, once, python, webdriver};

/// One suite.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// Whether it runs without being named.
    pub(crate) by_default: bool,
    pub(crate) run: fn(&Context) -> Result<Counts>,
}

/// Cheap ones first.
pub(crate) const SUITES: &[Suite] = &[
    suite("format", "cargo fmt --check", |_| format()),
    suite(
        "lint",
        "clippy for this machine and for browsers, and the documentation, all with warnings denied; how many dependencies",
        lint,
    ),
    suite("features", "each feature alone and each set users choose, on this machine and in browsers", |context| {
        features::check(&context.tools)
    }),
    suite("licences", "cargo-deny: licences, bans and sources of the dependencies", |context| {
        policy::licences(&context.tools)
    }),
    suite("msrv", "the oldest Rust that Cargo.toml promises, where rustup can get it", |_| policy::oldest_rust()),
    suite("xtask", "this tool's own tests", |context| context.native_tests("xtask")),
    suite(
        "native",
        "behest-client on this machine: unit, integration and documentation tests; the terminal example",
        native,
    ),
    suite("published", "the crate's own tests, from what cargo would publish", |_| {
        counted(&mut published::tests()?, BUILD_AND_RUN_LIMIT)
    }),
    suite("local", "behest-local, over real HTTP", |context| context.native_tests("local")),
    suite("pack", "what is in the npm tarball, and whether it installs and loads", packed),
    suite("size", "compressed size of the browser entry and of a Leptos page, against their ceilings", size_budget),
    suite("types", "the shipped types against TypeScript and against openai's", types),
    suite("chrome", "behest-client in headless Chromium", |context| in_browser(context, Browser::Chrome)),
    suite("firefox", "behest-client in headless Firefox", |context| in_browser(context, Browser::Firefox)),
    suite("runtimes", "the server module under axum, Node, Deno, Bun and workerd: the same answers", runtimes),
    suite(
        "e2e",
        "the packed tarball in a page, from sign-in to usage, in headless Chromium; every screen in Firefox, too",
        end_to_end,
    ),
    suite("matrix-short", "the packed tarball in plain pages, Node, Deno, Bun and workerd", |context| {
        matrix(context, Matrix::Short)
    }),
    suite(
        "trust",
        "faults, a soak, attacks and second implementations: the short forms of cargo xtask check --faults and its like",
        trust,
    ),
    suite("demo", "cargo xtask demo --check", demo_check),
    Suite {
        name: "examples",
        what: "the web examples and the quickstart, built and driven in Chromium (downloads 620 MB once; only when named)",
        by_default: false,
        run: examples,
    },
    Suite {
        name: "examples-rust",
        what: "the Leptos and Yew examples in Chromium, the guides typed in from `cargo new` on, and the crate's sign-in beside supabase-js (only when named)",
        by_default: false,
        run: rust_examples,
    },
    Suite {
        name: "matrix",
        what: "the packed tarball in every bundler, framework and test runner; writes docs/matrix.md (only when named)",
        by_default: false,
        run: |context| matrix(context, Matrix::Whole),
    },
    Suite {
        name: "upstream",
        what: "cargo xtask demo --check against a real model (downloads 300 MB once; only when named)",
        by_default: false,
        run: real_upstream,
    },
    Suite {
        name: "foreign",
        what: "behest-local under clients of others, in JavaScript and Python, and over a real model (downloads 800 MB once; only when named)",
        by_default: false,
        run: foreign_clients,
    },
    Suite {
        name: "load",
        what: "behest-local under 500 streams, 300 of half a minute, half a million rows and 100 deaths: three minutes (only when named)",
        by_default: false,
        run: load,
    },
];

/// No suite may hang: a slow machine fits, a test that waits for ever does not.
const RUN_LIMIT: Duration = Duration::from_secs(15 * 60);
/// The same where the command compiles first.
const BUILD_AND_RUN_LIMIT: Duration = Duration::from_secs(30 * 60);

const fn suite(name: &'static str, what: &'static str, run: fn(&Context) -> Result<Counts>) -> Suite {
    Suite { name, what, by_default: true, run }
}

/// What several suites need, made once.
#[derive(Default)]
pub(crate) struct Context {
    tools: Tools,
    natives: OnceCell<Vec<Artifact>>,
    tarball: OnceCell<PathBuf>,
}

impl Context {
    fn tarball(&self) -> Result<&PathBuf> {
        once(&self.tarball, || pack::tarball(&self.tools, pack::Larger::Refused))
    }

    /// All native test programs of the workspace, from a single build: testing package by package would give each its own
    /// set of features and compile the dependencies anew.
    fn natives(&self) -> Result<&Vec<Artifact>> {
        once(&self.natives, || {
            artifacts::build(
                "compiling the native tests (some minutes the first time)",
                command("cargo").args(["test", "--workspace", "--all-features", "--no-run"]),
            )
        })
    }

    fn native_tests(&self, package: &str) -> Result<Counts> {
        let folder = root().join(package);
        let mut counts = Counts::default();
        for test in self.natives()?.iter().filter(|artifact| artifact.is_test && artifact.package == folder) {
            let Some(program) = &test.executable else { continue };
            println!("--- {} ({})", test.target, test.kind);
            let mut run = Command::new(program);
            run.current_dir(&folder).env("CARGO_MANIFEST_DIR", &folder);
            counts += counted(&mut run, RUN_LIMIT)?;
        }
        Ok(counts)
    }

    /// A test program by its name.
    pub(super) fn test_program(&self, name: &str) -> Result<PathBuf> {
        let mut tests = self.natives()?.iter().filter(|artifact| artifact.is_test && artifact.target == name);
        tests.find_map(|artifact| artifact.executable.clone()).with_context(|| format!("cargo built no test {name}"))
    }

    fn program(&self, name: &str, kind: &str) -> Result<PathBuf> {
        self.natives()?
            .iter()
            .filter(|artifact| artifact.target == name && artifact.kind == kind && !artifact.is_test)
            .find_map(|artifact| artifact.executable.clone())
            .with_context(|| format!("cargo built no {kind} {name}"))
    }

    fn behest_local(&self) -> Result<PathBuf> {
        self.program("behest-local", "bin")
    }
}

/// Runs a test program and reads its closing lines. A failure it does not count is still a failure.
pub(super) fn counted(command: &mut Command, limit: Duration) -> Result<Counts> {
    let mut counts = Counts::default();
    match watch(command, limit, |line| counts.read(line))? {
        End::Success => {}
        End::Failure if counts.failed > 0 => {}
        End::Failure => {
            println!("ended badly without counting a failed test: {command:?}");
            counts.failed = 1;
        }
        End::TimedOut => {
            println!("stopped after {} minutes: {command:?}", limit.as_secs() / 60);
            counts.failed += 1;
        }
    }
    Ok(counts)
}

/// A command that is a check by itself.
fn check(what: &str, command: &mut Command) -> Counts {
    Counts::of(step(what, command))
}

/// Formatting of every Rust file.
pub(crate) fn format() -> Result<Counts> {
    components::ensure()?;
    Ok(check("cargo fmt --check (to repair: cargo fmt)", command("cargo").args(["fmt", "--all", "--", "--check"])))
}

/// Clippy for this machine.
pub(crate) fn native_lint() -> Counts {
    let mut clippy = command("cargo");
    clippy.args(["clippy", "--workspace", "--all-features", "--all-targets", "--", "-D", "warnings"]);
    check("clippy, this machine (some minutes the first time)", &mut clippy)
}

fn lint(context: &Context) -> Result<Counts> {
    let mut counts = native_lint();
    let wasm = context.tools.wasm()?;
    if wasm.has_clippy() {
        let mut clippy = wasm.cargo();
        clippy.args(["clippy", "--package", "behest-client", "--all-targets", "--target", TARGET]);
        clippy.args(BROWSER_TEST_FEATURES).args(["--", "-D", "warnings"]);
        counts += check("clippy, browsers", &mut clippy);
        let mut clippy = wasm.cargo();
        clippy.args(["clippy", "--package", "behest-client", "--lib", "--target", TARGET]);
        clippy.args(pack::SERVER_FEATURES).args(["--", "-D", "warnings"]);
        counts += check("clippy, the server module on JavaScript hosts", &mut clippy);
    } else {
        println!("skipped: the toolchain that compiles for browsers has no clippy");
        counts += Counts::SKIPPED;
    }
    let mut doc = command("cargo");
    doc.args(["doc", "--workspace", "--all-features", "--no-deps", "--document-private-items"]);
    counts += check("cargo doc", doc.env("RUSTDOCFLAGS", "-D warnings"));
    counts += policy::dependencies();
    Ok(counts)
}

fn native(context: &Context) -> Result<Counts> {
    let mut counts = context.native_tests("")?;
    counts += context.native_tests("examples/tokio")?;
    println!("--- documentation");
    counts += counted(command("cargo").args(["test", "--doc", "--workspace", "--all-features"]), BUILD_AND_RUN_LIMIT)?;
    Ok(counts)
}

#[derive(Clone, Copy)]
enum Browser {
    Chrome,
    Firefox,
}

fn in_browser(context: &Context, browser: Browser) -> Result<Counts> {
    let tools = &context.tools;
    let mut wasm_pack = command(tools.wasm_pack()?);
    tools.wasm()?.select(&mut wasm_pack);
    wasm_pack.env("PATH", tools.path()?).env("WASM_BINDGEN_TEST_TIMEOUT", "300");
    wasm_pack.args(["test", "--headless", "--mode", "no-install"]);
    match browser {
        Browser::Chrome => {
            webdriver::for_chromium(tools)?;
            wasm_pack.args(["--chrome", "--chromedriver"]).arg(tools.chromedriver()?);
        }
        Browser::Firefox => {
            webdriver::for_firefox(tools)?;
            wasm_pack.args(["--firefox", "--geckodriver"]).arg(tools.geckodriver()?);
        }
    }
    // Without `--` before them: these are for cargo, not for the test runner.
    counted(wasm_pack.arg(".").args(BROWSER_TEST_FEATURES), BUILD_AND_RUN_LIMIT)
}

/// As shipped, with the fault lab that the tests stand on.
const BROWSER_TEST_FEATURES: [&str; 3] = ["--no-default-features", "--features", "auth,js,testing"];

fn packed(context: &Context) -> Result<Counts> {
    let files = ["eager", "pack"].map(|name| root().join(format!("xtask/js/{name}.test.mjs")));
    counted(&mut node_tests(context, files.to_vec())?, RUN_LIMIT)
}

fn types(context: &Context) -> Result<Counts> {
    counted(&mut node_tests(context, javascript_tests(|name| name.starts_with("types"))?)?, RUN_LIMIT)
}

fn end_to_end(context: &Context) -> Result<Counts> {
    let elsewhere = ["types", "server", "rust-"];
    let files = javascript_tests(|name| !elsewhere.iter().any(|suite| name.starts_with(suite)))?;
    counted(&mut in_pages(context, files)?, RUN_LIMIT)
}

/// Node's tests with everything that drives pages: the packed tarball, the servers, the browsers.
pub(super) fn in_pages(context: &Context, files: Vec<PathBuf>) -> Result<Command> {
    let tools = &context.tools;
    let mut node = node_tests(context, files)?;
    node.env("BEHEST_LOCAL", context.behest_local()?).env("CHROMIUM", tools.chromium()?);
    node.env("FIREFOX", tools.firefox()?).env("GECKODRIVER", tools.geckodriver()?);
    Ok(node)
}

/// The same with the native client of the fault matrix.
pub(super) fn in_trust(context: &Context, files: &[&str]) -> Result<Command> {
    let mut node = in_pages(context, files.iter().map(|file| root().join(file)).collect())?;
    node.env("FAULT_CALLER", context.program("fault-caller", "example")?);
    Ok(node)
}

/// What the project is trusted for; `super::trust` runs the long forms.
pub(super) const FAULTS: &str = "tests/trust/faults.test.mjs";
pub(super) const EVENTS: &str = "tests/trust/events.test.mjs";
pub(super) const EXPOSURE: &str = "tests/trust/exposure.test.mjs";
pub(super) const DIFFERENTIAL: &str = "tests/trust/differential.test.mjs";
pub(super) const SOAK: &str = "tests/trust/soak.test.mjs";
pub(super) const ATTACKS: &str = "tests/trust/attacks.test.mjs";

fn trust(context: &Context) -> Result<Counts> {
    counted(&mut in_trust(context, &[FAULTS, EVENTS, SOAK, ATTACKS, EXPOSURE, DIFFERENTIAL])?, RUN_LIMIT)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Matrix {
    /// What needs no tools of its own.
    Short,
    Whole,
}

fn matrix(context: &Context, which: Matrix) -> Result<Counts> {
    let mut files = vec![root().join("tests/matrix/matrix.test.mjs")];
    if which == Matrix::Whole {
        files.push(root().join("tests/matrix/libraries.test.mjs"));
    }
    let mut node = node_tests(context, files)?;
    if which == Matrix::Short {
        node.env("MATRIX", "short");
    } else {
        npm::packages("tests/matrix")?;
    }
    node.env("BEHEST_LOCAL", context.behest_local()?).env("CHROMIUM", context.tools.chromium()?);
    counted(&mut node, RUN_LIMIT)
}

fn examples(context: &Context) -> Result<Counts> {
    let mut node = node_tests(context, vec![root().join("tests/matrix/examples.test.mjs")])?;
    npm::packages("tests/matrix")?;
    node.env("BEHEST_LOCAL", context.behest_local()?).env("CHROMIUM", context.tools.chromium()?);
    counted(&mut node, RUN_LIMIT)
}

fn rust_examples(context: &Context) -> Result<Counts> {
    let tools = &context.tools;
    let files = ["rust-pages", "rust-ssr", "rust-starts"].map(|name| root().join(format!("tests/js/{name}.test.mjs")));
    let mut node = in_pages(context, files.into())?;
    node.env("RUST_PAGES", rust_pages::build(tools)?).env("RUST_STARTS_TARGET", rust_pages::target());
    node.env("RUST_SSR", rust_pages::server()?);
    tools.wasm()?.select(&mut node);
    counted(node.env("BINDGEN", tools.bindgen()?), BUILD_AND_RUN_LIMIT)
}

fn runtimes(context: &Context) -> Result<Counts> {
    let mut node = node_tests(context, javascript_tests(|name| name.starts_with("server"))?)?;
    node.env("CONFORMANCE_HOST", context.program("conformance-host", "example")?);
    node.env("EXAMPLE_AXUM", context.program("example-axum", "bin")?).env("BEHEST_LOCAL", context.behest_local()?);
    let mut counts = context.native_tests("examples/axum")?;
    counts += counted(&mut node, RUN_LIMIT)?;
    Ok(counts)
}

fn javascript_tests(wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("tests/js"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") && wanted(&name) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn node_tests(context: &Context, files: Vec<PathBuf>) -> Result<Command> {
    if files.is_empty() {
        bail!("there are no test files");
    }
    npm::packages("tests/js")?;
    // The oldest React that is supported, beside the newest one.
    npm::packages("tests/js/react-18")?;
    let mut node = command("node");
    // Each file starts servers and a browser of its own, and waits most of its time: two at a time keep two cores busy.
    node.args(["--test", "--test-reporter=spec", "--test-concurrency=2"]).args(files);
    node.env("BEHEST_TARBALL", context.tarball()?).env("BEHEST_VERSION", env!("CARGO_PKG_VERSION"));
    Ok(node)
}

fn size_budget(context: &Context) -> Result<Counts> {
    context.tarball()?;
    let mut counts = Counts::default();
    for report in [size::report(), leptos::report(&context.tools)] {
        counts += Counts::of(report);
    }
    Ok(counts)
}

fn demo_check(context: &Context) -> Result<Counts> {
    context.tarball()?;
    demo::check(&context.behest_local()?, &context.tools, &demo::Upstream::default()).map(|()| Counts::PASSED)
}

/// Supabase's, OpenAI's, Behest's own, and the libraries that stand on them, unchanged but for URLs and keys.
fn foreign_clients(context: &Context) -> Result<Counts> {
    let files = javascript_tests(|name| name.starts_with("foreign") || name.starts_with("libraries"))?;
    let mut counts = counted(&mut in_pages(context, files)?, RUN_LIMIT)?;
    counts += python_clients(context)?;
    counts += real_upstream(context)?;
    println!("clients of others: {} tried, {} right", counts.passed + counts.failed, counts.passed);
    Ok(counts)
}

fn python_clients(context: &Context) -> Result<Counts> {
    // behest-ai imports httpx without naming it among its requirements.
    let packages =
        ["behest-ai==1.5.0b1", "httpx", "openai", "litellm==1.110.2", "langchain-openai==1.7.4", "supabase==2.34.1"];
    let check = "import behest, httpx, openai, litellm, langchain_openai, supabase";
    let python = python::virtual_environment("foreign", &packages, check, "Python clients (450 MB)")?;
    let mut counts = Counts::default();
    for file in ["foreign.py", "libraries.py", "supabase_py.py"] {
        let mut run = command(&python);
        run.arg(root().join("tests/py").join(file)).env("BEHEST_LOCAL", context.behest_local()?);
        counts += counted(&mut run, RUN_LIMIT)?;
    }
    // The server module's package must have been built: its tokens are compared with Python's.
    context.tarball()?;
    let mut run = command(&python);
    run.arg(root().join("tests/py/claims.py")).env("BEHEST_LOCAL", context.behest_local()?);
    counts += counted(run.env("CONFORMANCE_HOST", context.program("conformance-host", "example")?), RUN_LIMIT)?;
    Ok(counts)
}

fn load(context: &Context) -> Result<Counts> {
    let mut run = Command::new(context.test_program("load")?);
    run.args(["--ignored", "--nocapture"]).current_dir(root().join("local"));
    counted(&mut run, RUN_LIMIT)
}

fn real_upstream(context: &Context) -> Result<Counts> {
    let model = upstream::start()?;
    context.tarball()?;
    let through = demo::Upstream { url: Some(model.url.clone()), key_env: None };
    demo::check(&context.behest_local()?, &context.tools, &through).map(|()| Counts::PASSED)
}
