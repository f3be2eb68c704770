//! New TCP connections, as the policy table has counted them at each tap.

use std::collections::BTreeMap;

use super::{
    NftFailure,
    raw::{self, Reader},
};
use crate::core::{
    anomaly::Connections,
    ruleset::{POLICY_TABLE, SYN_RECEIVED, SYN_SENT, TapName},
};

/// Reads them over a socket of its own: a cut never waits for it, nor it for a cut.
#[derive(Debug)]
pub struct ConnectionCounters(Reader);

impl ConnectionCounters {
    /// Reads in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn open() -> Result<Self, NftFailure> {
        Reader::open().map(Self)
    }

    /// What each tap has begun and was asked for, since it came or the policy table was made anew.
    /// Nothing where there is no policy yet.
    ///
    /// # Errors
    /// [`NftFailure::Kernel`].
    pub fn read(&mut self) -> Result<BTreeMap<TapName, Connections>, NftFailure> {
        let mut of = |set| match self.0.element_counters(raw::BRIDGE, POLICY_TABLE, set) {
            Err(NftFailure::Kernel { source, .. })
                if super::is(&source, &[super::Errno::ENOENT]) =>
            {
                Ok(BTreeMap::new())
            }
            counted => counted,
        };
        let (sent, received) = (of(SYN_SENT)?, of(SYN_RECEIVED)?);
        let both = sent.into_iter().filter_map(|(tap, sent)| {
            let received = *received.get(&tap)?;
            Some((TapName::parse(&tap).ok()?, Connections { sent, received }))
        });
        Ok(both.collect())
    }
}
