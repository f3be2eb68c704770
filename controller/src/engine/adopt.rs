//! What a person ordered on a host itself, while no controller answered there: heard from the host
//! when it is back, and believed by its key's signature alone.
//!
//! A host that lies can cut in this way only tenants that it has, which it could do anyhow. The
//! network side of a host, or another host, can neither make such a report nor change one: it can
//! withhold it, as it can its link. What comes again is known by the digest of its statement.

use tenure_protocol::{
    digest::Digest,
    evidence::{
        key::PublicKey,
        predicate::{Kind, LocalOrder, NetworkCut, network_cut::Direction},
    },
    id::HostId,
    time::Timestamp,
    wire::v1::CommitInterval,
};

use super::{Engine, EngineError, act::Beside, platform};
use crate::{
    core::{
        attestation,
        lifecycle::{Event, HostCut, HostRestore},
    },
    store::{self, NewEvidence},
};

impl Engine {
    /// Takes in a host's own cut, and its end if there was one; durable when it returns.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if a statement does not hold or the host has nothing of the tenant,
    /// [`EngineError::NotFound`], [`EngineError::Blocked`], [`EngineError::Store`].
    pub(super) async fn adopt(
        &self,
        host: HostId,
        envelopes: &[Vec<u8>],
    ) -> Result<(), EngineError> {
        let mut conn = self.inner.store.read().await?;
        let record = platform::admitted(&mut conn, host).await?;
        let invalid = |sentence: String| EngineError::Invalid(sentence);
        let key =
            PublicKey::from_bytes(&record.host_key).map_err(|error| invalid(error.to_string()))?;
        let open = |envelope: &Vec<u8>| attestation::open_local(envelope, &key, host);
        let opened: Result<Vec<_>, _> = envelopes.iter().map(open).collect();
        let opened = opened.map_err(|error| invalid(error.to_string()))?;
        let now = self.inner.clock.now();
        let (Some(made), Some(last)) = (made(host, &record.name, &opened, now), envelopes.last())
        else {
            let sentence = "a local order is reported as one cut, or as one cut and its end";
            return Err(invalid(sentence.to_owned()));
        };
        if store::evidence(&mut conn, Digest::of(last)).await?.is_some() {
            return Ok(());
        }
        let id = opened.first().map(|(cut, _)| cut.origin.tenant);
        let id = id.ok_or(EngineError::NotFound("tenant"))?;
        let tenant = store::tenant(&mut conn, id).await?.ok_or(EngineError::NotFound("tenant"))?;
        drop(conn);
        if !tenant.hosts().contains(&host) {
            return Err(invalid(format!("host {host} has nothing of tenant {id}")));
        }
        let evidence = envelopes.iter().map(|envelope| NewEvidence {
            kind: Kind::NetworkCut.name(),
            host: Some(host),
            keyid: key.id(),
            order: None,
            envelope: envelope.clone(),
        });
        let beside = Beside { evidence: evidence.collect(), ..Beside::default() };
        let (by, cut) = (made.by.clone(), made.cut);
        tracing::warn!(%host, tenant = %id, %cut, by, "a person on a host cut a tenant there");
        let event = Event::CutByHost { made };
        self.act_or_record(id, &event, &beside).await
    }
}

/// What the statements amount to, if they are a cut, or a cut and its end.
fn made(
    host: HostId,
    name: &str,
    opened: &[(NetworkCut, LocalOrder)],
    now: Timestamp,
) -> Option<HostCut> {
    let [(cut, given), rest @ ..] = opened else { return None };
    let by = |given: &LocalOrder| format!("{} on host {name}", given.person());
    let ended = match rest {
        [] => None,
        [(end, given)] => {
            let same = end.cut == cut.cut && end.origin.tenant == cut.origin.tenant;
            if !same || end.direction != Direction::Restore {
                return None;
            }
            let (interval, reason) = (interval(end, now), given.reason.clone());
            Some(HostRestore { by: by(given), reason, interval })
        }
        _ => return None,
    };
    (cut.direction == Direction::Cut).then(|| HostCut {
        host,
        cut: cut.cut,
        by: by(given),
        reason: given.reason.clone(),
        interval: interval(cut, now),
        ended,
    })
}

/// When the kernel took it. A clock that is ahead must not put the five minutes off.
fn interval(cut: &NetworkCut, now: Timestamp) -> CommitInterval {
    let (earliest, latest) = (cut.measured.earliest.min(now), cut.measured.latest.min(now));
    CommitInterval { earliest, latest, took_ns: cut.measured.took_ns }
}
