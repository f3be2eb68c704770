//! `--wait`: asks again until what was begun has ended, shows each change on stderr, and gives up
//! at a limit. A controller that is away for a moment (restarted, say) does not end the wait.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    pause,
    screen::{Screen, cell, rows},
};

const INTERVAL: Duration = Duration::from_millis(500);

/// Whether to wait, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it has ended on every host, and show how far it is
    #[arg(long)]
    pub(crate) wait: bool,
    /// Give up waiting after this many seconds (exit code 6; what was begun goes on)
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "wait")]
    pub(crate) wait_limit: u64,
}

/// What one look has shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not ended; how far it is.
    UnderWay(String),
    /// Ended as it should.
    Reached,
    /// Ended otherwise, and why.
    Ended(String),
}

/// Looks at `path` until `judge` says that it has ended.
pub(crate) fn until(
    api: &Api,
    screen: &Screen,
    args: &WaitArgs,
    path: &str,
    judge: impl Fn(&Value) -> Standing,
) -> Result<Value, Failure> {
    let begun = pause::now();
    let limit = Duration::from_secs(args.wait_limit);
    let mut shown = String::new();
    loop {
        let seen = match api.get(path) {
            Ok(value) => match judge(&value) {
                Standing::Reached => return Ok(value),
                Standing::Ended(why) => return Err(Failure::Ended(why)),
                Standing::UnderWay(text) => text,
            },
            Err(Failure::Unreachable(text)) => text,
            Err(failure) => return Err(failure),
        };
        let waited = pause::now().duration_since(begun);
        if seen != shown {
            screen.tell(format_args!("{:>5.1} s  {seen}", waited.as_secs_f64()));
            shown = seen;
        }
        if waited >= limit {
            return Err(Failure::Unfinished(format!(
                "not ended after {} s: {shown}; it goes on: look again later",
                args.wait_limit
            )));
        }
        pause::pause(INTERVAL.min(limit.saturating_sub(waited)));
    }
}

/// The phases in which a tenant's hosts have configured what it was granted.
pub(crate) const CONFIGURED: &[&str] =
    &["trial", "under-review", "rectifying", "trial-expired", "online"];

/// Waits until the tenant is in one of the phases `good`; `bad` ones end the wait as failures.
pub(crate) fn phase(
    api: &Api,
    screen: &Screen,
    args: &WaitArgs,
    tenant: TenantId,
    good: &[&str],
    bad: &[&str],
) -> Result<Value, Failure> {
    until(api, screen, args, &format!("/v1/tenants/{tenant}"), |view| {
        judge_word(&word(view, "phase"), view, good, bad)
    })
}

/// Waits until the tenant's isolation is `good`; `bad` means that it came to nothing.
pub(crate) fn isolation(
    api: &Api,
    screen: &Screen,
    args: &WaitArgs,
    tenant: TenantId,
    good: &str,
    bad: &str,
) -> Result<Value, Failure> {
    until(api, screen, args, &format!("/v1/tenants/{tenant}"), |view| {
        judge_word(&word(view, "isolation"), view, &[good], &[bad])
    })
}

fn judge_word(word: &str, view: &Value, good: &[&str], bad: &[&str]) -> Standing {
    if good.contains(&word) {
        Standing::Reached
    } else if bad.contains(&word) {
        Standing::Ended(format!("the tenant is {word}: {}", cell(view, &["/reason"])))
    } else {
        Standing::UnderWay(describe(word, view))
    }
}

fn describe(word: &str, view: &Value) -> String {
    let instances = rows(view.get("instances").unwrap_or(&Value::Null))
        .iter()
        .map(|instance| format!("{} {}", cell(instance, &["/name"]), cell(instance, &["/power"])))
        .collect::<Vec<_>>();
    if instances.is_empty() { word.to_owned() } else { format!("{word}: {}", instances.join(", ")) }
}

/// A state of a tenant or an order as one word: a string, or the `state` of an object.
pub(crate) fn word(view: &Value, member: &str) -> String {
    cell(view, &[&format!("/{member}/state"), &format!("/{member}")])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_ends_well_or_badly_or_goes_on_by_the_tenants_phase() {
        let view = json!({"phase": "wipe-failed", "reason": "h1: volume missing", "instances": [
            {"name": "web-1", "power": "running"}]});
        let judge =
            |good: &[&str], bad: &[&str]| judge_word(&word(&view, "phase"), &view, good, bad);
        assert_eq!(judge(&["wipe-failed"], &[]), Standing::Reached);
        assert!(matches!(judge(&["closed"], &["wipe-failed"]), Standing::Ended(why)
            if why.contains("volume missing")));
        assert_eq!(
            judge(&["closed"], &[]),
            Standing::UnderWay("wipe-failed: web-1 running".into())
        );
    }

    #[test]
    fn a_state_is_one_word_whether_it_is_a_string_or_an_object() {
        assert_eq!(word(&json!({"phase": "trial"}), "phase"), "trial");
        assert_eq!(word(&json!({"isolation": {"state": "cut", "cut": 1}}), "isolation"), "cut");
        assert_eq!(word(&json!({}), "phase"), "-");
    }
}
