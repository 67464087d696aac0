//! Who calls: Connect, then a service token, then a session, then the desktop app.
//!
//! A session shadows the app even when it is stale. An empty variable counts as unset.

use crate::call::{Call, variable};
use crate::command_line::truth;
use crate::failure::{self, Failure};
use crate::grammar::Command;
use crate::mode::Mode;
use crate::vaults_json::alike;
use crate::{prompt, trouble};

/// What the call is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Connect,
    /// With the token.
    Service(String),
    /// With the session token.
    Session(String),
    App,
    /// Nothing that would do.
    None,
}

impl Credential {
    /// Chooses by precedence.
    pub fn choose(call: &Call) -> Self {
        let connect = variable("OP_CONNECT_HOST").and(variable("OP_CONNECT_TOKEN"));
        if connect.is_some() {
            return Self::Connect;
        }
        if let Some(token) = variable("OP_SERVICE_ACCOUNT_TOKEN") {
            return Self::Service(token);
        }
        if let Some(session) = call
            .line
            .flag("session")
            .map(str::to_owned)
            .or_else(session)
        {
            return Self::Session(session);
        }
        let wanted = variable("OP_BIOMETRIC_UNLOCK_ENABLED").and_then(|value| truth(&value));
        if call.modes.has(Mode::NoApp) || wanted == Some(false) {
            Self::None
        } else {
            Self::App
        }
    }

    /// Whether a service account calls.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Service(_))
    }
}

/// The value of `OP_SESSION` or of any `OP_SESSION_…`.
fn session() -> Option<String> {
    std::env::vars_os()
        .filter(|(name, _)| {
            let name = name.to_string_lossy();
            name == "OP_SESSION" || name.starts_with("OP_SESSION_")
        })
        .map(|(_, value)| value.to_string_lossy().into_owned())
        .find(|value| !value.is_empty())
}

/// Lets the call in, or says why not. Process modes act first, the server's modes last.
pub fn authenticate(call: &Call) -> Result<Credential, Failure> {
    trouble::before(call)?;
    let credential = Credential::choose(call);
    match &credential {
        Credential::Connect => connect(call)?,
        Credential::Service(token) => service(call, token)?,
        Credential::Session(session) => {
            account(call)?;
            manual(call, session)?;
        }
        Credential::App => {
            account(call)?;
            app(call)?;
        }
        Credential::None => {
            account(call)?;
            return Err(failure::signed_out());
        }
    }
    if credential != Credential::App {
        prompt::wait(call.modes.latency);
    }
    trouble::from_the_server(call)?;
    Ok(credential)
}

/// ASSUMPTION: the words; that Connect serves only these commands is documented.
fn connect(call: &Call) -> Result<(), Failure> {
    let served = match call.line.command {
        Command::Read | Command::Inject | Command::Run => true,
        Command::ItemGet => call.json(),
        _ => false,
    };
    if served {
        return Ok(());
    }
    Err(Failure::new(
        "this command is not supported when using 1Password CLI with a Connect server",
    ))
}

/// Whether a service token is good.
pub fn service(call: &Call, token: &str) -> Result<(), Failure> {
    let bad = failure::bad_token(!call.modes.since(2, 30));
    if call.modes.has(Mode::Exit9) {
        return Err(bad.exiting(9));
    }
    let other = call
        .modes
        .only_token
        .as_deref()
        .is_some_and(|only| only != token);
    if !token.starts_with("ops_") || other || call.modes.has(Mode::BadToken) {
        return Err(bad);
    }
    if call.modes.has(Mode::DeletedToken) {
        return Err(failure::deleted_token(!call.modes.since(2, 34)));
    }
    if call.modes.has(Mode::ExpiredToken) {
        // ASSUMPTION: the text of an expired token is not known.
        return Err(Failure::initializing(
            "Authentication: (401) Unauthorized: You aren't authorized to perform this action.",
        ));
    }
    Ok(())
}

