//! What makes one policy of another: the elements that go and those that come. While the kernel
//! takes a whole policy, a cut waits for it (1.6 s with 5,000 taps); it takes a few elements in no
//! time.
//!
//! ```text
//!   1. lists of rules that come      2. all else: a tap goes over       3. lists that go
//!      (nobody asks for them yet)       to its new list                    (nobody asks any more)
//! ```
//!
//! A transaction each: the kernel lets sets with intervals follow a moment after all others, and a
//! frame in between would find a tap's new list empty. A list's number is of its rules, so that no
//! step gives a number another meaning; where two lists would have had the same number, there is no
//! order of steps without a moment in which it has, and the policy is replaced whole.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use super::POLICY_TABLE;

/// Sets that hold lists of rules.
const LISTS: [&str; 3] = ["open_port", "open_echo", "open_all"];

/// Elements by their set or map, as [`super::policy`] writes them.
type Elements<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// What two policies differ in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The statements, a transaction each, in this order, on a table that holds the old policy;
    /// none if the two are the same.
    pub steps: Vec<String>,
    /// A whole policy of those elements alone that go.
    pub gone: String,
    /// A whole policy of those elements alone that come.
    pub come: String,
}

/// The change from one text of [`super::policy`] to another; none if they differ in more than
/// elements, as those of two builds may, or if one list takes over another's number.
#[must_use]
pub fn change(old: &str, new: &str) -> Option<Change> {
    let ((structure, old), (same, new)) = (parts(old)?, parts(new)?);
    if structure != same {
        return None;
    }
    let (gone, come) = (without(&old, &new), without(&new, &old));
    let shares = |rules: &Elements<'_>, taps| !numbers(rules).is_disjoint(&asked_for(taps));
    if shares(&come, &old) || shares(&gone, &new) {
        return None;
    }
    let of_list = |set: &str| LISTS.contains(&set);
    let all_else = |set: &str| !LISTS.contains(&set);
    // What goes, goes first: an element of a map may come again with another value.
    let over = statements("delete", &gone, all_else) + &statements("add", &come, all_else);
    let steps = [statements("add", &come, of_list), over, statements("delete", &gone, of_list)];
    let steps = steps.into_iter().filter(|step| !step.is_empty()).collect();
    let whole = |elements| format!("{structure}{}", statements("add", elements, |_| true));
    Some(Change { steps, gone: whole(&gone), come: whole(&come) })
}

/// The structure of a policy, and its elements.
fn parts(text: &str) -> Option<(&str, Elements<'_>)> {
    let begin = format!("add element bridge {POLICY_TABLE} ");
    let at = text.find(&format!("\n{begin}")).map_or(text.len(), |end| end + 1);
    let (structure, rest) = text.split_at_checked(at)?;
    let mut elements = Elements::new();
    let mut lines = rest.lines();
    while let Some(line) = lines.next() {
        let set = line.strip_prefix(&begin)?.strip_suffix(" {")?;
        let inside = lines.by_ref().take_while(|line| *line != "}");
        let inside = inside.map(|line| line.trim_start().trim_end_matches(','));
        elements.entry(set).or_default().extend(inside);
    }
    Some((structure, elements))
}

/// Those of the first that the second has not.
fn without<'a>(these: &Elements<'a>, others: &Elements<'a>) -> Elements<'a> {
    let none = BTreeSet::new();
    let left = |(set, elements): (&&'a str, &BTreeSet<&'a str>)| {
        let others = others.get(*set).unwrap_or(&none);
        (*set, elements.difference(others).copied().collect())
    };
    these.iter().map(left).collect()
}

/// Numbers of lists that have one of these rules.
fn numbers<'a>(of: &Elements<'a>) -> BTreeSet<&'a str> {
    let rules = LISTS.iter().filter_map(|set| of.get(*set)).flatten();
    rules.filter_map(|rule| Some(rule.split_once(" . ")?.0)).collect()
}

/// Numbers of lists that a tap goes by.
fn asked_for<'a>(of: &Elements<'a>) -> BTreeSet<&'a str> {
    let taps = ["in_list", "out_list"].iter().filter_map(|map| of.get(*map)).flatten();
    taps.filter_map(|tap| Some(tap.rsplit_once(" : ")?.1)).collect()
}

fn statements(verb: &str, elements: &Elements<'_>, of: fn(&str) -> bool) -> String {
    let these = elements.iter().filter(|(set, _)| of(set));
    let one = |(set, elements): (&&str, &BTreeSet<&str>)| {
        statement(verb, set, &elements.iter().copied().collect::<Vec<_>>())
    };
    these.map(one).collect()
}

