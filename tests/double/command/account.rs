//! `whoami`, `account`, `signin`, `service-account ratelimit`, `daemon`: who calls, and what for.

use crate::call::Call;
use crate::credential::{self, Credential, authenticate};
use crate::delivery::Reply;
use crate::failure::{self, Failure};
use crate::json::{Json, Object};
use crate::mode::Mode;
use crate::{item_json, table, trouble};

/// Costs nothing and never asks to sign in.
/// ASSUMPTION: under the app it says who calls, unless the mode makes it lie.
pub fn whoami(call: &Call) -> Result<Reply, Failure> {
    trouble::before(call)?;
    match Credential::choose(call) {
        Credential::Service(token) => {
            credential::service(call, &token)?;
            Ok(service_account(call))
        }
        Credential::Session(session) if session != "stale" => user(call),
        Credential::App => user(call),
        _ => Err(failure::not_signed_in()),
    }
}

fn user(call: &Call) -> Result<Reply, Failure> {
    let has = |mode| call.modes.has(mode);
    let filter = call.account_filter().unwrap_or_default();
    let lost = has(Mode::UnknownAccount) || has(Mode::ManyAccounts) && filter.is_empty();
    if lost || !filter.is_empty() && !credential::known(call, &filter) {
        return Err(Failure::new(format!(
            "no account found for filter {filter}"
        )));
    }
    let out = [
        Mode::WhoamiLies,
        Mode::SignedOut,
        Mode::SessionExpired,
        Mode::NoAccounts,
    ];
    if out.into_iter().any(has) {
        return Err(failure::not_signed_in());
    }
    let account = &call.data.account;
    let url = format!("https://{}", account.url);
    if !call.json() {
        let rows = [
            ("URL:", &url),
            ("Email:", &account.email),
            ("User ID:", &account.user_id),
        ];
        let rows = rows.map(|(name, value)| vec![name.to_owned(), value.clone()]);
        return Ok(Reply::bytes(table::lay_out(&rows)));
    }
    let answer = Object::new()
        .text("url", &url)
        .text("email", &account.email)
        .text("user_uuid", &account.user_id)
        .text("account_uuid", &account.id)
        .text_if("shorthand", account.shorthand.as_deref());
    Ok(Reply::json(&answer.end()))
}

fn service_account(call: &Call) -> Reply {
    let account = &call.data.account;
    let url = format!("https://{}", account.url);
    if call.json() {
        let answer = Object::new()
            .text("url", &url)
            .text("user_uuid", &account.user_id)
            .text("account_uuid", &account.id)
            .text("user_type", "SERVICE_ACCOUNT");
        return Reply::json(&answer.end());
    }
    let id = &account.user_id;
    Reply::bytes(format!(
        "URL:               {url}\nIntegration ID:    {id}\nUser Type:         SERVICE_ACCOUNT\n"
    ))
}

/// Needs no authentication.
pub fn list(call: &Call) -> Result<Reply, Failure> {
    trouble::before(call)?;
    let none = call.modes.has(Mode::NoAccounts);
    if call.json() && none {
        return Ok(Reply::json(&Json::List(Vec::new())));
    }
    if call.json() {
        let second = call.modes.has(Mode::ManyAccounts);
        return Ok(Reply::json(&item_json::accounts(&call.data, second)));
    }
    if none {
        return Ok(Reply::default());
    }
    let account = &call.data.account;
    let header = ["URL", "EMAIL", "USER ID"].map(str::to_owned).to_vec();
    let row = vec![
        account.url.clone(),
        account.email.clone(),
        account.user_id.clone(),
    ];
    Ok(Reply::bytes(table::lay_out(&[header, row])))
}

/// ASSUMPTION: the shape, of which no recording is at hand.
pub fn get(call: &Call) -> Result<Reply, Failure> {
    authenticate(call)?;
    let account = &call.data.account;
    let domain = account.url.split('.').next().unwrap_or_default();
    let pairs = [
        ("ID", "id", account.id.as_str()),
        ("Name", "name", &account.name),
        ("Domain", "domain", domain),
        ("Type", "type", "BUSINESS"),
        ("State", "state", "ACTIVE"),
        ("Created", "created_at", "2020-12-04T00:50:48Z"),
    ];
    if call.json() {
        let answer = pairs
            .iter()
            .fold(Object::new(), |all, (_, key, value)| all.text(key, value));
        return Ok(Reply::json(&answer.end()));
    }
    let rows = pairs.map(|(name, _, value)| vec![format!("{name}:"), value.to_owned()]);
    Ok(Reply::bytes(table::lay_out(&rows)))
}

/// With the app it prints nothing; by hand nobody can type a password here.
pub fn signin(call: &Call) -> Result<Reply, Failure> {
    if Credential::choose(call) == Credential::App {
        authenticate(call)?;
        return Ok(Reply::default());
    }
    let account = &call.data.account;
    let question = format!(
        "Enter the password for {} at {}: ",
        account.email, account.url
    );
    Err(Failure::new("inappropriate ioctl for device").after(question))
}

/// Costs nothing. The figures are those of a Business account.
pub fn ratelimit(call: &Call) -> Result<Reply, Failure> {
    trouble::before(call)?;
    let Credential::Service(token) = Credential::choose(call) else {
        return Err(Failure::new("you must specify the service account"));
    };
    credential::service(call, &token)?;
    trouble::from_the_server(call)?;
    let used = call.control.count("requests")?;
    let reads = call.modes.limit.unwrap_or(10_000);
    let rows = [
        ("token", "write", 1_000, 0),
        ("token", "read", reads, used),
        ("account", "read_write", 50_000, used),
    ];
    if call.json() {
        return Ok(Reply::json(&Json::List(rows.map(quota).into())));
    }
    let header = ["TYPE", "ACTION", "LIMIT", "USED", "REMAINING", "RESET"];
    let table: Vec<Vec<String>> = [header.map(str::to_owned)]
        .into_iter()
        .chain(rows.map(quota_row))
        .map(Vec::from)
        .collect();
    Ok(Reply::bytes(table::lay_out(&table)))
}

/// Type, action, limit, used.
type Quota = (&'static str, &'static str, u64, u64);

fn quota((kind, action, limit, used): Quota) -> Json {
    Object::new()
        .text("type", kind)
        .text("action", action)
        .number("limit", limit)
        .number("used", used)
        .number("remaining", limit.saturating_sub(used))
        .number("reset", if used > 0 { 3480 } else { 0 })
        .end()
}

fn quota_row((kind, action, limit, used): Quota) -> [String; 6] {
    let [limit_text, used_text, left] =
        [limit, used, limit.saturating_sub(used)].map(|number| number.to_string());
    let reset = if used > 0 {
        "58 minutes from now"
    } else {
        "N/A"
    };
    let (kind, action, reset) = (kind.to_owned(), action.to_owned(), reset.to_owned());
    [kind, action, limit_text, used_text, left, reset]
}

/// Leaves the cache daemon behind, or sits there as one.
pub fn daemon(call: &Call) -> Result<Reply, Failure> {
    if !call.line.on("background") {
        trouble::hang();
    }
    trouble::leave(call, true)?;
    Ok(Reply::default())
}
