//! Who reads the text: the names that `--format` takes, but for `github`.

/// Who reads the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// dash, bash, zsh, ksh93, mksh, busybox; yash carries UTF-8 only. For `eval "$(…)"`.
    Sh,
    /// fish. For `… | source`.
    Fish,
    /// tcsh. For ``eval "`…`"`` or, UTF-8 only, `… | source /dev/stdin`. Backticks without double
    /// quotes carry plain values only: tcsh joins their blanks and expands their braces. A newline
    /// cannot be carried.
    Tcsh,
    /// Elvish. For `eval (… | slurp)`.
    Elvish,
    /// Xonsh. For `execx(subprocess.check_output([…], text=True))`; its own `$(…)` was seen to
    /// come back empty on a busy machine.
    Xonsh,
    /// PowerShell. For `… | Out-String | Invoke-Expression`; UTF-8 only, no empty value.
    Powershell,
    /// Nushell. For `… | from json | load-env`; UTF-8 only.
    Nu,
    /// One JSON object; UTF-8 only.
    Json,
    /// `EnvironmentFile=` of systemd; UTF-8 only.
    Systemd,
    /// `--env-file` of Docker and Podman; UTF-8 only, one line each, less than 64 KiB.
    Docker,
}

impl Format {
    /// Every format that is one text; `github` is two.
    pub(crate) const ALL: &[Self] = &[
        Self::Sh,
        Self::Fish,
        Self::Tcsh,
        Self::Elvish,
        Self::Xonsh,
        Self::Powershell,
        Self::Nu,
        Self::Json,
        Self::Systemd,
        Self::Docker,
    ];

    /// The name that `--format` takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sh => "sh",
            Self::Fish => "fish",
            Self::Tcsh => "tcsh",
            Self::Elvish => "elvish",
            Self::Xonsh => "xonsh",
            Self::Powershell => "powershell",
            Self::Nu => "nu",
            Self::Json => "json",
            Self::Systemd => "systemd",
            Self::Docker => "docker",
        }
    }

    /// The format of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.name() == name)
    }

    pub(super) fn carries_utf8_only(self) -> bool {
        matches!(
            self,
            Self::Powershell | Self::Nu | Self::Json | Self::Systemd | Self::Docker
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_format() {
        for &format in Format::ALL {
            assert_eq!(Format::parse(format.name()), Some(format));
        }
        assert_eq!(Format::parse("github"), None);
        assert_eq!(Format::parse("rc"), None);
    }
}
