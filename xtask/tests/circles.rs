//! No two files of a program import each other in a circle: `cargo test -p xtask --test circles`.
//!
//! Paths are followed through re-exports to the file that has the thing. Declarations (`mod x;`) are no imports.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module by its path from the crate's root; the root itself is empty.
type Module = Vec<String>;

/// The modules of one crate, with what each imports by name and mentions by path.
struct Crate(BTreeMap<Module, Source>);

#[derive(Default)]
struct Source {
    /// Path and name of every `use`.
    imports: Vec<(Vec<String>, String)>,
    /// Paths in the code.
    mentions: Vec<Vec<String>>,
}

impl Crate {
    fn read(folder: &Path) -> Self {
        let mut modules = BTreeMap::new();
        collect(folder, &mut vec![], &mut modules);
        Self(modules)
    }

    /// A path as it is written in `module`, from the crate's root; `None` for other crates.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let child = || [module, std::slice::from_ref(first)].concat();
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => self.absolute(parent, rest),
                    _ => Some([parent, rest].concat()),
                }
            }
            _ => self.0.contains_key(&child()).then(|| [module, path].concat()),
        }
    }

    /// The module that has what the path names.
    fn owner(&self, path: &[String], hops: usize) -> Module {
        let length = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length])).unwrap_or_default();
        let (module, rest) = path.split_at(length);
        let Some((name, rest)) = rest.split_first() else { return module.to_vec() };
        let import = self.0.get(module).and_then(|source| source.imports.iter().find(|(_, alias)| alias == name));
        match import.and_then(|(path, _)| self.absolute(module, path)) {
            // A re-export.
            Some(further) if hops > 0 => self.owner(&[further, rest.to_vec()].concat(), hops - 1),
            _ => module.to_vec(),
        }
    }

    /// The modules that each module needs.
    fn needs(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, source): (&Module, &Source)| {
            let paths = source.imports.iter().map(|(path, _)| path).chain(&source.mentions);
            let owners = paths.filter_map(|path| self.absolute(module, path)).map(|path| self.owner(&path, 10));
            owners.filter(|owner| owner != module).collect()
        };
        self.0.iter().map(|entry| (entry.0, of(entry))).collect()
    }

    /// Groups of modules that need each other, directly or through others.
    fn circles(&self) -> BTreeSet<Vec<String>> {
        let needs = self.needs();
        let reach = |from: &Module| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(module) = open.pop() {
                open.extend(needs.get(module).into_iter().flatten().filter(|next| seen.insert((*next).clone())));
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<Module>> =
            self.0.keys().map(|module| (module, reach(module))).collect();
        let in_circle = |module: &&&Module| reached[**module].contains(**module);
        let group = |module: &Module| {
            let together = |other: &&&Module| reached[module].contains(**other) && reached[**other].contains(module);
            reached.keys().filter(together).map(|module| module.join("::")).collect()
        };
        reached.keys().filter(in_circle).map(|module| group(module)).collect()
    }
}

fn collect(folder: &Path, module: &mut Module, into: &mut BTreeMap<Module, Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_root = matches!(name.as_str(), "mod" | "lib");
        if !is_root {
            module.push(name);
        }
        if path.is_dir() {
            collect(&path, module, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.insert(module.clone(), read(&fs::read_to_string(&path).unwrap()));
        }
        if !is_root {
            module.pop();
        }
    }
}

/// What a file imports and mentions, its comments, texts and tests aside.
fn read(text: &str) -> Source {
    let tests = ["\n#[cfg(test)]\n", "\n#[cfg(all(test, unix))]\n"]
        .into_iter()
        .flat_map(|of| text.match_indices(of))
        .find(|(at, attribute)| {
            let mut lines = text[at + attribute.len()..].lines().skip_while(|line| line.starts_with("#["));
            lines.next().is_some_and(|line| line.starts_with("mod "))
        });
    let text = tests.map_or(text, |(at, _)| &text[..at]);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let code: String = lines.flat_map(|line| [line, "\n"]).collect();
    let mut source = Source::default();
    for statement in code.split_inclusive([';', '{', '}']).scan(String::new(), |open, part| {
        open.push_str(part);
        // The braces of a `use` belong to it.
        let is_use = open.trim_start().starts_with("use ") || open.contains(" use ") || open.contains("\nuse ");
        Some(if is_use && !part.ends_with(';') { String::new() } else { std::mem::take(open) })
    }) {
        let words = statement.trim();
        let tree = words.rfind("use ").filter(|at| *at == 0 || words[..*at].ends_with([' ', '\n']));
        match tree.filter(|_| words.ends_with(';')) {
            Some(at) => flatten(words[at + 4..].trim_end_matches(';'), &[], &mut source.imports),
            None => source.mentions.extend(paths(&statement)),
        }
    }
    source
}

/// `a::{b, c::d as e}` as the paths it stands for, each with the name it gets.
fn flatten(tree: &str, before: &[String], into: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    let (head, group) = tree.split_once('{').map_or((tree, None), |(head, rest)| (head, rest.strip_suffix('}')));
    let (path, alias) = head.split_once(" as ").map_or((head, None), |(path, alias)| (path, Some(alias)));
    let segments = path
        .split("::")
        .map(str::trim)
        .filter(|segment| !segment.is_empty() && *segment != "self" || before.is_empty());
    let path: Vec<String> =
        before.iter().cloned().chain(segments.filter(|s| !s.is_empty()).map(str::to_owned)).collect();
    let Some(group) = group else {
        let name = alias.map(|alias| alias.trim().to_owned()).or_else(|| path.last().cloned());
        into.extend(name.map(|name| (path, name)));
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = &group[start..at];
                start = (at + 1).min(group.len());
                if !part.trim().is_empty() {
                    flatten(part, &path, into);
                }
            }
            _ => {}
        }
    }
}

/// Every `a::b` in code that may begin with a module.
fn paths(code: &str) -> Vec<Vec<String>> {
    let code = code.replace("pub(in ", "pub(").replace("pub(crate::", "pub(");
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(|c| !is_path(c)).filter(|word| word.contains("::") && !word.starts_with(':'));
    words.map(|word| word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()).collect()
}

fn circles(folder: &str) -> BTreeSet<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Crate::read(&root.join(folder)).circles()
}

#[test]
fn the_servers_on_this_machine_have_none() {
    assert_eq!(circles("local/src"), BTreeSet::new());
}

#[test]
fn the_tasks_have_none() {
    assert_eq!(circles("xtask/src"), BTreeSet::new());
}

#[test]
fn the_rooms_of_the_library_have_none_with_each_other() {
    let room = |module: &String| module.split("::").next().unwrap_or_default().to_owned();
    for circle in circles("src") {
        let rooms: BTreeSet<String> = circle.iter().map(room).collect();
        println!("in one room: {}", circle.join(", "));
        assert_eq!(rooms.len(), 1, "{circle:?}");
    }
}

#[test]
fn a_circle_is_found_through_a_re_export_and_a_group() {
    let files = [
        ("", "pub(crate) use one::first;\nmod one;"),
        ("one", "use crate::{two::{self, second}};\npub(crate) fn first() { second() }"),
        ("two", "pub(crate) fn second() { crate::first(); super::three::third() }"),
        ("three", "// use crate::one::first;\npub(crate) fn third() {}"),
    ];
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let found = Crate(files.iter().map(|(name, text)| (module(name), read(text))).collect()).circles();
    assert_eq!(found, BTreeSet::from([vec!["one".to_owned(), "two".to_owned()]]));
}
