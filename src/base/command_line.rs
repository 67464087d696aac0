//! What the command lines have in common: `--color`, and clap's errors in our words on two lines.

use clap::ValueEnum;
use clap::error::{ContextKind, ErrorKind};

use crate::base::ui::Color;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl From<When> for Color {
    fn from(when: When) -> Self {
        match when {
            When::Auto => Self::Auto,
            When::Always => Self::Always,
            When::Never => Self::Never,
        }
    }
}

/// What is wrong, and what to do, for `program`.
pub(crate) fn explain(error: &clap::Error, program: &str) -> (String, String) {
    let help = format!("see {program} --help");
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let named = error.get(ContextKind::InvalidArg).map(ToString::to_string);
            (format!("{} is missing", named.unwrap_or_default()), help)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ("no command".to_owned(), help)
        }
        _ => {
            let text = error.render().to_string();
            let what = text.lines().next().unwrap_or_default();
            let what = what.strip_prefix("error: ").unwrap_or(what).to_owned();
            (what, suggestion(error).unwrap_or(help))
        }
    }
}

/// The nearest thing that clap knows.
fn suggestion(error: &clap::Error) -> Option<String> {
    let known = |kind| {
        error
            .get(kind)
            .map(ToString::to_string)
            .filter(|text| !text.is_empty())
    };
    let nearest = known(ContextKind::SuggestedSubcommand)
        .or_else(|| known(ContextKind::SuggestedArg))
        .or_else(|| known(ContextKind::SuggestedValue));
    match (nearest, known(ContextKind::ValidValue)) {
        (Some(nearest), _) => Some(format!("did you mean {nearest}?")),
        (None, Some(valid)) => Some(format!("one of {valid}")),
        (None, None) => None,
    }
}
