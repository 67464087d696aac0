//! The documents: their links lead somewhere, and the README shows the programs as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::Sandbox;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(file)).expect("a document")
}

/// Every Markdown file that git knows, by its path in the repository.
fn documents() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.md",
        ])
        .current_dir(root())
        .output()
        .expect("git runs");
    let listed = String::from_utf8(listed.stdout).expect("paths");
    listed.lines().map(PathBuf::from).collect()
}

/// What stands outside of blocks of code, which may hold anything.
fn prose(markdown: &str) -> String {
    let parts = markdown.split("\n```");
    parts.step_by(2).collect::<Vec<_>>().join("\n")
}

/// The targets of `[…](…)` that are no addresses, nor pages that GitHub has beside the files.
fn links(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let targets = prose.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split(')').next());
    let is_file = |it: &&str| !it.contains("://") && !it.starts_with("../../actions/");
    let relative = targets.filter(is_file);
    relative.map(str::to_owned).collect()
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The links of `markdown`, a file in `folder`, that lead nowhere.
fn dead_links(folder: &Path, markdown: &str) -> Vec<String> {
    let is_dead = |link: &String| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let page = match file {
            "" => Ok(markdown.to_owned()),
            _ => std::fs::read_to_string(folder.join(file)),
        };
        let Ok(page) = page else {
            return !folder.join(file).is_dir();
        };
        let page = prose(&page);
        let mut headings = page.lines().filter(|line| line.starts_with('#'));
        !heading.is_empty() && !headings.any(|line| anchor(line.trim_start_matches('#')) == heading)
    };
    links(markdown).into_iter().filter(is_dead).collect()
}

#[test]
fn every_link_in_a_document_leads_to_a_file_and_a_heading_that_exist() {
    let mut seen = 0;
    for document in documents() {
        let markdown = text(&document);
        let folder = root().join(document.parent().expect("a folder"));
        let dead = dead_links(&folder, &markdown);
        assert_eq!(dead, [""; 0], "{}", document.display());
        seen += links(&markdown).len();
    }
    assert!(seen > 20, "only {seen} links were found");
}

#[test]
fn control_a_link_to_nothing_is_caught() {
    let markdown = "# A b\n[good](LICENSE), [gone](docs/none.md), [here](#a-b), [there](#none)\n\
                    [other](README.md#install), [far](README.md#none), [web](https://e.org/x)\n\
                    ```\n[code](none)\n```\n";
    let dead = dead_links(root(), markdown);
    assert_eq!(dead, ["docs/none.md", "#none", "README.md#none"]);
}

/// The command words of the README's command table: the program, then the words up to an argument.
fn commands(markdown: &str) -> Vec<Vec<String>> {
    let rows = markdown
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter(|row| row.starts_with("oc-secrets ") || row.starts_with("openclaw-deploy "));
    let words = |row: &str| {
        let command = row.split('`').next().unwrap_or_default();
        let words = command.split_whitespace();
        words
            .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect()
    };
    rows.map(words).collect()
}

/// Those whose last word is no command in the `--help` of what stands before it.
fn unknown(sandbox: &Sandbox, commands: &[Vec<String>]) -> Vec<String> {
    let is_unknown = |words: &&Vec<String>| {
        let (last, before) = words.split_last().expect("words");
        let (program, before) = before.split_first().expect("a program");
        let program = Path::new(env!("CARGO_BIN_EXE_oc-secrets")).with_file_name(program);
        let arguments = before.iter().map(String::as_str).chain(["--help"]);
        let help = sandbox.run(&program, arguments).done().text();
        let mut first = help
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        !first.any(|word| word == last)
    };
    let unknown = commands.iter().filter(is_unknown);
    unknown.map(|words| words.join(" ")).collect()
}

#[test]
fn every_command_of_the_documents_is_one_of_the_programs() {
    let page = commands(&text("docs/commands.md"));
    let commands = [commands(&text("README.md")), page].concat();
    assert!(commands.len() > 40, "only {} commands", commands.len());
    assert_eq!(unknown(&Sandbox::new(), &commands), [""; 0]);
}

/// The commands in the `--help` of both programs that have no row in `page`.
fn without_a_row(sandbox: &Sandbox, page: &[Vec<String>]) -> Vec<String> {
    let mut missing = vec![];
    for name in ["oc-secrets", "openclaw-deploy"] {
        let program = Path::new(env!("CARGO_BIN_EXE_oc-secrets")).with_file_name(name);
        let help = sandbox.run(&program, ["--help"]).done().text();
        let listed = help.split("\nCommands:\n").nth(1).expect("commands");
        let listed = listed.lines().take_while(|line| !line.is_empty());
        // What a long line is continued with stands further right.
        let listed = listed.filter(|line| !line.starts_with("    "));
        let words = listed.filter_map(|line| line.split_whitespace().next());
        let has_a_row = |word: &str| page.iter().any(|row| row[0] == name && row[1] == word);
        let rowless = words.filter(|word| *word != "help" && !has_a_row(word));
        missing.extend(rowless.map(|word| format!("{name} {word}")));
    }
    missing
}

#[test]
fn every_command_of_the_programs_has_its_row() {
    let page = commands(&text("docs/commands.md"));
    assert_eq!(without_a_row(&Sandbox::new(), &page), [""; 0]);
}

#[test]
fn control_a_command_without_a_row_is_caught() {
    let mut page = commands(&text("docs/commands.md"));
    page.retain(|row| row[1] != "lock" && row[1] != "restore");
    let missing = without_a_row(&Sandbox::new(), &page);
    assert_eq!(missing, ["oc-secrets lock", "openclaw-deploy restore"]);
}

/// The pages of docs/ to which `readme` does not lead.
fn unreachable(readme: &str) -> Vec<String> {
    let pages = documents()
        .into_iter()
        .map(|page| page.display().to_string());
    let pages = pages.filter(|page| page.starts_with("docs/"));
    pages
        .filter(|page| !readme.contains(&format!("]({page}")))
        .collect()
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = text("README.md");
    assert_eq!(unreachable(&readme), [""; 0]);
    let without = readme.replace("(docs/mask.md", "(");
    assert_eq!(unreachable(&without), ["docs/mask.md"], "the control");
}

#[test]
fn control_a_command_that_does_not_exist_is_caught() {
    let table = "| `oc-secrets read` | |\n| `oc-secrets docker wire` | |\n| `oc-secrets fetch` | |\n\
                 | `openclaw-deploy update --x` | |\n| `openclaw-deploy destroy` | |\n";
    let unknown = unknown(&Sandbox::new(), &commands(table));
    let expected = [
        "oc-secrets docker wire",
        "oc-secrets fetch",
        "openclaw-deploy destroy",
    ];
    assert_eq!(unknown, expected);
}

#[test]
fn the_demo_of_the_readme_is_what_the_demo_prints() {
    let readme = text("README.md");
    let shown = readme.split("$ oc-secrets demo\n").nth(1).expect("a demo");
    let shown = shown.split("```").next().expect("its end");
    let sandbox = Sandbox::new();
    let printed = sandbox.oc(["demo"]).done().text();
    assert!(shown.lines().count() > 15);
    assert!(printed.starts_with(shown), "{printed}");
}
