//! What a person ordered on a host itself, while no controller answered there: heard from the host
//! when it is back, and believed by its key's signature alone.
//!
//! A host that lies can cut in this way only tenants that it has, which it could do anyhow. The
//! network side of a host, or another host, can make no such statement: it can withhold one, as it
//! can its link, or the end of a cut alone, which then stays cut until a person ends it here. What
//! comes again is known by the digest of its statement.

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

use super::{Engine, EngineError, act::Beside, platform, standing::OfHost};
use crate::{
    core::{
        attestation,
        lifecycle::{Event, HostCut, HostRestore},
        watch::Standing,
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
        let sentence = "a local order is reported as one cut, or as one cut and its end";
        let none = || invalid(sentence.to_owned());
        let (id, cut) =
            opened.first().map(|(said, _)| (said.origin.tenant, said.cut)).ok_or_else(none)?;
        if store::is_watched_for_other(&mut conn, cut, id).await? {
            return Err(invalid(format!("cut {cut} is another tenant's")));
        }
        let packet = store::watch(&mut conn, cut, host).await?;
        // Before its first order the host knew nothing of the tenant, nor before its packet of
        // that.
        let since = store::first_order(&mut conn, id, host).await?;
        let since = since.map_or(now, |order| order.issued_at);
        let packet_since = packet.as_ref().filter(|row| row.standing == Standing::Waits);
        let since = packet_since.map_or(since, |row| since.max(row.ordered_at.min(now)));
        let made = made((host, &record.name), &opened, |cut| interval(cut, since, now));
        let (mut made, last) = made.zip(envelopes.last()).ok_or_else(none)?;
        if store::evidence(&mut conn, Digest::of(last)).await?.is_some() {
            return Ok(());
        }
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
        let of_host = OfHost { host, cut: made.cut, since: made.interval.earliest };
        let since = made.interval.earliest;
        made.foretold = packet.is_some_and(|row| self.may_have_told(&row, since));
        let of_host = Some(of_host);
        let beside = Beside { evidence: evidence.collect(), of_host, ..Beside::default() };
        let (by, cut) = (made.by.clone(), made.cut);
        tracing::warn!(%host, tenant = %id, %cut, by, "a person on a host cut a tenant there");
        let event = Event::CutByHost { made };
        self.act_or_record(id, &event, &beside).await?;
        // It may have to be told at once that the customer is.
        self.wake_hosts(&[host]);
        Ok(())
    }
}

/// What the statements amount to, if they are a cut, or a cut and its end.
fn made(
    (host, name): (HostId, &str),
    opened: &[(NetworkCut, LocalOrder)],
    interval: impl Fn(&NetworkCut) -> CommitInterval,
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
            let (begun, mut interval) = (interval(cut), interval(end));
            // A clock that was put back between the two makes no end before its cut.
            interval.earliest = interval.earliest.max(begun.latest);
            interval.latest = interval.latest.max(interval.earliest);
            Some(HostRestore { by: by(given), reason: given.reason.clone(), interval })
        }
        _ => return None,
    };
    (cut.direction == Direction::Cut).then(|| HostCut {
        host,
        cut: cut.cut,
        by: by(given),
        reason: given.reason.clone(),
        interval: interval(cut),
        ended,
        foretold: false,
    })
}

/// When the kernel took it, as far as the host's clock can be right. Its own word stays in its
/// statement.
fn interval(cut: &NetworkCut, since: Timestamp, now: Timestamp) -> CommitInterval {
    let measured = &cut.measured;
    let said = CommitInterval {
        earliest: measured.earliest,
        latest: measured.latest,
        took_ns: measured.took_ns,
    };
    between(said, since, now)
}

/// What a host's clock said, held between two times of ours. A clock that is ahead must not put the
/// five minutes off, nor one that is behind make a breach of years.
pub(super) fn between(said: CommitInterval, since: Timestamp, now: Timestamp) -> CommitInterval {
    let held = |at: Timestamp| at.max(since).min(now);
    let (earliest, latest) = (held(said.earliest), held(said.latest));
    if (earliest, latest) != (said.earliest, said.latest) {
        tracing::warn!(?said, %since, %now, "a host's clock is not right");
    }
    CommitInterval { earliest, latest, took_ns: said.took_ns }
}
