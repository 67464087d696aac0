//! A wait for 1Password says what it waits for: on a terminal in one line that goes away again,
//! elsewhere once. A prompt may be hidden behind another window, and a blank screen explains nothing.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crate::base::ui::{self, Ui};

/// How long a wait is silent where its line can go away again.
const ON_A_TERMINAL: Duration = Duration::from_millis(700);
/// And where it stays.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// A wait that has begun.
pub(crate) struct Waiting {
    /// Where it is said.
    pub ui: Ui,
    /// Whether no prompt can appear, so that nobody can do anything about it.
    pub promptless: bool,
    /// When it ends at the latest.
    pub timeout: Duration,
}

impl Waiting {
    /// Says what is waited for until this future is dropped, which takes the line away.
    pub(crate) async fn announce(&self) -> Infallible {
        let begun = Instant::now();
        if !ui::can_redraw() {
            if self.timeout < 2 * ELSEWHERE {
                // The end of the wait says as much, and soon.
                return std::future::pending().await;
            }
            tokio::time::sleep(ELSEWHERE).await;
            self.ui.note(&self.text(begun.elapsed(), ""));
            return std::future::pending().await;
        }
        tokio::time::sleep(ON_A_TERMINAL).await;
        let _line = TakenAway;
        loop {
            let waited = begun.elapsed();
            self.ui.pass(&self.text(waited, ", or Ctrl-C"));
            let next = Duration::from_secs(waited.as_secs() + 1);
            tokio::time::sleep(next.saturating_sub(waited)).await;
        }
    }

    fn text(&self, waited: Duration, way_out: &str) -> String {
        let waited = waited.as_secs().max(1);
        if self.promptless {
            return format!("1Password has not answered for {waited} s");
        }
        let most = self.timeout.as_millis().div_ceil(1000);
        format!("waiting for 1Password: {waited} s of {most} (approve the prompt{way_out})")
    }
}

/// Takes the line away however the wait ends.
struct TakenAway;

impl Drop for TakenAway {
    fn drop(&mut self) {
        ui::take_away();
    }
}
