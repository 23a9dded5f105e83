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

    /// The paths that `name` stands for in `module`: more than one where targets differ.
    fn imported(&self, module: &[String], name: &str) -> Vec<Vec<String>> {
        let imports = self.0.get(module).into_iter().flat_map(|source| &source.imports);
        imports.filter(|(_, alias)| alias == name).filter_map(|(path, _)| self.absolute(module, path)).collect()
    }

    /// The modules that have what the path names. A module by itself is only a name: what is used of it is mentioned.
    fn owners(&self, path: &[String], hops: usize) -> Vec<Module> {
        let length = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length])).unwrap_or_default();
        let (module, rest) = path.split_at(length);
        let Some((name, rest)) = rest.split_first() else { return vec![] };
        // A re-export.
        let further = if hops > 0 { self.imported(module, name) } else { vec![] };
        if further.is_empty() {
            return vec![module.to_vec()];
        }
        further.into_iter().flat_map(|path| self.owners(&[path, rest.to_vec()].concat(), hops - 1)).collect()
    }

    /// What a path in the code of `module` stands for, which may begin with a name that was imported.
    fn mentioned(&self, module: &[String], path: &[String]) -> Vec<Vec<String>> {
        let imported = self.imported(module, &path[0]);
        let further = imported.into_iter().map(|import| [import, path[1..].to_vec()].concat());
        self.absolute(module, path).into_iter().chain(further).collect()
    }

    /// The modules that each module needs.
    fn needs(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, source): (&Module, &Source)| {
            let imports = source.imports.iter().filter_map(|(path, _)| self.absolute(module, path));
            let mentions = source.mentions.iter().flat_map(|path| self.mentioned(module, path));
            let owners = imports.chain(mentions).flat_map(|path| self.owners(&path, 10));
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
    let tests =
        ["\n#[cfg(test)]\n", "\n#[cfg(all(test,"].into_iter().flat_map(|of| text.match_indices(of)).find(|(at, _)| {
            let mut lines = text[at + 1..].lines().skip_while(|line| line.starts_with("#["));
            lines.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
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

#[test]
fn no_two_files_need_each_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for folder in ["src", "local/src", "xtask/src"] {
        assert_eq!(Crate::read(&root.join(folder)).circles(), BTreeSet::new(), "{folder}");
    }
}

fn of(files: &[(&str, &str)]) -> BTreeSet<Vec<String>> {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Crate(files.iter().map(|(name, text)| (module(name), read(text))).collect()).circles()
}

fn circle(of: &[&str]) -> BTreeSet<Vec<String>> {
    BTreeSet::from([of.iter().map(|module| (*module).to_owned()).collect()])
}

#[test]
fn a_circle_is_found_through_a_re_export_and_a_group() {
    let files = [
        ("", "pub(crate) use one::first;\nmod one;"),
        ("one", "use crate::{two::{self, second}};\npub(crate) fn first() { second() }"),
        ("two", "pub(crate) fn second() { crate::first(); super::three::third() }"),
        ("three", "// use crate::one::first;\npub(crate) fn third() {}"),
    ];
    assert_eq!(of(&files), circle(&["one", "two"]));
}

#[test]
fn a_circle_is_found_through_each_of_two_modules_of_one_name() {
    let files = [
        ("", "#[cfg(a)]\nuse one as platform;\n#[cfg(not(a))]\nuse two as platform;"),
        ("one", "pub(crate) fn now() {}"),
        ("two", "pub(crate) use inner::now;\nmod inner;"),
        ("two::inner", "use crate::clock;\npub(crate) fn now() { clock::read() }"),
        ("clock", "use crate::platform;\npub(crate) fn read() { platform::now() }"),
    ];
    assert_eq!(of(&files), circle(&["clock", "two::inner"]));
}

#[test]
fn a_parent_is_in_a_circle_if_it_has_what_its_child_needs() {
    let child = ("room::child", "use super::Shared;\npub(crate) struct Made(Shared);");
    let with_code = ("room", "mod child;\npub(crate) use child::Made;\npub(crate) struct Shared;");
    let facade = ("room", "mod child;\nmod shared;\npub(crate) use child::Made;\npub(crate) use shared::Shared;");
    let shared =
        ("room::shared", "pub(crate) struct Shared;\n#[cfg(test)]\nmod tests {\n    use super::super::Made;\n}");
    assert_eq!(of(&[child, with_code]), circle(&["room", "room::child"]));
    assert_eq!(of(&[child, facade, shared]), BTreeSet::new());
}
