//! Whether the shell that the user logs in with completes our programs: a file of a package or of
//! `install.sh`, or a line in what the shell reads at its start.

use std::path::{Path, PathBuf};

use super::row::Row;
use crate::base::environment::{self, Lookup};

/// A shell, the files that complete there, the file that it reads, and the line for that.
struct Shell {
    name: &'static str,
    files: &'static [&'static str],
    start: &'static str,
    line: &'static str,
}

const SHELLS: &[Shell] = &[
    Shell {
        name: "bash",
        files: &["bash-completion/completions/oc-secrets"],
        start: ".bashrc",
        line: "eval \"$(oc-secrets completions bash)\"",
    },
    Shell {
        name: "zsh",
        files: &[
            "zsh/site-functions/_oc-secrets",
            "zsh/vendor-completions/_oc-secrets",
        ],
        start: ".zshrc",
        line: "source <(oc-secrets completions zsh)",
    },
    Shell {
        name: "fish",
        files: &["fish/vendor_completions.d/oc-secrets.fish"],
        start: ".config/fish/config.fish",
        line: "oc-secrets completions fish | source",
    },
];

/// The row, for a shell that has a line.
pub(super) fn row(lookup: Lookup<'_>) -> Option<Row> {
    let home = environment::absolute(lookup, "HOME")?;
    let path = environment::path(lookup, "SHELL")?;
    let shell = SHELLS.iter().find(|shell| path.ends_with(shell.name))?;
    let shares = ["/usr/share", "/usr/local/share"].map(PathBuf::from);
    let own = home.join(".local/share");
    let shares = shares.iter().chain([&own]);
    let mut files = shares.flat_map(|share| shell.files.iter().map(|file| share.join(file)));
    let start = home.join(shell.start);
    let name = shell.name;
    if let Some(file) = files.find(|file| file.is_file()) {
        return Some(Row::ok("completion", format!("{name}: {}", file.display())));
    }
    if mentions(&start) {
        return Some(Row::ok(
            "completion",
            format!("{name}: {}", start.display()),
        ));
    }
    let fix = format!("echo '{}' >> ~/{}", shell.line, shell.start);
    let row = Row::warn(
        "completion",
        format!("{name} completes neither commands nor names here"),
    );
    // fish has no such folder by itself.
    let folder = Path::new(shell.start)
        .parent()
        .filter(|it| !it.as_os_str().is_empty());
    Some(row.fix(match folder {
        Some(folder) => format!("mkdir -p ~/{} && {fix}", folder.display()),
        None => fix,
    }))
}

fn mentions(start: &Path) -> bool {
    std::fs::read_to_string(start).is_ok_and(|text| text.contains("oc-secrets completions"))
}
