//! A call that fails: an optional preamble without prefix, one `[ERROR]` line, an exit code.
//!
//! The texts that several commands share are here; those of one command are with it.

use crate::clock;
use crate::stdio;

/// `op`'s head of most failures before a request was sent.
pub const INITIALIZING: &str = "error initializing client: ";

/// What stands before a diagnostic: all three have been recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// `[ERROR] YYYY/MM/DD hh:mm:ss `
    Stamped,
    /// `[ERROR] `
    Bare,
    /// `Error: [ERROR] `
    Error,
}

/// Why a call fails, in the words of `op`.
#[derive(Debug)]
pub struct Failure {
    preamble: String,
    message: String,
    afterword: String,
    exit: i32,
    prefixed: bool,
    unwrapped: bool,
}

impl Failure {
    /// One `[ERROR]` line and exit 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            preamble: String::new(),
            message: message.into(),
            afterword: String::new(),
            exit: 1,
            prefixed: true,
            unwrapped: false,
        }
    }

    /// The stand-in was used wrongly: exit 70, and no likeness to `op`.
    pub fn loud(message: impl std::fmt::Display) -> Self {
        Self::bare(format!("op-double: {message}\n"), 70)
    }

    /// Text without a prefix, such as a Go panic.
    pub fn bare(text: impl Into<String>, exit: i32) -> Self {
        Self {
            prefixed: false,
            exit,
            ..Self::new(text)
        }
    }

    /// The client could not be set up: `error initializing client: …`.
    pub fn initializing(message: impl std::fmt::Display) -> Self {
        Self::new(format!("{INITIALIZING}{message}"))
    }

    /// Text that stands before the `[ERROR]` line.
    pub fn after(self, preamble: impl Into<String>) -> Self {
        Self {
            preamble: preamble.into(),
            ..self
        }
    }

    /// A block that follows the `[ERROR]` line.
    pub fn with_usage(self, afterword: impl Into<String>) -> Self {
        Self {
            afterword: afterword.into(),
            ..self
        }
    }

    /// Another exit code than 1.
    pub fn exiting(self, exit: i32) -> Self {
        Self { exit, ..self }
    }

    /// Says first where it happened.
    pub fn located(self, place: &str) -> Self {
        let message = format!("{place}{}", self.message);
        Self { message, ..self }
    }

    /// Stays as it is under `op read`.
    pub fn unwrapped(self) -> Self {
        Self {
            unwrapped: true,
            ..self
        }
    }

    /// Whether a name stands for more than one thing.
    pub fn is_ambiguity(&self) -> bool {
        self.message.starts_with("More than one ")
    }

    /// Under `op read` every client error names the reference.
    pub fn while_reading(self, reference: &str) -> Self {
        if !self.prefixed || self.unwrapped {
            return self;
        }
        self.located(&format!("could not read secret '{reference}': "))
    }

    /// Prints the diagnostic and gives the exit code.
    pub fn say(&self) -> i32 {
        self.say_in(Frame::Stamped)
    }

    /// The same, behind another frame.
    pub fn say_in(&self, frame: Frame) -> i32 {
        let message = &self.message;
        let line = match frame {
            _ if !self.prefixed => message.clone(),
            Frame::Stamped => format!("[ERROR] {} {message}\n", clock::stamp()),
            Frame::Bare => format!("[ERROR] {message}\n"),
            Frame::Error => format!("Error: [ERROR] {message}\n"),
        };
        stdio::err(&format!("{}{line}{}", self.preamble, self.afterword));
        self.exit
    }

    /// What follows the prefix, for tests.
    #[cfg(test)]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// No account anywhere. The `[ERROR]` line ends in a bare colon.
pub fn no_accounts(older: bool) -> Failure {
    let (lead, site, docs) = if older {
        // ASSUMPTION: the older text differed in the lead and in the links only.
        ("You can either:\n", "developer.1password.com/docs", "cli/")
    } else {
        ("", "www.1password.dev", "")
    };
    Failure::new(INITIALIZING.trim_end()).after(format!(
        "No accounts configured for use with 1Password CLI.\n\n{lead}\
         \x20- Turn on the 1Password desktop app integration to sign in with the accounts you've added to the app: https://{site}/cli/app-integration/ for details.\n\
         \x20- Add an account manually with 'op account add' and sign in by entering your password on the command line. See 'op account add --help' for details.\n\
         \x20- Authenticate using a 1Password service account by setting the 'OP_SERVICE_ACCOUNT_TOKEN' environment variable to your service account token. Learn more: https://{site}/{docs}service-accounts/\n\
         \x20- Use 1Password CLI with a Connect server by setting the 'OP_CONNECT_HOST' and 'OP_CONNECT_TOKEN' environment variables to your Connect host and token, respectively. Learn more: https://{site}/{docs}connect/\n"
    ))
}

/// The same, of which nothing but the first line is there.
pub fn no_accounts_alone() -> Failure {
    Failure::bare("No accounts configured for use with 1Password CLI.\n", 1)
}

/// No session for an account that was added by hand.
pub fn signed_out() -> Failure {
    Failure::new("You are not currently signed in. Please run `op signin --help` for instructions")
}

/// What `whoami` says, and a stale session.
pub fn not_signed_in() -> Failure {
    Failure::new("account is not signed in")
}

/// The limit of requests is used up.
pub fn rate_limited() -> Failure {
    Failure::new(
        "(429) Too Many Requests: You've reached the maximum number of this type of requests this \
         service account is allowed to make. Please retry in 58 minutes or try other requests.",
    )
}

/// A token that is none.
pub fn bad_token(older: bool) -> Failure {
    if older {
        return Failure::initializing(
            "Validation: (failed to session.DecodeSACredentials), Server: (failed to \
             DecodeSACredentials), illegal base64 data at input byte 12",
        );
    }
    Failure::new(
        "failed to session.DecodeSACredentials: failed to DecodeSACredentials: invalid \
         credentials provided",
    )
}

/// A token whose service account is gone.
pub fn deleted_token(older: bool) -> Failure {
    let gone = "The Service Account used in this integration has been deleted.";
    if older {
        return Failure::initializing(format!(
            "Authentication: (failed to auth.LookupAuth), Network: (failed to \
             request.DoUnencrypted), Server: (403) (Forbidden (Service Account Deleted)), {gone}"
        ));
    }
    // ASSUMPTION: nothing stands between the head and the status.
    Failure::initializing(format!("(403) Forbidden (Service Account Deleted): {gone}"))
}
