use std::collections::BTreeSet;

use tenure_protocol::time::Timestamp;

use super::*;
use crate::{
    core::{
        access::{Credential, Group},
        lifecycle::{Actor, CutKind, Event, admit, tests::events},
    },
    http::route::{READ_ENTRIES, Route, Subject, TABLE, Verb},
};

/// Decisions that are timed.
const DECISIONS: u32 = 500;

fn policy() -> Policy {
    Policy::load().expect("the shipped policy is usable")
}

fn principal(role: Role, customer: Option<&str>, scope: Scope) -> Principal {
    let customer = customer.map(str::to_owned);
    let actor = Actor { name: "somebody".to_owned(), role, customer };
    Principal { actor, scope, credential: Credential::Token("id".to_owned()) }
}

const fn tenant(customer: &str) -> Resource<'_> {
    Resource::Tenant { customer, draft: false }
}

/// The action of the route by which somebody causes an event; none if only the controller does.
fn action_of(event: &Event) -> Option<&'static str> {
    let drill = matches!(event, Event::Cut { kind: CutKind::Drill, .. });
    let action = match event.name() {
        _ if drill => "drill",
        "submit" => "resubmit",
        "review" => "review-application",
        "sign-recount" => "sign-deadlines",
        name => name,
    };
    TABLE.iter().map(|route| route.action).find(|known| *known == action)
}

/// Changes of a tenant that are no event of its lifecycle.
const NO_EVENTS: [&str; 3] = ["add-record", "attach", "confirm-record"];

/// Groups of the schema to which a token can be limited, by the names of scopes.
fn group(group: Group) -> &'static str {
    match group {
        Group::Cut => "cut-off",
        Group::Calendar => "calendar-act",
        other => other.as_str(),
    }
}

#[test]
fn every_route_is_one_action_of_the_policy_and_every_action_one_route() {
    let policy = policy();
    let mut routed: Vec<&str> = TABLE.iter().map(|route| route.action).collect();
    routed.push(READ_ENTRIES);
    routed.sort_unstable();
    let once: BTreeSet<&str> = routed.iter().copied().collect();
    assert_eq!(routed.len(), once.len(), "an action stands for one route");
    let schema = Schema::from_cedarschema_str(SCHEMA).expect("a schema").0;
    let groups: BTreeSet<String> =
        schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
    let known: BTreeSet<&str> = policy
        .actions
        .keys()
        .map(String::as_str)
        .filter(|action| !groups.contains(*action))
        .collect();
    assert_eq!(once, known);
}

#[test]
fn every_action_but_coming_and_going_can_be_kept_from_a_token() {
    let policy = policy();
    let schema = Schema::from_cedarschema_str(SCHEMA).expect("a schema").0;
    let entities = schema.action_entities().expect("actions");
    for route in TABLE.iter().filter(|route| !policy.is_open(route.action)) {
        let uid = policy.actions[route.action].uid();
        let of: Vec<Group> = Group::ALL
            .into_iter()
            .filter(|one| {
                entities
                    .ancestors(&uid)
                    .into_iter()
                    .flatten()
                    .any(|above| above.id().unescaped() == group(*one))
            })
            .collect();
        let expected = usize::from(route.action != "sign-out");
        assert_eq!(of.len(), expected, "{} is in {of:?}", route.action);
        for one in of {
            let others = Group::ALL.into_iter().filter(|group| *group != one).collect();
            let limited = principal(Role::Auditor, None, Scope::Groups(others));
            let verdict = policy.decide(Some(&limited), route.action, Resource::Platform);
            assert_eq!(verdict, Verdict::OutOfScope, "{} without {one:?}", route.action);
        }
    }
}

#[test]
fn without_a_token_one_can_look_and_come_in_and_nothing_else() {
    let open: Vec<String> =
        policy().open.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(
        open,
        ["begin-oidc", "document", "finish-oidc", "health", "sign-in", "take-receipt"]
    );
}

