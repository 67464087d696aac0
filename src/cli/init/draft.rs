//! The text of a new `oc-secrets.toml`: comments that say what can stand in it, and what is known
//! already. Pure.

use std::path::Path;

use crate::broker::manifest::{self, Origin, quoted};
use crate::broker::op::list::ListedItem;
use crate::broker::reference::Reference;

/// What is known of a new manifest.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The default vault.
    pub vault: Option<String>,
    /// The lines of `[secrets]`.
    pub secrets: Vec<Line>,
    /// The lines of `[vars]`.
    pub vars: Vec<Line>,
    /// Names that hold something which looks like a secret, and the file where they do.
    pub plain: Vec<String>,
    /// The dotenv file.
    pub from: Option<String>,
}

/// `NAME = …`, and why it is only a comment, if it is.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    value: String,
    remark: Option<String>,
    unfit: bool,
}

const HEAD: &str = "\
# What oc-secrets hands to commands, shells, Docker and git. There is no secret in this file, only
# where each is kept in 1Password, so it can be committed. After a change: oc-secrets allow
";

const SECRETS: &str = "
[secrets]
# NAME = { item = \"its title\" }                        the item's field \"credential\"
# NAME = { item = \"its title\", field = \"password\" }    another field
# NAME = \"op://vault/item/field\"                       what 1Password's \"Copy secret reference\" gives
# With `required = false` a run goes on without it, with `default = \"…\"` it takes that instead.
";

const VARS: &str = "
# [vars]                          plain values that go along; never a secret
# APP_ENV = \"production\"
";

const TAIL: &str = "
# [registries.\"ghcr.io\"]          what Docker is told: oc-secrets docker install
# secret = \"NAME\"

# [git.\"github.com\"]              what git is told: oc-secrets git install
# secret = \"NAME\"

# [profiles.deploy]               a part of the secrets: oc-secrets exec --profile deploy -- CMD
# secrets = [\"NAME\"]
";

impl Draft {
    /// Adds the items of a list.
    pub(super) fn add_items(&mut self, items: &[ListedItem], all: &[ListedItem]) {
        for item in items {
            let name = self.unused(&name_of(&item.title));
            let twins = all.iter().filter(|other| other.title == item.title);
            let unique = twins.count() == 1;
            let shown = if unique { &item.title } else { &item.id };
            let mut line = Line::new(&name, by_item(shown, item.field()));
            line.remark = (!unique).then(|| item.title.clone());
            self.secrets.push(line);
        }
    }

    /// Adds an item by its title alone.
    pub(super) fn add_title(&mut self, title: &str) {
        let name = self.unused(&name_of(title));
        self.secrets
            .push(Line::new(&name, by_item(title, "credential")));
    }

    /// Adds a reference.
    pub(super) fn add_reference(&mut self, name: &str, reference: &Reference) {
        let value = quoted(&reference.to_string());
        self.secrets.push(Line::new(name, value));
    }

    /// Adds a plain value.
    pub(super) fn add_var(&mut self, name: &str, value: &str) {
        self.vars.push(Line::new(name, quoted(value)));
    }

    /// How many secrets it hands out.
    pub(super) fn count(&self) -> usize {
        self.secrets.iter().filter(|line| !line.unfit).count()
    }

    /// Names that no found manifest may set, or titles that it cannot hold.
    pub(super) fn unfit(&self) -> Vec<&str> {
        let lines = self.secrets.iter().chain(&self.vars);
        let unfit = lines.filter(|line| line.unfit);
        unfit.map(|line| line.name.as_str()).collect()
    }

    /// Turns lines into comments that would make the manifest unusable.
    pub(super) fn check(&mut self) {
        for (table, lines) in [("secrets", &mut self.secrets), ("vars", &mut self.vars)] {
            for line in lines {
                let alone = format!("[{table}]\n{} = {}\n", line.name, line.value);
                line.unfit =
                    manifest::parse(&alone, "", Origin::Found(Path::new("/").into())).is_err();
            }
        }
    }

    /// The file's text.
    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        text.push_str(&match &self.vault {
            Some(vault) => format!(
                "\nvault = {}  # where an item alone is named; --vault and OP_VAULT override it\n",
                quoted(vault)
            ),
            None => "\n# vault = \"Private\"             where an item alone is named\n".to_owned(),
        });
        text.push_str(SECRETS);
        text.push_str(&lines(&self.secrets));
        text.push_str(&self.not_copied());
        match self.vars.is_empty() {
            true => text.push_str(VARS),
            false => text.push_str(&format!("\n[vars]\n{}", lines(&self.vars))),
        }
        text.push_str(TAIL);
        text
    }

    fn not_copied(&self) -> String {
        let (Some(from), false) = (&self.from, self.plain.is_empty()) else {
            return String::new();
        };
        let names = self.plain.iter().map(|name| format!("#   {name}\n"));
        format!(
            "\n# Not copied from {}: they hold secrets, or may. Put each into 1Password, and its\n\
             # reference here:\n{}",
            one_line(from),
            names.collect::<String>()
        )
    }

    /// `name`, or with a number where a secret or a plain value has that.
    fn unused(&self, name: &str) -> String {
        let lines = || self.secrets.iter().chain(&self.vars);
        let taken = |name: &str| lines().any(|line| line.name == name);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        names.find(|name| !taken(name)).unwrap_or_default()
    }
}

