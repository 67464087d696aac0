//! The rules of AGENTS.md that a test can hold: which module may use which, and what stays behind
//! one door. Each check has a control over a made-up tree.

mod imports;

use std::path::Path;

use imports::{Module, Tree};

fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (file, text) in files {
        tree.add(file, text);
    }
    tree
}

/// The crate, as it is.
fn ours() -> Tree {
    Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn shown(module: &Module) -> String {
    match module.is_empty() {
        true => "lib".to_owned(),
        false => module.join("::"),
    }
}

/// One line for each circle.
fn circles(tree: &Tree) -> Vec<String> {
    let line = |circle: std::collections::BTreeSet<&Module>| {
        let names: Vec<_> = circle.into_iter().map(shown).collect();
        names.join(" <> ")
    };
    tree.circles().into_iter().map(line).collect()
}

/// One line for each arrow to a module further down.
fn upward(tree: &Tree) -> Vec<String> {
    let line = |(from, to)| format!("{} -> {}", shown(from), shown(to));
    tree.upward().into_iter().map(line).collect()
}

#[test]
fn control_a_module_that_uses_one_below_it_is_reported() {
    for import in [
        "use crate::b::B;",
        "use super::b::B;",
        "use crate::{b::{self as other, B}};",
        "fn f() { crate::b::f(); }",
        "use crate::c;\nfn f() { super::b::f(); }",
    ] {
        let tree = tree(&[
            ("lib.rs", "mod c;\nmod a;\nmod b;"),
            ("a.rs", import),
            ("b.rs", ""),
            ("c.rs", ""),
        ]);
        assert_eq!(upward(&tree), ["a -> b"], "{import}");
        assert_eq!(circles(&tree), [""; 0], "{import}");
    }
}

#[test]
fn control_the_order_of_a_folder_is_that_of_its_mod_lines() {
    let tree = tree(&[
        ("lib.rs", "mod low;\nmod high;"),
        (
            "low/mod.rs",
            "pub(crate) mod second;\npub(crate) mod first;",
        ),
        ("low/first.rs", "use super::second::X;"),
        ("low/second.rs", ""),
        ("high/mod.rs", "mod first;\nmod second;"),
        (
            "high/first.rs",
            "use crate::low;\nfn f() { low::first::f(); super::second::f(); }",
        ),
        ("high/second.rs", "use crate::low::{first, second};"),
    ]);
    assert_eq!(upward(&tree), ["high::first -> high::second"]);
}

#[test]
fn control_modules_that_use_one_another_are_reported() {
    let parent = "mod child;\nuse child::Child;\npub(crate) struct Parent;";
    let tree_of = |parent, child| {
        let files = [
            ("lib.rs", "mod a;\nmod b;\nmod c;"),
            ("a/mod.rs", parent),
            ("a/child.rs", child),
        ];
        tree(
            &[
                &files[..],
                &[
                    ("b.rs", "use crate::a::child;"),
                    ("c.rs", "use crate::{a, b};"),
                ],
            ]
            .concat(),
        )
    };
    let circle = tree_of(parent, "use super::Parent;");
    assert_eq!(circles(&circle), ["a <> a::child"]);
    let by_three = tree_of(parent, "use crate::c::C;");
    assert_eq!(circles(&by_three), ["a <> a::child <> b <> c"]);
    let named_inline = tree_of("mod child;\nfn f() { child::f(); }", "use super::Parent;");
    assert_eq!(circles(&named_inline), ["a <> a::child"]);
}

#[test]
fn control_what_is_no_use_is_not_reported() {
    let tree = tree(&[
        ("lib.rs", "mod a;\nmod b;\npub use b::B;"),
        (
            "a/mod.rs",
            "mod child;\npub(crate) use child::Child;\n// use crate::b::B;\n\
             #[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\n",
        ),
        ("a/child.rs", "use super::Parent;"),
        ("a/child_tests.rs", "use crate::b::B;"),
        ("b.rs", "use crate::a::Parent;"),
    ]);
    assert_eq!((upward(&tree), circles(&tree)), (vec![], vec![]));
}

/// The modules that hold `text`, but for those that may.
fn outside(tree: &Tree, text: &str, doors: &[&str]) -> Vec<String> {
    let holders = tree.0.iter().filter(|(_, code)| code.contains(text));
    let names = holders.map(|(module, _)| shown(module));
    let is_door = |name: &String| doors.iter().any(|door| name == door);
    names.filter(|name| !is_door(name)).collect()
}

/// The texts between quotes that are long enough to be a sentence of `op`.
fn sentences(code: &str) -> Vec<&str> {
    let texts = code
        .lines()
        .flat_map(|line| line.split('"').skip(1).step_by(2));
    texts
        .filter(|text| text.len() >= 12 && text.trim().contains(' '))
        .collect()
}

/// The modules that hold a text which `recogniser` looks for, with the text.
fn recognised_elsewhere(tree: &Tree, recogniser: &str) -> Vec<String> {
    let module: Module = recogniser.split("::").map(str::to_owned).collect();
    let mut found = vec![];
    for text in sentences(&tree.0[&module]) {
        let modules = outside(tree, text, &[recogniser]);
        found.extend(modules.iter().map(|module| format!("{module}: {text}")));
    }
    found
}

#[test]
fn control_what_stays_behind_one_door_elsewhere_is_caught() {
    let tree = tree(&[
        ("lib.rs", "mod door;\nmod other;"),
        (
            "door.rs",
            "Command::new(op); text.starts_with(\"session expired\")",
        ),
        ("other.rs", "Command::new(op); // session expired"),
        ("quoting.rs", "let hint = \"the session expired\";"),
    ]);
    assert_eq!(outside(&tree, "Command::new(", &["door"]), ["other"]);
    let found = recognised_elsewhere(&tree, "door");
    assert_eq!(
        found,
        ["other: session expired", "quoting: session expired"]
    );
}

#[test]
fn programs_are_started_in_their_doors_only() {
    let doors = [
        "base::program",
        // The demo is the program on itself, and a shell that reads what it prints.
        "cli::demo",
    ];
    let tree = ours();
    assert_eq!(outside(&tree, "Command::new(", &doors), [""; 0]);
    assert_eq!(outside(&tree, "Command::new(", &[]), doors, "each is one");
    // `op`'s environment holds the key to the vault, which `Command` would copy.
    assert_eq!(outside(&tree, "posix_spawn(", &[]), ["broker::op::process"]);
}

/// The calls by which files are looked at without asking `Host`.
const FILE_ACCESS: [&str; 15] = [
    "fs::read",
    "fs::write",
    "fs::remove",
    "fs::rename",
    "fs::create",
    "fs::metadata",
    "File::open",
    "File::create",
    "OpenOptions",
    ".exists()",
    ".metadata()",
    ".is_file()",
    ".symlink_metadata()",
    ".canonicalize()",
    ".try_exists()",
];

/// The modules of `deploy` that look at files without `deploy::host`, but for `doors`.
fn look_at_files(tree: &Tree, doors: &[&str]) -> Vec<String> {
    let look = |text: &&str| outside(tree, text, doors);
    let all = FILE_ACCESS.iter().flat_map(look);
    let ours = all.filter(|it| it.starts_with("deploy::") && !it.starts_with("deploy::host"));
    let names: std::collections::BTreeSet<_> = ours.collect();
    names.into_iter().collect()
}

#[test]
fn files_of_the_host_are_looked_at_in_its_folder_only() {
    // Each says there why.
    let doors = [
        // Plugins of the Docker client, which is the operator's: not below `--root`.
        "deploy::docker::client",
        // A folder to build from, which is the operator's too.
        "deploy::image::build",
        // What decides where the host's root is.
        "deploy::settings::file",
        // A token, which goes from the file into locked memory.
        "deploy::token",
    ];
    let tree = ours();
    assert_eq!(look_at_files(&tree, &doors), [""; 0]);
    assert_eq!(look_at_files(&tree, &[]), doors, "each does");
}

#[test]
fn control_a_look_at_a_file_elsewhere_is_caught() {
    let looks = [
        "fn f() { fs::read_to_string(path) }",
        "fn f() { std::fs::remove_dir_all(path) }",
        "fn f() { path.exists() }",
        "fn f() { path.symlink_metadata() }",
        "fn f() { File::options().open(path); File::open(path) }",
    ];
    for code in looks {
        let tree = tree(&[
            ("lib.rs", "mod deploy;"),
            ("deploy/mod.rs", "mod host;\nmod other;\nmod good;"),
            ("deploy/host/mod.rs", "mod files;"),
            ("deploy/host/files.rs", code),
            ("deploy/other.rs", code),
            (
                "deploy/good.rs",
                "use std::os::unix::fs::MetadataExt;\nfn f() { host.exists(path) }",
            ),
        ]);
        assert_eq!(look_at_files(&tree, &[]), ["deploy::other"], "{code}");
    }
}

#[test]
fn whether_the_engine_is_elsewhere_is_asked_where_it_is_decided() {
    // Each says there what hangs on it; the rest asks these.
    let decided = [
        "deploy::gateway::env",
        "deploy::gateway::state",
        "deploy::host::system_elsewhere",
        "deploy::settings",
        "deploy::step",
    ];
    let tree = ours();
    assert_eq!(outside(&tree, ".is_remote()", &decided), [""; 0]);
    assert_eq!(outside(&tree, ".is_remote()", &[]), decided, "each does");
}

#[test]
fn texts_of_op_are_recognised_in_one_file() {
    let found = recognised_elsewhere(&ours(), "broker::op::failure");
    // Registries say that too.
    assert_eq!(
        found,
        ["deploy::docker::pull_error: authentication required"]
    );
}

#[test]
fn a_panic_unwinds_so_that_secrets_are_wiped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("text");
    assert!(manifest.contains("[profile.release]"));
    assert!(!manifest.contains("panic ="));
}

