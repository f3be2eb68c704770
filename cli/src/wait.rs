//! `--wait`: asks again until what was begun has ended, shows on stderr how far it is, and gives
//! up at a limit. Asks by ETag: what has not changed is not sent again. A controller that is away
//! for a moment (restarted, say) does not end the wait.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tenure_protocol::id::TenantId;

use crate::{
    api::Api,
    failure::Failure,
    meter::Meter,
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

/// Looks at `path` until `judge` says that it has ended. `orders` is a list of the orders on which
/// it depends, for showing how far it is.
pub(crate) fn until(
    api: &Api,
    screen: &Screen,
    args: &WaitArgs,
    path: &str,
    orders: Option<&str>,
    judge: impl Fn(&Value) -> Standing,
) -> Result<Value, Failure> {
    let begun = pause::now();
    let limit = Duration::from_secs(args.wait_limit);
    let mut meter = Meter::new(screen);
    let (mut tag, mut orders_tag) = (None, None);
    let mut seen = String::new();
    loop {
        match api.get_changed(path, &mut tag) {
            Ok(Some(value)) => match judge(&value) {
                Standing::Reached => return Ok(value),
                Standing::Ended(why) => return Err(Failure::Ended(why)),
                Standing::UnderWay(text) => seen = text,
            },
            Ok(None) => {}
            Err(Failure::Unreachable(text)) => seen = text,
            Err(failure) => return Err(failure),
        }
        let waited = pause::now().duration_since(begun);
        // Who may not see orders waits without them.
        if let Some(orders) = orders
            && meter.is_watched()
            && let Ok(Some(orders)) = api.get_changed(orders, &mut orders_tag)
        {
            meter.measure(&orders, waited, screen);
        }
        meter.show(&seen, waited, screen);
        if waited >= limit {
            return Err(Failure::Unfinished(format!(
                "not ended after {} s: {seen}; it goes on: look again later",
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
    tenants(api, screen, args, tenant, |view| judge_word(&word(view, "phase"), view, good, bad))
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
    tenants(api, screen, args, tenant, |view| {
        judge_word(&word(view, "isolation"), view, &[good], &[bad])
    })
}

fn tenants(
    api: &Api,
    screen: &Screen,
    args: &WaitArgs,
    tenant: TenantId,
    judge: impl Fn(&Value) -> Standing,
) -> Result<Value, Failure> {
    let path = format!("/v1/tenants/{tenant}");
    until(api, screen, args, &path, Some(&format!("{path}/orders?limit=500")), judge)
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