#[test]
fn a_customer_is_permitted_nothing_on_a_tenant_of_others_or_of_nobody() {
    let policy = policy();
    let ours = principal(Role::Customer, Some("city-archive"), Scope::Everything);
    for action in policy.actions.keys() {
        for customer in ["water-bureau", "", "city-archive ", "City-Archive"] {
            let verdict = policy.decide(Some(&ours), action, tenant(customer));
            assert_eq!(verdict, Verdict::Denied, "{action} on {customer:?}");
        }
    }
    let nobody = principal(Role::Customer, None, Scope::Everything);
    let verdict = policy.decide(Some(&nobody), "show-tenant", tenant(""));
    assert_eq!(verdict, Verdict::Denied, "a customer of nobody has no tenants");
}

#[test]
fn a_draft_is_its_customers_alone_and_auditors_are_no_exception() {
    let policy = policy();
    let draft = Resource::Tenant { customer: "city-archive", draft: true };
    for action in policy.actions.keys() {
        for role in ROLES {
            for customer in ["city-archive", "water-bureau"] {
                let customer = (role == Role::Customer).then_some(customer);
                let who = principal(role, customer, Scope::Everything);
                let permitted = policy.decide(Some(&who), action, draft) == Verdict::Permitted;
                let known = policy.decide(Some(&who), action, tenant("city-archive"));
                let is_theirs = customer == Some("city-archive");
                let expected = is_theirs && known == Verdict::Permitted;
                assert_eq!(permitted, expected, "{action} as {role:?} of {customer:?}");
            }
        }
    }
    let who = principal(Role::Customer, Some("city-archive"), Scope::Everything);
    assert_eq!(policy.decide(Some(&who), "submit-draft", draft), Verdict::Permitted);
}

#[test]
fn the_policy_lets_those_cause_an_event_whom_the_lifecycle_lets() {
    let policy = policy();
    let mut caused = BTreeSet::from(NO_EVENTS);
    for event in events(Timestamp::default()) {
        let roles = admit::roles(&event);
        let Some(action) = action_of(&event) else {
            assert_eq!(roles, [Role::Controller], "{} has no route", event.name());
            continue;
        };
        caused.insert(action);
        for role in ROLES {
            let customer = (role == Role::Customer).then_some("city-archive");
            let who = principal(role, customer, Scope::Everything);
            let verdict = policy.decide(Some(&who), action, tenant("city-archive"));
            let permitted = verdict == Verdict::Permitted;
            assert_eq!(permitted, roles.contains(&role), "{action} as {role:?}");
        }
    }
    let acts = |route: &&Route| route.subject == Subject::Tenant && route.verb == Verb::Post;
    let routed: BTreeSet<&str> = TABLE.iter().filter(acts).map(|route| route.action).collect();
    assert_eq!(routed, caused, "every change of a tenant is an event that was compared");
}

#[test]
fn an_unknown_action_is_denied() {
    let admin = principal(Role::Administrator, None, Scope::Everything);
    let verdict = policy().decide(Some(&admin), "nonsense", Resource::Platform);
    assert_eq!(verdict, Verdict::Denied);
}

#[test]
fn rules_that_do_not_fit_the_schema_are_refused() {
    let refused = |rule: &str| Policy::of(&format!("{POLICY}\n{rule}"), SCHEMA).is_err();
    assert!(!refused(""));
    assert!(refused("permit (principal, action, resource"), "no rule at all");
    assert!(refused("permit (principal, action == Action::\"fly\", resource);"), "no such action");
    assert!(
        refused("permit (principal is Person, action, resource) when { principal.rank == 1 };"),
        "no such attribute"
    );
    assert!(
        refused("permit (principal is Person, action, resource) when { principal.scope == [] };"),
        "an attribute that may be missing"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn one_decision_takes_a_small_part_of_parsing_the_rules() {
    let start = std::time::Instant::now();
    let policy = policy();
    let parsing_us = start.elapsed().as_micros();
    let ours = principal(Role::Customer, Some("city-archive"), Scope::Everything);
    let start = std::time::Instant::now();
    for _ in 0..DECISIONS {
        let resource = tenant("city-archive");
        assert_eq!(policy.decide(Some(&ours), "show-tenant", resource), Verdict::Permitted);
    }
    let us = start.elapsed().as_micros() / u128::from(DECISIONS);
    println!("one decision takes {us} us in this build, parsing the rules {parsing_us} us");
    assert!(us * 20 < parsing_us, "one decision {us} us, parsing {parsing_us} us");
}
