//! What is looked at: nothing of it changes anything.

use tenure_protocol::id::{HostId, OrderId, TenantId};

use super::{Engine, EngineError, Owner, Page, Slice, TenantFilter};
use crate::{
    core::{notice::Notice, tenant::Tenant},
    store::{
        self,
        row::{EvidenceRecord, HostRecord, JournalRecord, OrderRecord},
    },
};

impl Engine {
    /// One tenant.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn tenant(&self, id: TenantId) -> Result<Tenant, EngineError> {
        let tenant = store::tenant(&mut *self.inner.store.read().await?, id).await?;
        tenant.ok_or(EngineError::NotFound("tenant"))
    }

    /// Whose a tenant is; nothing if there is none of this id.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn owner_of(&self, id: TenantId) -> Result<Option<Owner>, EngineError> {
        Ok(store::owner_of(&mut *self.inner.store.read().await?, id).await?)
    }

    /// Whose the tenant of an order is; nothing if there is no order of this id.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn owner_of_order(&self, id: OrderId) -> Result<Option<Owner>, EngineError> {
        Ok(store::owner_of_order(&mut *self.inner.store.read().await?, id).await?)
    }

    /// The tenants that a filter leaves, by id, which is by age.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn tenants(
        &self,
        filter: &TenantFilter,
        page: &Page<TenantId>,
    ) -> Result<Slice<TenantId, Tenant>, EngineError> {
        Ok(store::tenants_page(&mut *self.inner.store.read().await?, filter, page).await?)
    }

    /// A tenant's journal, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn journal(
        &self,
        id: TenantId,
        page: &Page<u64>,
    ) -> Result<Slice<u64, JournalRecord>, EngineError> {
        Ok(store::journal_of(&mut *self.inner.store.read().await?, id, page).await?)
    }

    /// The whole journal, oldest first, as it was committed: what is for the provider's eyes, or
    /// all of one customer's tenants.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn events(
        &self,
        customer: Option<&str>,
        page: &Page<u64>,
    ) -> Result<Slice<u64, JournalRecord>, EngineError> {
        Ok(store::journal_after(&mut *self.inner.store.read().await?, customer, page).await?)
    }

    /// The number of the journal's last row; 0 if it is empty.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn last_event(&self) -> Result<u64, EngineError> {
        Ok(store::journal_end(&mut *self.inner.store.read().await?).await?)
    }

    /// A tenant's orders, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn orders(
        &self,
        id: TenantId,
        page: &Page<u64>,
    ) -> Result<Slice<u64, OrderRecord>, EngineError> {
        Ok(store::orders_of(&mut *self.inner.store.read().await?, id, page).await?)
    }

    /// One order.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn order(&self, id: OrderId) -> Result<OrderRecord, EngineError> {
        let order = store::order(&mut *self.inner.store.read().await?, id).await?;
        Ok(order.ok_or(EngineError::NotFound("order"))?.0)
    }

    /// A tenant's notices, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn notices(
        &self,
        id: TenantId,
        page: &Page<u64>,
    ) -> Result<Slice<u64, Notice>, EngineError> {
        Ok(store::notices_of(&mut *self.inner.store.read().await?, id, page).await?)
    }

    /// A tenant's envelopes, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn evidence(
        &self,
        id: TenantId,
        page: &Page<u64>,
    ) -> Result<Slice<u64, EvidenceRecord>, EngineError> {
        Ok(store::evidence_of(&mut *self.inner.store.read().await?, id, page).await?)
    }

    /// All hosts, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn hosts(&self) -> Result<Vec<HostRecord>, EngineError> {
        Ok(store::hosts(&mut *self.inner.store.read().await?).await?)
    }

    /// A part of the hosts, by name.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn hosts_page(
        &self,
        page: &Page<String>,
    ) -> Result<Slice<String, HostRecord>, EngineError> {
        Ok(store::hosts_page(&mut *self.inner.store.read().await?, page).await?)
    }

    /// One host.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn host(&self, id: HostId) -> Result<HostRecord, EngineError> {
        let host = store::host(&mut *self.inner.store.read().await?, id).await?;
        host.ok_or(EngineError::NotFound("host"))
    }
}
