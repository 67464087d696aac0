//! The commands and flags of `op` that the stand-in knows.

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Version,
    Help,
    Whoami,
    AccountList,
    AccountGet,
    VaultList,
    VaultGet,
    Read,
    ItemGet,
    ItemList,
    Inject,
    Run,
    Ratelimit,
    Signin,
    Daemon,
}

impl Command {
    /// Whether it may ask for a credential; `fail-once` waits for such a call.
    pub fn authenticates(self) -> bool {
        use Command::{AccountGet, Inject, ItemGet, ItemList, Read, Run, VaultGet, VaultList};
        matches!(
            self,
            AccountGet | VaultList | VaultGet | Read | ItemGet | ItemList | Inject | Run
        )
    }
}

/// One flag.
#[derive(Debug)]
pub struct Flag {
    pub long: &'static str,
    pub short: Option<char>,
    /// Whether a value must follow; otherwise `--flag` alone means true.
    pub valued: bool,
}

const fn switch(long: &'static str, short: Option<char>) -> Flag {
    Flag {
        long,
        short,
        valued: false,
    }
}

const fn valued(long: &'static str, short: Option<char>) -> Flag {
    Flag {
        long,
        short,
        valued: true,
    }
}

/// Flags of every command, before or after it.
pub const GLOBAL: &[Flag] = &[
    valued("account", None),
    switch("cache", None),
    valued("config", None),
    switch("debug", None),
    valued("encoding", None),
    valued("format", None),
    switch("help", Some('h')),
    switch("iso-timestamps", None),
    switch("no-color", None),
    valued("session", None),
    switch("version", Some('v')),
];

/// A command with its own flags.
#[derive(Debug)]
pub struct Spec {
    pub path: &'static [&'static str],
    pub command: Command,
    pub flags: &'static [Flag],
    /// The fewest and the most words after it.
    pub words: (usize, usize),
    /// As the usage block shows it.
    pub usage: &'static str,
}

const ITEM_LIST: &[Flag] = &[
    valued("categories", None),
    switch("favorite", None),
    switch("include-archive", None),
    switch("long", None),
    valued("tags", None),
    valued("vault", None),
];

const VAULT_LIST: &[Flag] = &[
    valued("group", None),
    valued("permission", None),
    valued("user", None),
];

const READ: &[Flag] = &[
    valued("file-mode", None),
    switch("force", Some('f')),
    switch("no-newline", Some('n')),
    valued("out-file", Some('o')),
];

const ITEM_GET: &[Flag] = &[
    valued("fields", None),
    switch("include-archive", None),
    switch("otp", None),
    switch("reveal", None),
    switch("share-link", None),
    valued("vault", None),
];

const INJECT: &[Flag] = &[
    valued("file-mode", None),
    switch("force", Some('f')),
    valued("in-file", Some('i')),
    valued("out-file", Some('o')),
];

const RUN: &[Flag] = &[
    valued("env-file", None),
    valued("environment", None),
    switch("no-masking", None),
];

const SIGNIN: &[Flag] = &[switch("force", Some('f')), switch("raw", None)];
const DAEMON: &[Flag] = &[switch("background", None), valued("timeout", None)];

const fn spec(
    path: &'static [&'static str],
    command: Command,
    flags: &'static [Flag],
    words: (usize, usize),
    usage: &'static str,
) -> Spec {
    Spec {
        path,
        command,
        flags,
        words,
        usage,
    }
}

/// Every command.
pub const COMMANDS: &[Spec] = &[
    spec(
        &["whoami"],
        Command::Whoami,
        &[],
        (0, 0),
        "op whoami [flags]",
    ),
    spec(
        &["account", "list"],
        Command::AccountList,
        &[],
        (0, 0),
        "op account list [flags]",
    ),
    spec(
        &["account", "get"],
        Command::AccountGet,
        &[],
        (0, 0),
        "op account get [flags]",
    ),
    spec(
        &["vault", "list"],
        Command::VaultList,
        VAULT_LIST,
        (0, 0),
        "op vault list [flags]",
    ),
    spec(
        &["vault", "get"],
        Command::VaultGet,
        &[],
        (1, 1),
        "op vault get [{ <vaultName> | <vaultID> | - }] [flags]",
    ),
    spec(
        &["read"],
        Command::Read,
        READ,
        (1, 1),
        "op read <reference> [flags]",
    ),
    spec(
        &["item", "get"],
        Command::ItemGet,
        ITEM_GET,
        (0, 1),
        "op item get [{ <itemName> | <itemID> | <shareLink> | - }] [flags]",
    ),
    spec(
        &["item", "list"],
        Command::ItemList,
        ITEM_LIST,
        (0, 0),
        "op item list [flags]",
    ),
    spec(
        &["inject"],
        Command::Inject,
        INJECT,
        (0, 0),
        "op inject [flags]",
    ),
    spec(
        &["run"],
        Command::Run,
        RUN,
        (1, usize::MAX),
        "op run -- <command> <command>... [flags]",
    ),
    spec(
        &["service-account", "ratelimit"],
        Command::Ratelimit,
        &[],
        (0, 1),
        "op service-account ratelimit [{ <serviceAccountName> | <serviceAccountID> }] [flags]",
    ),
    spec(
        &["signin"],
        Command::Signin,
        SIGNIN,
        (0, 0),
        "op signin [flags]",
    ),
    spec(
        &["daemon"],
        Command::Daemon,
        DAEMON,
        (0, 0),
        "op daemon [flags]",
    ),
];
