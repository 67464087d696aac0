//! Reads which module of a crate uses which: `use` lines and inline paths of its files, without
//! the test modules at their ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The path of a module, such as `["broker", "op"]`; the crate's root is empty.
pub type Module = Vec<String>;

/// The code of each module, without comments and test modules.
#[derive(Default)]
pub struct Tree(pub BTreeMap<Module, String>);

impl Tree {
    pub fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
                let path = entry.path();
                let below = path.strip_prefix(root).expect("below it");
                if path.is_dir() && below != Path::new("bin") {
                    directories.push(path);
                } else if below.extension().is_some_and(|it| it == "rs") {
                    let text = std::fs::read_to_string(&path).expect("text");
                    tree.add(&below.to_string_lossy(), &text);
                }
            }
        }
        tree
    }

    /// Adds a file by its path below `src`, unless it holds nothing but tests.
    pub fn add(&mut self, file: &str, text: &str) {
        let name = file.strip_suffix(".rs").expect("a Rust file");
        let name = name.strip_suffix("/mod").unwrap_or(name);
        if name.ends_with("_tests") {
            return;
        }
        let module = match name {
            "lib" => vec![],
            _ => name.split('/').map(str::to_owned).collect(),
        };
        self.0.insert(module, without_tests(text));
    }

    /// The children of a module in the order of their `mod` lines.
    fn children(&self, module: &Module) -> Vec<String> {
        let lines = self.0.get(module).into_iter().flat_map(|text| text.lines());
        lines
            .filter_map(|line| {
                let (before, name) = line.split_once("mod ")?;
                let is_declaration = before.is_empty() || before.starts_with("pub");
                let name = name.strip_suffix(';')?;
                is_declaration.then(|| name.to_owned())
            })
            .collect()
    }

    /// What each module uses.
    fn arrows(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let modules = self.0.iter();
        modules
            .map(|(module, text)| (module, self.used_by(module, text)))
            .collect()
    }

    fn used_by(&self, module: &Module, text: &str) -> BTreeSet<&Module> {
        let children = self.children(module);
        let mut reader = Reader {
            tokens: tokens(text),
            at: 0,
            names: children
                .iter()
                .map(|it| (it.clone(), [&module[..], std::slice::from_ref(it)].concat()))
                .collect(),
            module,
            paths: vec![],
        };
        reader.read();
        let known = |path: &Module| {
            let prefixes = (1..=path.len()).rev().map(|length| &path[..length]);
            prefixes
                .filter_map(|prefix| self.0.get_key_value(prefix))
                .map(|(known, _)| known)
                .next()
        };
        let paths = reader.paths.iter().filter_map(known);
        paths.filter(|used| *used != module).collect()
    }

    /// The circles among the files, each as the set of those that reach one another.
    pub fn circles(&self) -> Vec<BTreeSet<&Module>> {
        let arrows = self.arrows();
        let reach = |from| {
            let mut seen = BTreeSet::new();
            let mut next: Vec<_> = arrows[from].iter().copied().collect();
            while let Some(module) = next.pop() {
                if seen.insert(module) {
                    next.extend(&arrows[module]);
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = arrows.keys().map(|&it| (it, reach(it))).collect();
        let mut circles: Vec<BTreeSet<&Module>> = reached
            .iter()
            .filter(|(module, reached)| reached.contains(*module))
            .map(|(module, others)| {
                let back = |other: &&&Module| reached[**other].contains(*module);
                others.iter().filter(back).copied().collect()
            })
            .collect();
        circles.sort();
        circles.dedup();
        circles
    }

    /// The arrows from a module to one that stands below it in the `mod` lines of their parent.
    pub fn upward(&self) -> Vec<(&Module, &Module)> {
        let arrows = self.arrows();
        let arrows = arrows
            .iter()
            .flat_map(|(from, to)| to.iter().map(|to| (*from, *to)));
        arrows
            .filter(|(from, to)| self.is_upward(from, to))
            .collect()
    }

    fn is_upward(&self, from: &Module, to: &Module) -> bool {
        let common = from
            .iter()
            .zip(to.iter())
            .take_while(|(a, b)| a == b)
            .count();
        let (Some(user), Some(used)) = (from.get(common), to.get(common)) else {
            return false;
        };
        let order = self.children(&from[..common].to_vec());
        let place = |name| {
            order
                .iter()
                .position(|it| it == name)
                .expect("a `mod` line")
        };
        place(used) > place(user)
    }
}

/// Without comments, and without the test modules, which end a file.
fn without_tests(text: &str) -> String {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut kept = String::new();
    let mut lines = code.peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && next.contains("mod ") && next.ends_with('{') {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Words, `::`, and single signs.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Finds the paths in the tokens of one file.
struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    module: &'a Module,
    /// What a first word stands for: children, and what was imported.
    names: BTreeMap<String, Module>,
    paths: Vec<Module>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens
            .get(self.at + ahead)
            .copied()
            .unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        self.at += 1;
        self.tokens.get(self.at - 1).copied().unwrap_or_default()
    }

    fn read(&mut self) {
        let mut before = "";
        while self.at < self.tokens.len() {
            let word = self.next();
            if word == "use" {
                let found = self.paths.len();
                self.import(None, true);
                // A module that merely hands on what its children have does not use it.
                if before == "pub" || before == ")" {
                    let imported = self.paths.split_off(found);
                    let mine = self.module.len();
                    let is_own = |it: &Module| it.len() > mine && it.starts_with(self.module);
                    self.paths
                        .extend(imported.into_iter().filter(|it| !is_own(it)));
                }
            } else if self.peek(0) == "::" && before != "::" {
                self.inline(word);
            }
            before = self.tokens[self.at - 1];
        }
    }

    /// A path such as `super::text::render`.
    fn inline(&mut self, first: &str) {
        let mut path = self.first(first);
        while self.peek(0) == "::" && self.peek(1).starts_with(char::is_alphabetic) {
            path = path.map(|path| step(path, self.peek(1)));
            self.at += 2;
        }
        self.paths.extend(path);
    }

    /// The tree of a `use`, below `prefix`.
    fn import(&mut self, mut prefix: Option<Module>, mut is_first: bool) {
        loop {
            match self.next() {
                "{" => {
                    while !matches!(self.peek(0), "}" | "") {
                        self.import(prefix.clone(), is_first);
                        self.at += usize::from(self.peek(0) == ",");
                    }
                    self.at += 1;
                    return;
                }
                "*" => return self.paths.extend(prefix),
                word if is_first => prefix = self.first(word),
                word => prefix = prefix.map(|prefix| step(prefix, word)),
            }
            if self.peek(0) != "::" {
                break;
            }
            self.at += 1;
            is_first = false;
        }
        let Some(path) = prefix else { return };
        let name = match self.peek(0) {
            "as" => Some(self.peek(1).to_owned()),
            _ => path.last().cloned(),
        };
        self.at += 2 * usize::from(self.peek(0) == "as");
        self.names.extend(name.map(|name| (name, path.clone())));
        self.paths.push(path);
    }

    /// What the first word of a path stands for, if it is of this crate.
    fn first(&self, word: &str) -> Option<Module> {
        match word {
            "crate" => Some(vec![]),
            "self" => Some(self.module.clone()),
            "super" => Some(step(self.module.clone(), word)),
            _ => self.names.get(word).cloned(),
        }
    }
}

fn step(mut path: Module, word: &str) -> Module {
    match word {
        "super" => drop(path.pop()),
        "self" => {}
        _ => path.push(word.to_owned()),
    }
    path
}
