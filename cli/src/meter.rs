//! How far something is, on stderr: a bar for who looks on, with the pace and the time that is left
//! where hosts count bytes; a line for each change in a log.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
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

/// What a host counts of the thing that it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count<'a> {
    what: &'a str,
    done: u64,
    all: u64,
}

/// Where the counting of one order's thing began.
#[derive(Debug)]
struct Start {
    what: String,
    at: Duration,
    done: u64,
}

/// How fast the orders under way are together, and when the last of them is through with what it is
/// at.
#[derive(Debug, Default)]
struct Pace {
    starts: BTreeMap<String, Start>,
}

impl Pace {
    /// Bytes a second and what is left at that pace, once two looks have told.
    fn of(&mut self, orders: &[Value], now: Duration) -> Option<(u64, Duration)> {
        let mut sum = None::<(u64, Duration)>;
        for order in orders.iter().filter(|order| !order["finished_at"].is_string()) {
            let (id, message) = (cell(order, &["/id"]), cell(order, &["/message"]));
            let Some(count) = counted(&message) else { continue };
            let known = self.starts.get(&id).filter(|start| start.what == count.what);
            let Some(start) = known.filter(|start| start.done <= count.done) else {
                let Count { what, done, .. } = count;
                self.starts.insert(id, Start { what: what.to_owned(), at: now, done });
                continue;
            };
            let ms = u64::try_from(now.saturating_sub(start.at).as_millis()).unwrap_or(u64::MAX);
            let each_s = (count.done - start.done).saturating_mul(1000).checked_div(ms);
            let Some(each_s) = each_s.filter(|each_s| *each_s > 0) else { continue };
            let left = Duration::from_secs(count.all.saturating_sub(count.done) / each_s);
            let (before_s, before_left) = sum.unwrap_or_default();
            sum = Some((before_s.saturating_add(each_s), before_left.max(left)));
        }
        sum
    }
}

/// One wait's display.
pub(crate) struct Meter {
    bar: Option<ProgressBar>,
    shown: String,
    extent: Option<String>,
    pace: Pace,
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
        Self { bar, shown: String::new(), extent: None, pace: Pace::default() }
    }

    /// Whether it is worth measuring.
    pub(crate) const fn is_watched(&self) -> bool {
        self.bar.is_some()
    }

    /// Takes over what orders say of themselves: a list of them, or one.
    pub(crate) fn measure(&mut self, orders: &Value, waited: Duration, screen: &Screen) {
        let Some(bar) = &self.bar else { return };
        let one = std::slice::from_ref(orders);
        let orders = if orders["state"].is_string() { one } else { rows(orders) };
        let extent = extent(orders);
        if extent.orders == 0 {
            return;
        }
        bar.set_style(style(COUNTED));
        bar.set_position(extent.permille);
        let (done, all) = (extent.done.to_string(), extent.orders.to_string());
        let mut text = screen.fill("{} of {} orders", &[&done, &all]);
        if let Some((each_s, left)) = self.pace.of(orders, waited) {
            let (each_s, left) = (BinaryBytes(each_s).to_string(), left.as_secs().to_string());
            text += &screen.fill("; {}/s, {} s left", &[&each_s, &left]);
        }
        self.extent = Some(text);
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

/// A host's `WHAT: DONE of ALL bytes`.
fn counted(message: &str) -> Option<Count<'_>> {
    let (what, counted) = message.rsplit_once(": ")?;
    let (done, all) = counted.strip_suffix(" bytes")?.split_once(" of ")?;
    Some(Count { what, done: done.parse().ok()?, all: all.parse().ok()? })
}

/// Thousandths of what a host counts.
fn reported(message: &str) -> Option<u64> {
    let Count { done, all, .. } = counted(message)?;
    let permille = u128::from(done.min(all)).saturating_mul(1000).checked_div(u128::from(all))?;
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
    fn the_pace_is_that_of_all_orders_and_what_is_left_that_of_the_slowest() {
        let order =
            |id: &str, message: &str| json!({"id": id, "state": "started", "message": message});
        let mut pace = Pace::default();
        let s = Duration::from_secs;
        let first =
            [order("a", "wipe v1: 100 of 1000 bytes"), order("b", "wipe v2: 0 of 500 bytes")];
        assert_eq!(pace.of(&first, s(10)), None, "one look tells no pace");
        let second =
            [order("a", "wipe v1: 300 of 1000 bytes"), order("b", "wipe v2: 100 of 500 bytes")];
        assert_eq!(pace.of(&second, s(12)), Some((150, s(8))));
        let next = [
            order("a", "wipe v3: 5 of 1000 bytes"),
            json!({"id": "b", "state": "done",
            "finished_at": "2026-10-20T00:00:00Z", "message": "wipe v2: 500 of 500 bytes"}),
        ];
        assert_eq!(pace.of(&next, s(20)), None, "another thing is counted anew");
        let again = [order("a", "wipe v3: 2 of 1000 bytes")];
        assert_eq!(pace.of(&again, s(22)), None, "and so is one that was begun again");
    }

    #[test]
    fn the_templates_are_templates() {
        for template in [UNMEASURED, COUNTED] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