/// Whether one account answers to what was asked for; a token needs none.
fn account(call: &Call) -> Result<(), Failure> {
    let filter = call.account_filter();
    if call.modes.has(Mode::NoAccountsAlone) {
        return Err(failure::no_accounts_alone());
    }
    if call.modes.has(Mode::NoAccounts) {
        return Err(failure::no_accounts(!call.modes.since(2, 34)));
    }
    let Some(filter) = filter else {
        if call.modes.has(Mode::UnknownAccount) {
            return Err(Failure::initializing("found no accounts for filter \"\""));
        }
        if call.modes.has(Mode::ManyAccounts) {
            return Err(Failure::new(
                "multiple accounts found. Use the --account flag or set the OP_ACCOUNT \
                 environment variable to select an account.",
            ));
        }
        return Ok(());
    };
    if known(call, &filter) {
        return Ok(());
    }
    Err(Failure::initializing(format!(
        "found no accounts for filter \"{filter}\""
    )))
}

/// Whether an account goes by this address, shorthand or id.
pub fn known(call: &Call, filter: &str) -> bool {
    let account = &call.data.account;
    let address = filter.trim_start_matches("https://").trim_end_matches('/');
    let own = [&account.url, &account.id, &account.user_id];
    let shorthand = account.shorthand.as_ref();
    let first = account.url.split('.').next().unwrap_or_default();
    !call.modes.has(Mode::UnknownAccount)
        && (own
            .into_iter()
            .chain(shorthand)
            .any(|name| alike(name, address))
            || alike(first, address))
}

fn manual(call: &Call, session: &str) -> Result<(), Failure> {
    if call.modes.has(Mode::SignedOut) {
        return Err(failure::signed_out());
    }
    if call.modes.has(Mode::SessionExpired) {
        return Err(expired());
    }
    if call.modes.has(Mode::NoSessionToken) {
        return Err(no_session_token());
    }
    if session == "stale" {
        return Err(failure::not_signed_in());
    }
    Ok(())
}

fn expired() -> Failure {
    Failure::new("session expired, sign in to create a new session")
}

fn no_session_token() -> Failure {
    Failure::new("could not find session token for account my")
}

fn app(call: &Call) -> Result<(), Failure> {
    let connecting =
        |text: &str| Failure::initializing(format!("connecting to desktop app: {text}"));
    let has = |mode| call.modes.has(mode);
    if has(Mode::SignedOut) {
        return Err(failure::signed_out());
    }
    if has(Mode::SessionExpired) {
        return Err(expired());
    }
    if has(Mode::NoSessionToken) {
        return Err(no_session_token());
    }
    if has(Mode::UnsignedCaller) {
        // ASSUMPTION: how the text goes on.
        return Err(Failure::initializing(
            "RequestDelegatedSession: cannot setup session. Make sure that 1Password is unlocked",
        ));
    }
    if has(Mode::AppUnreachable) {
        return Err(connecting(
            "cannot connect to 1Password app, make sure it is running",
        ));
    }
    if has(Mode::AppRefused) {
        return Err(connecting(REFUSED));
    }
    if has(Mode::AppOutdated) {
        return Err(connecting(OUTDATED));
    }
    if has(Mode::AppTimeout) {
        // ASSUMPTION: with the same heads as the others.
        return Err(connecting(
            "connecting to desktop app timed out, make sure it is installed, running and CLI \
             integration is enabled",
        ));
    }
    if has(Mode::AppLocked) {
        return Err(Failure::new(
            "1Password app is locked. Please open 1Password, unlock it with your password, and \
             then try again",
        ));
    }
    prompt::ask(call)
}

const REFUSED: &str = "read: connection reset, make sure 1Password CLI is installed correctly, \
    then open the 1Password app, select 1Password > Settings > Developer and make sure the \
    'Integrate with 1Password CLI' setting is turned on.";

const OUTDATED: &str = "1Password CLI couldn't connect to the 1Password desktop app. To fix this, \
    update the 1Password app to the latest version and restart the app. If you're still having \
    trouble, visit https://developer.1password.com/docs/cli/app-integration#troubleshooting for \
    more help.";