impl Line {
    fn new(name: &str, value: String) -> Self {
        Self {
            name: name.to_owned(),
            value,
            remark: None,
            unfit: false,
        }
    }
}

fn lines(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let line = |line: &Line| {
        let hash = if line.unfit {
            "# cannot stand here: "
        } else {
            ""
        };
        let remark = line.remark.as_deref();
        let remark = remark.map(|remark| format!("  # {}", one_line(remark)));
        format!(
            "{hash}{:width$} = {}{}\n",
            line.name,
            line.value,
            remark.unwrap_or_default()
        )
    };
    lines.iter().map(line).collect()
}

fn by_item(item: &str, field: &str) -> String {
    match field {
        "credential" => format!("{{ item = {} }}", quoted(item)),
        _ => format!("{{ item = {}, field = {} }}", quoted(item), quoted(field)),
    }
}

/// A variable's name made of an item's title: `GitHub Pull-Token` is `GITHUB_PULL_TOKEN`.
fn name_of(title: &str) -> String {
    let mut name = String::new();
    for letter in title.chars() {
        match letter.is_ascii_alphanumeric() {
            true => name.push(letter.to_ascii_uppercase()),
            false if name.ends_with('_') || name.is_empty() => {}
            false => name.push('_'),
        }
    }
    let name = name.trim_end_matches('_');
    match name.chars().next() {
        None => "SECRET".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("SECRET_{name}"),
        Some(_) => name.chars().take(100).collect(),
    }
}

/// The built-in list, with `vault` where one was named.
pub(super) fn openclaw(vault: Option<&str>) -> String {
    let text = manifest::builtin_text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let line = |line: &str| match (line.starts_with("vault = "), vault) {
        (true, Some(vault)) => format!("vault = {}\n", quoted(vault)),
        _ => format!("{line}\n"),
    };
    format!("{HEAD}\n{}", lines.map(line).collect::<String>())
}

/// A text that cannot end the comment in which it stands.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, title: &str, category: &str) -> ListedItem {
        ListedItem {
            id: id.to_owned(),
            title: title.to_owned(),
            category: category.to_owned(),
            edited: String::new(),
        }
    }

    fn parsed(draft: &Draft) -> Vec<String> {
        let text = draft.text();
        let parsed = manifest::parse(&text, "draft", Origin::Found("/m".into()));
        let parsed = parsed.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let shown = |spec| parsed.shown_source(spec);
        let secrets = parsed.secrets.iter();
        secrets
            .map(|spec| format!("{}={}", spec.name, shown(spec)))
            .collect()
    }

    #[test]
    fn titles_become_names() {
        for (title, name) in [
            ("GitHub GHCR Pull-Token", "GITHUB_GHCR_PULL_TOKEN"),
            ("  (prod) Postgres ", "PROD_POSTGRES"),
            (
                "1Password Service Account",
                "SECRET_1PASSWORD_SERVICE_ACCOUNT",
            ),
            ("Schlüssel", "SCHL_SSEL"),
            ("🦀", "SECRET"),
        ] {
            assert_eq!(name_of(title), name);
        }
    }

    #[test]
    fn whatever_is_in_it_the_draft_can_be_parsed() {
        let mut draft = Draft {
            vault: Some("a \"b\" \\c".to_owned()),
            plain: vec!["TOKEN".to_owned()],
            from: Some("a\nb".to_owned()),
            ..Draft::default()
        };
        let all = [
            item("i1", "Same", "LOGIN"),
            item("i2", "Same", "SSH_KEY"),
            item("i3", "it's \"x\"\u{7}", "API_CREDENTIAL"),
            item("i4", "path", "API_CREDENTIAL"),
        ];
        draft.add_var("A", "two\nlines");
        draft.add_var("SAME_3", "x");
        draft.add_items(&all, &all);
        draft.add_title("Same");
        draft.check();
        assert_eq!(
            parsed(&draft),
            [
                "SAME=op://a \"b\" \\c/i1/password",
                "SAME_2=op://a \"b\" \\c/i2/private key",
                "SAME_4=op://a \"b\" \\c/Same/credential",
            ]
        );
        assert_eq!(draft.unfit(), ["IT_S_X", "PATH"]);
        assert_eq!(draft.count(), 3);
    }

    #[test]
    fn an_empty_draft_is_a_manifest_too() {
        assert_eq!(parsed(&Draft::default()), Vec::<String>::new());
    }
}
