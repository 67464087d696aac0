//! What the units of this step have in common: they run this very program with this very configuration.

use std::path::{Path, PathBuf};

use crate::base::file_ownership;
use crate::deploy::context::Context;
use crate::deploy::error::{Failure, Result};
use crate::deploy::host::systemd::quoted;

const INSTALLED: &str = "/usr/local/bin/openclaw-deploy";

/// `program words --wait`, with the configuration if it is another than the default, for `ExecStart=`.
pub(super) fn command(cx: &Context, words: &str) -> Result<String> {
    let config = cx.settings.config.as_deref();
    Ok(command_of(&program(cx)?, words, config))
}

/// Where this program stays, if nobody else can write it there.
fn program(cx: &Context) -> Result<PathBuf> {
    let hint = || format!("put it where it stays: install openclaw-deploy {INSTALLED}");
    let program = match cx.host.exists(INSTALLED) {
        true => cx.host.path(INSTALLED),
        false => std::env::current_exe()
            .map_err(|why| Failure::system("find this program", why).hint(hint()))?,
    };
    let canonical = file_ownership::path(&program).map_err(|why| {
        let program = program.display();
        let what = format!("a timer is not to run {program} as root: {why}");
        Failure::new(what).hint(hint())
    })?;
    match cx.host.exists(INSTALLED) {
        true => Ok(PathBuf::from(INSTALLED)),
        false => Ok(canonical),
    }
}

fn command_of(program: &Path, words: &str, config: Option<&Path>) -> String {
    let config = config.map(|path| format!(" --config {}", quoted(path)));
    let program = quoted(program);
    format!("{program} {words} --wait{}", config.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_timer_runs_reads_what_this_run_read() {
        let program = Path::new("/opt/a b/x");
        let of = |config: Option<&str>| command_of(program, "backup", config.map(Path::new));
        assert_eq!(of(None), "\"/opt/a b/x\" backup --wait");
        assert_eq!(
            of(Some("/srv/100% $x\"\\.toml")),
            r#""/opt/a b/x" backup --wait --config "/srv/100%% $$x\"\\.toml""#
        );
    }
}