/// A statement about elements of a set or map of the policy table, as [`parts`] reads it; nothing
/// about none.
pub(super) fn statement(verb: &str, set: &str, elements: &[impl Borrow<str>]) -> String {
    if elements.is_empty() {
        return String::new();
    }
    let elements = elements.join(",\n  ");
    format!("{verb} element bridge {POLICY_TABLE} {set} {{\n  {elements}\n}}\n")
}

#[cfg(test)]
mod tests {
    use tenure_protocol::wire::v1::{Egress, Mark, PacketRule, Transport};

    use super::{super::*, *};

    fn tap(number: u8, port: u16) -> PolicyTap {
        PolicyTap {
            tap: TapName(format!("tap-{number}")),
            mark: Mark(0x101),
            mac: [2, 0, 0, 0, 0, number],
            ip4: [10, 64, 1, number],
            ingress: vec![PacketRule::open(Transport::Tcp, port)],
            egress: Egress::Everything,
        }
    }

    #[test]
    fn a_tap_with_another_list_of_rules_changes_four_elements_and_no_other_tap() {
        let policy = |taps: &[PolicyTap]| policy(taps, &ListKey::default());
        let taps: Vec<_> = (1..=200).map(|number| tap(number, 1000 + u16::from(number))).collect();
        let mut other = taps.clone();
        other[100] = tap(101, 80);
        let change = change(&policy(&taps), &policy(&other)).expect("elements alone");
        let list =
            |port| number_of(&list(&[PacketRule::open(Transport::Tcp, port)]), &ListKey::default());
        let of_tap = |port| format!("in_list {{\n  \"tap-101\" : {:#x}\n}}\n", list(port));
        let rule = |port| {
            let everybody = peers(Peers::EVERYBODY);
            format!("open_port {{\n  {:#x} . tcp . {port} . {everybody}\n}}\n", list(port))
        };
        let (add, delete) = ("add element bridge tenure ", "delete element bridge tenure ");
        assert_eq!(
            change.steps,
            [
                format!("{add}{}", rule(80)),
                format!("{delete}{}{add}{}", of_tap(1101), of_tap(80)),
                format!("{delete}{}", rule(1101)),
            ]
        );
        let whole = |port| format!("{}{add}{}{add}{}", policy(&[]), of_tap(port), rule(port));
        assert_eq!((change.gone, change.come), (whole(1101), whole(80)));
    }

    #[test]
    fn the_same_is_no_change_and_another_structure_is_no_change_of_elements() {
        let key = ListKey::default();
        let (one, none) = (policy(&[tap(1, 80)], &key), policy(&[], &key));
        let steps = |old, new| change(old, new).expect("elements").steps.concat();
        assert_eq!(steps(&one, &one), "");
        assert_eq!(change(&one, &one).expect("elements").come, none);
        assert!(steps(&none, &one).starts_with("add element bridge tenure open_port"));
        assert!(!steps(&none, &one).contains("delete"));
        assert!(steps(&one, &none).starts_with("delete element bridge"));
        assert!(!steps(&one, &none).contains("add"));
        assert_eq!(change(&one.replace("accept", "drop"), &one), None);
        assert_eq!(change("add nonsense", &one), None);
        assert_eq!(change(&one, &format!("{one}nonsense\n")), None);
    }

    #[test]
    fn no_steps_lead_to_a_policy_in_which_a_list_has_anothers_number() {
        let key = ListKey::default();
        let number = |port| number_of(&list(&[PacketRule::open(Transport::Tcp, port)]), &key);
        let hex = |number: u32| format!("{number:#x}");
        // Had both lists the same number, the later would have the next.
        let both = policy(&[tap(1, 80), tap(2, 443)], &key)
            .replace(&hex(number(80)), &hex(7))
            .replace(&hex(number(443)), &hex(8));
        let alone = policy(&[tap(2, 443)], &key).replace(&hex(number(443)), &hex(7));
        assert_eq!(change(&both, &alone), None, "the second tap goes to 7, which is another's");
        assert_eq!(change(&alone, &both), None, "and back to 8, while 7 becomes another's");
        let other = alone.replace(&hex(7), &hex(8));
        assert!(change(&both, &other).is_some(), "nothing is taken over");
    }

    #[test]
    fn every_set_with_intervals_holds_lists_of_rules() {
        let structure = policy(&[], &ListKey::default());
        let sets = structure.lines().filter(|line| line.contains("flags interval"));
        let names: Vec<_> = sets.filter_map(|line| line.split(' ').nth(4)).collect();
        assert_eq!(names, LISTS);
    }
}
