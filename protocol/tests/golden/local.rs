//! What is said and stated of orders that a person gave on a host itself.

use tenure_protocol::evidence::predicate::LocalOrder;

use super::*;

/// As a person on the host ordered it.
fn locally(direction: Direction, cut: bool) -> Predicate {
    let Predicate::NetworkCut(mut one) = network_cut(direction, cut) else { unreachable!() };
    let by = Some("wang.lei".to_owned());
    let (login, reason) = ("root".to_owned(), "flood".to_owned());
    let order = LocalOrder { login, uid: 0, by, reason, at: at(0) };
    one.origin.order.digest = order.digest(&one.act());
    Predicate::NetworkCut(one.ordered_locally(order))
}

#[test]
fn statements_on_local_orders_keep_their_bytes() {
    for (name, predicate) in [
        ("network-cut-local", locally(Direction::Cut, true)),
        ("network-restore-local", locally(Direction::Restore, false)),
    ] {
        let statement = Statement::new(predicate);
        let payload = statement.to_payload().expect("honest");
        assert_golden(&format!("statement-{name}"), &payload);
        assert_eq!(Statement::from_payload(&payload), Ok(statement), "{name}");
    }
}

#[test]
fn reports_of_local_orders_and_signed_ends_keep_their_bytes() {
    let unmade = OrderState::Unmade {
        refused: true,
        code: "stale-generation".to_owned(),
        message: "what happened".to_owned(),
        envelopes: vec![b"{}".to_vec()],
        signature: vec![7; 64],
    };
    let local = OrderState::Local { envelopes: vec![b"{}".to_vec(), b"[]".to_vec()] };
    for (name, state) in [("local", local), ("unmade", unmade)] {
        let report = Report { order: order_id(), sequence: 70_000, at: at(3), state };
        assert_wire(&format!("report-{name}"), &report);
    }
    let message = unmade_message(&Digest::of(b"order"), true, "stale-generation", "what happened");
    assert_golden("unmade-message", &message);
}
