//! The rules of style that a compiler does not know.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of code in a file, tests beside it not counted.
const MOST_LINES: usize = 500;
/// From here on a file is named in the test's output: think of splitting it.
const MANY_LINES: usize = 400;

/// Uses of a later module by an earlier one: (from, to, why it must be). There is none.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below `folder`.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(kind) if kind == "rs" => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn all_rust_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"].into_iter().flat_map(rust_files).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The modules of `lib.rs`, in order.
fn layers() -> Vec<String> {
    let text = read(&root().join("src/lib.rs"));
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The module of `lib.rs` that a file below `src/` belongs to.
fn layer_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix(root().join("src")).ok()?.components().next()?;
    let name = first.as_os_str().to_string_lossy().into_owned();
    Some(name.strip_suffix(".rs").unwrap_or(&name).to_owned())
}

/// What follows `crate::` anywhere in a text, documentation included, also within braces.
fn modules_used(text: &str) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for (at, prefix) in text.match_indices("crate::") {
        let rest = text.get(at + prefix.len()..).unwrap_or_default();
        let list = match rest.strip_prefix('{') {
            Some(braces) => braces.split_once('}').map_or("", |(list, _)| list),
            None => rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default(),
        };
        used.extend(list.split(',').filter_map(|item| item.trim().split("::").next()));
    }
    used
}

#[test]
fn a_module_uses_only_what_stands_before_it() {
    let layers = layers();
    let rank = |name: &str| layers.iter().position(|layer| layer == name);
    let mut wrong = Vec::new();
    for path in rust_files("src") {
        let Some(own) = layer_of(&path) else { continue };
        let Some(own_rank) = rank(&own) else { continue };
        for used in modules_used(&read(&path)) {
            let later = rank(used).is_some_and(|rank| rank > own_rank);
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == own && *to == used);
            if later && !excepted {
                wrong.push(format!(
                    "{}: {own} uses {used}, which stands after it in src/lib.rs",
                    shown(&path)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_is_in_its_list() {
    let layers = layers();
    for path in rust_files("src") {
        let own = layer_of(&path).unwrap();
        assert!(
            ["lib", "main"].contains(&own.as_str()) || layers.contains(&own),
            "{} is in no layer",
            shown(&path)
        );
    }
}

/// Lines before the tests that stand in the same file.
fn lines_of_code(text: &str) -> usize {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().count()
}

#[test]
fn no_file_is_long() {
    let mut long = Vec::new();
    for path in all_rust_files() {
        let lines = lines_of_code(&read(&path));
        if lines > MANY_LINES {
            println!("{} has {lines} lines", shown(&path));
        }
        if lines > MOST_LINES {
            long.push(format!("{} has {lines} lines, more than {MOST_LINES}", shown(&path)));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    let words =
        [concat!("to", "do!"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("unimpl", "emented!")];
    for path in all_rust_files() {
        let text = read(&path);
        for word in words {
            assert!(!text.contains(word), "{} holds {word}", shown(&path));
        }
    }
}

#[test]
fn modules_are_named_for_what_they_do() {
    let names = ["utils", "util", "common", "types", "helpers", "helper", "manager", "misc"];
    for path in all_rust_files() {
        let parts = path.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
        let inside: Vec<String> = parts.skip(root().iter().count()).collect();
        assert!(!inside.iter().any(|part| names.contains(&part.as_str())), "{}", shown(&path));
    }
}

#[test]
fn no_channel_is_unbounded() {
    for path in rust_files("src") {
        let unbounded = concat!("unbounded", "_channel");
        assert!(!read(&path).contains(unbounded), "{} holds {unbounded}", shown(&path));
    }
}

#[test]
fn the_fail_points_listed_are_the_fail_points_passed() {
    let mut passed = BTreeSet::new();
    for path in rust_files("src") {
        let text = read(&path);
        let calls =
            text.match_indices("failpoint::hit(\"").filter_map(|(at, call)| text.get(at + call.len()..));
        passed.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    let names = binbridge::failpoint::NAMES.iter().chain(binbridge::failpoint::TRANSITIONS);
    let listed: BTreeSet<String> = names.map(|name| (*name).to_owned()).collect();
    assert_eq!(passed, listed);
}

#[test]
fn every_recorded_fixture_is_in_the_manifest() {
    let folder = root().join("proto-fixtures");
    let manifest: toml::Table = read(&folder.join("MANIFEST.toml")).parse().unwrap();
    let entries = manifest["fixture"].as_array().unwrap();
    let listed: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["file"].as_str()).collect();
    let files = fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let recorded: BTreeSet<String> = files.filter(|name| name.ends_with(".binlog")).collect();
    assert_eq!(recorded.iter().map(String::as_str).collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_top_of_the_project_holds_what_it_should() {
    let expected = ["benches", "proto-fixtures", "src", "target", "tests"];
    let files = ["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "Makefile", "README.md", "build.rs"];
    for entry in fs::read_dir(root()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = expected.contains(&name.as_str()) || files.contains(&name.as_str());
        assert!(known || name.starts_with('.'), "{name} is new at the top of the project");
    }
}
