//! Orders to hosts: signed, and kept with what they follow from.

use tenure_protocol::wire::{
    order::SignedOrder,
    v1::{Action, Order},
};

use super::{Engine, EngineError};
use crate::{
    core::{
        lifecycle::{Context, OrderDraft},
        tenant::Tenant,
    },
    store::{self, Tx, row::OrderRecord},
};

impl Engine {
    /// Signs an order, and keeps it in the transaction that it follows from.
    pub(super) async fn add_order(
        &self,
        tx: &mut Tx,
        tenant: &Tenant,
        draft: &OrderDraft,
        context: &Context<'_>,
    ) -> Result<(), EngineError> {
        let order = Order {
            id: draft.id,
            host: draft.host,
            tenant: tenant.id,
            generation: draft.generation,
            issued_at: context.real_now,
            ttl_ms: draft.ttl_ms,
            action: draft.action.clone(),
        };
        let signed = SignedOrder::sign(&order, &self.inner.keys.order)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let record = OrderRecord {
            id: order.id,
            host: order.host,
            tenant: order.tenant,
            lane: order.action.lane(),
            generation: order.generation,
            action: action_name(&order.action).to_owned(),
            state: "open".to_owned(),
            issued_at: order.issued_at,
            reported_at: None,
            message: None,
            interval: None,
        };
        Ok(store::add_order(tx, &record, &signed).await?)
    }
}

const fn action_name(action: &Action) -> &'static str {
    match action {
        Action::Configure(_) => "configure",
        Action::Cut(_) => "cut",
        Action::Restore(_) => "restore",
        Action::Wipe(_) => "wipe",
    }
}