#[test]
fn no_file_is_long() {
    let tree = ours();
    let lines = |code: &String| code.lines().count();
    let long = tree.0.iter().filter(|(_, code)| lines(code) > 350);
    let names: Vec<_> = long.map(|(module, _)| shown(module)).collect();
    assert_eq!(names, [""; 0]);
}

/// The paths between backticks in the second column of a table, in full: a bare `git.rs` after
/// `credential_helper/docker.rs` lies in the same folder.
fn paths_of_table(map: &str) -> Vec<String> {
    let mut paths = vec![];
    for row in map.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let file = row.split(" | ").nth(1).unwrap_or_default();
        let mut folder = String::new();
        for path in file.split('`').skip(1).step_by(2) {
            match path.rsplit_once('/') {
                Some((parent, _)) => folder = format!("{}/", parent.trim_end_matches('/')),
                None => paths.push(format!("{folder}{path}")),
            }
            paths.extend(path.contains('/').then(|| path.to_owned()));
        }
    }
    paths
}

/// Those of `paths` that are not below `src/`.
fn gone(paths: &[String]) -> Vec<&String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_gone = |path: &&String| !source.join(path).exists();
    paths.iter().filter(is_gone).collect()
}

#[test]
fn the_map_in_lib_names_files_that_are_there_and_agents_md_the_same_folders() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("src/lib.rs")).expect("text");
    let paths = paths_of_table(&map);
    assert!(paths.len() > 30, "only {} paths", paths.len());
    assert_eq!(gone(&paths), [""; 0]);

    let modules = map.lines().filter_map(|line| line.strip_prefix("mod "));
    let modules: Vec<_> = modules.filter_map(|it| it.strip_suffix(';')).collect();
    let agents = std::fs::read_to_string(root.join("AGENTS.md")).expect("text");
    let tree = agents.split("\nsrc/ ").nth(1).expect("a map");
    let folders = tree
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("  "));
    let folders: Vec<_> = folders.filter_map(|line| line.split('/').next()).collect();
    assert_eq!(folders, [&modules[..], &["bin"]].concat());
}

#[test]
fn control_a_file_of_the_map_that_is_gone_is_caught() {
    let map = "//! | a | `base/ui.rs`, `none.rs`; `broker/op/` |\n//! | b | `fuzzing.rs` |";
    let paths = paths_of_table(map);
    assert_eq!(
        paths,
        ["base/ui.rs", "base/none.rs", "broker/op/", "fuzzing.rs"]
    );
    assert_eq!(gone(&paths), ["base/none.rs"]);
}

#[test]
fn nothing_is_used_from_below_and_nothing_in_a_circle() {
    let tree = ours();
    assert!(tree.0.len() > 100, "the crate is found");
    assert_eq!((upward(&tree), circles(&tree)), (vec![], vec![]));
}
