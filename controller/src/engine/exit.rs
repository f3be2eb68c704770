//! The exit bundle of a tenant that has left.

use std::collections::BTreeMap;

use tenure_protocol::{
    evidence::{
        bundle::{self, BundleParts, ProvenEntry},
        key::PublicKey,
        predicate::{
            Kind,
            tenant_exit::{Gap, HostKey, InventoryItem},
        },
    },
    id::TenantId,
};

use super::{Engine, EngineError, Page};
use crate::{
    core::{
        refusal::{Code, Refusal},
        tenant::{Phase, Tenant},
    },
    store::{self, row::EvidenceRecord},
};

impl Engine {
    /// A closed tenant's exit bundle: a deterministic tar file, made once and kept.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`] before the tenant is closed.
    pub async fn bundle(&self, id: TenantId) -> Result<Vec<u8>, EngineError> {
        if let Some(kept) = store::bundle(&mut *self.inner.store.read().await?, id).await? {
            return Ok(kept);
        }
        let tenant = self.tenant(id).await?;
        if tenant.phase != Phase::Closed {
            let sentence = format!(
                "the exit bundle is made when the tenant is closed; it is {}",
                tenant.phase.as_str()
            );
            return Err(Refusal::new(Code::WrongPhase, sentence).into());
        }
        self.drain().await?;
        let parts = self.bundle_parts(&tenant).await?;
        let made = bundle::build(parts, &self.inner.keys.attestation)
            .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let mut tx = self.inner.store.write().await?;
        if let Some(kept) = store::bundle(&mut tx, id).await? {
            return Ok(kept);
        }
        store::add_bundle(&mut tx, id, &made).await?;
        store::commit(tx).await?;
        Ok(made)
    }

    async fn bundle_parts(&self, tenant: &Tenant) -> Result<BundleParts, EngineError> {
        let mut tx = self.inner.store.write().await?;
        let entries = store::entries_of(&mut tx, tenant.id).await?;
        let mut evidence = Vec::new();
        let mut page = Page::default();
        loop {
            let slice = store::evidence_of(&mut tx, tenant.id, &page).await?;
            evidence.extend(slice.items);
            page.after = slice.next;
            if page.after.is_none() {
                break;
            }
        }
        let (mut hosts, mut joined) = (Vec::new(), Vec::new());
        for id in tenant.hosts() {
            let host = store::host(&mut tx, id).await?.ok_or(EngineError::NotFound("host"))?;
            let key = PublicKey::from_bytes(&host.host_key)
                .map_err(|error| EngineError::Invalid(error.to_string()))?;
            hosts.push(HostKey::new(id, key));
            joined.push((id, store::joining_of(&mut tx, id).await?));
        }
        // Nothing is appended while the transaction is held: one checkpoint holds for all proofs.
        let ledger = self.ledger();
        let mut proven = Vec::new();
        for (index, entry) in entries {
            let index = index.ok_or(EngineError::Conflict)?;
            proven.push(ProvenEntry::new(index, &entry, ledger.proof(index)?.proof));
        }
        let (mut joinings, mut gaps) = (BTreeMap::new(), Vec::new());
        for (host, joining) in joined {
            let Some((index, entry)) = joining else {
                gaps.push(Gap {
                    what: format!("the key of host {host}"),
                    reason: "the host joined before joinings were entered into the ledger"
                        .to_owned(),
                });
                continue;
            };
            let index = index.ok_or(EngineError::Conflict)?;
            let proof = ledger.proof(index)?.proof;
            joinings.insert(host, ProvenEntry::new(index, &entry, proof));
        }
        let checkpoint = ledger.checkpoint().to_owned();
        drop(ledger);
        let inventory = tenant.hosts().into_iter().flat_map(|host| {
            let subjects = tenant.subjects(host).into_iter();
            subjects.map(move |subject| InventoryItem { host, target: subject.into() })
        });
        let unproven = tenant.hosts().into_iter().flat_map(|host| tenant.unproven(host));
        gaps.extend(unproven.map(|subject| Gap {
            what: format!("{subject:?}"),
            reason: "no attestation proves it destroyed".to_owned(),
        }));
        let clock = &self.inner.clock;
        Ok(BundleParts {
            tenant: tenant.id,
            at: clock.now(),
            controller_version: env!("CARGO_PKG_VERSION").to_owned(),
            demo_offset_ms: clock.is_demo().then(|| clock.offset_ms()),
            hosts,
            joinings,
            inventory: inventory.collect(),
            envelopes: envelopes(evidence)?,
            entries: proven,
            checkpoint,
            gaps,
        })
    }
}

fn envelopes(evidence: Vec<EvidenceRecord>) -> Result<Vec<(Kind, Vec<u8>)>, EngineError> {
    evidence
        .into_iter()
        .map(|record| {
            let kind = Kind::from_name(&record.kind);
            Ok((kind.ok_or(EngineError::NotFound("kind"))?, record.envelope))
        })
        .collect()
}
