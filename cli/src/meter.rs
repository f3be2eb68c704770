//! How far something is, on stderr: a bar for who looks on, a line for each change in a log.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::{
    harmless::harmless,
    screen::{Screen, cell, rows},
};

/// How often a bar is drawn anew.
const TICK: Duration = Duration::from_millis(125);

/// What a bar shows while nothing is known to count.
const UNMEASURED: &str = "{spinner} {elapsed_precise} {msg}";
const COUNTED: &str = "{spinner} {elapsed_precise} [{bar:30}] {percent:>3} % {msg}";

/// What has been done of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// Orders that have ended.
    done: u64,
    /// Orders in all.
    orders: u64,
    /// Thousandths of all of it, orders under way counted by what they report.
    permille: u64,
}

/// One wait's display.
pub(crate) struct Meter {
    bar: Option<ProgressBar>,
    shown: String,
    extent: Option<String>,
}

impl Meter {
    /// A bar if somebody looks on.
    pub(crate) fn new(screen: &Screen) -> Self {
        let bar = screen.is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            bar.set_style(style(UNMEASURED));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, shown: String::new(), extent: None }
    }

    /// Whether it is worth measuring.
    pub(crate) const fn is_watched(&self) -> bool {
        self.bar.is_some()
    }

    /// Takes over what orders say of themselves: a list of them, or one.
    pub(crate) fn measure(&mut self, orders: &Value, screen: &Screen) {
        let Some(bar) = &self.bar else { return };
        let one = std::slice::from_ref(orders);
        let extent = extent(if orders["state"].is_string() { one } else { rows(orders) });
        if extent.orders == 0 {
            return;
        }
        bar.set_style(style(COUNTED));
        bar.set_position(extent.permille);
        let (done, all) = (extent.done.to_string(), extent.orders.to_string());
        self.extent = Some(screen.fill("{} of {} orders", &[&done, &all]));
    }

    /// Shows in words how far it is.
    pub(crate) fn show(&mut self, words: &str, waited: Duration, screen: &Screen) {
        if let Some(bar) = &self.bar {
            let extent = self.extent.as_ref().map(|extent| format!(" ({extent})"));
            bar.set_message(harmless(&format!("{words}{}", extent.unwrap_or_default())));
        } else if words != self.shown {
            screen.tell(format_args!("{:>5.1} s  {words}", waited.as_secs_f64()));
            words.clone_into(&mut self.shown);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The templates above are valid: a test draws with them.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

/// How far the newest wanted state is: orders of an older generation do not count.
fn extent(orders: &[Value]) -> Extent {
    let generation = |order: &&Value| order["generation"].as_u64().unwrap_or(0);
    let newest = orders.iter().map(|order| generation(&order)).max().unwrap_or(0);
    let mut sum = Extent::default();
    let mut permille = 0;
    for order in orders.iter().filter(|order| generation(order) == newest) {
        sum.orders += 1;
        if order["finished_at"].is_string() {
            sum.done += 1;
            permille += 1000;
        } else {
            permille += reported(&cell(order, &["/message"])).unwrap_or(0);
        }
    }
    Extent { permille: permille / sum.orders.max(1), ..sum }
}

/// Thousandths, from a host's `WHAT: DONE of ALL bytes`.
fn reported(message: &str) -> Option<u64> {
    let (_, counted) = message.rsplit_once(": ")?;
    let (done, all) = counted.strip_suffix(" bytes")?.split_once(" of ")?;
    let (done, all): (u128, u128) = (done.parse().ok()?, all.parse().ok()?);
    let permille = done.min(all).saturating_mul(1000).checked_div(all)?;
    u64::try_from(permille).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn orders_of_the_newest_generation_are_counted_by_what_they_report() {
        let orders = json!([
            {"generation": 1, "state": "superseded", "finished_at": "2026-10-20T00:00:00Z"},
            {"generation": 2, "state": "done", "finished_at": "2026-10-20T00:00:00Z"},
            {"generation": 2, "state": "started", "message": "overwrite v1: 256 of 1024 bytes"},
        ]);
        let wanted = Extent { done: 1, orders: 2, permille: 625 };
        assert_eq!(extent(rows(&orders)), wanted);
        assert_eq!(extent(&[]), Extent::default());
    }

    #[test]
    fn a_report_that_counts_nothing_is_nothing_done() {
        assert_eq!(reported("wipe: 5 of 10 bytes"), Some(500));
        for message in
            ["", "-", "waiting", "a: 1 of 0 bytes", "a: x of y bytes", "a: -1 of 2 bytes"]
        {
            assert_eq!(reported(message), None, "{message}");
        }
        assert_eq!(reported("a: 3 of 2 bytes"), Some(1000));
    }

    #[test]
    fn the_templates_are_templates() {
        for template in [UNMEASURED, COUNTED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
