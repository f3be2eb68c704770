//! What reaches the customer's own systems, seen there and nowhere else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tenure_tests::lab::smsc::Smsc;

/// A notice in a system of the customer's.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) at: SystemTime,
    pub(crate) channel: &'static str,
    /// `controller`, or the name of a host.
    pub(crate) from: String,
    /// The notice's id, as it came; a short message has none.
    pub(crate) id: String,
}

/// The contact's telephone, behind its operator's message centre.
pub(crate) struct Phone {
    centre: Smsc,
    /// Parts of texts, by the reference that they have in common.
    parts: BTreeMap<u64, BTreeMap<u8, Vec<u8>>>,
    texts: Vec<(SystemTime, String)>,
    known: BTreeSet<String>,
    receipts: bool,
}

impl Phone {
    pub(crate) fn new(mut centre: Smsc) -> anyhow::Result<Self> {
        centre.order(&json!({"deliver": true}))?;
        centre.next("done")?;
        let (parts, texts, known) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Ok(Self { centre, parts, texts, known, receipts: true })
    }

    /// Where the centre listens.
    pub(crate) const fn port(&self) -> u16 {
        self.centre.port
    }

    /// Whether the centre says what has reached the telephone.
    pub(crate) fn set_receipts(&mut self, receipts: bool) -> anyhow::Result<()> {
        self.listen();
        self.centre.order(&json!({"deliver": receipts}))?;
        self.centre.next("done")?;
        self.receipts = receipts;
        Ok(())
    }

    /// The status with which the centre answers; 0 takes a message.
    pub(crate) fn set_status(&mut self, status: u32) -> anyhow::Result<()> {
        self.listen();
        self.centre.order(&json!({"status": status}))?;
        self.centre.next("done")?;
        self.receipts = status == 0;
        Ok(())
    }

    /// Signals the centre's process.
    pub(crate) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.centre.pid())?);
        kill(pid, signal).context("the message centre")
    }

    /// What of a cut is on the telephone, with a receipt of it.
    pub(crate) fn heard(&mut self, cut: &str) -> Vec<Arrival> {
        self.listen();
        let about = self.texts.iter().filter(|(_, text)| text.contains(cut));
        about
            .map(|(at, _)| Arrival {
                at: *at,
                channel: "sms",
                from: "controller".to_owned(),
                id: String::new(),
            })
            .collect()
    }

    fn listen(&mut self) {
        for part in self.centre.rest("submit") {
            let name = part["submit"].as_str().unwrap_or_default().to_owned();
            if self.receipts && self.known.insert(name) {
                self.take(&part);
            }
        }
    }

    /// A text in UCS-2: whole, or a part with the header of a part.
    fn take(&mut self, part: &Value) {
        let data = hex::decode(part["data"].as_str().unwrap_or_default()).unwrap_or_default();
        let parted = part["esm_class"] == 0x40 && data.len() > 6;
        if !parted {
            return self.texts.push((SystemTime::now(), text(&data)));
        }
        let (header, units) = data.split_at(6);
        let reference = u64::from(header[3]);
        let parts = self.parts.entry(reference).or_default();
        parts.insert(header[5], units.to_vec());
        if parts.len() == usize::from(header[4]) {
            let whole: Vec<u8> = parts.values().flatten().copied().collect();
            self.parts.remove(&reference);
            self.texts.push((SystemTime::now(), text(&whole)));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    String::from_utf16_lossy(&units.collect::<Vec<_>>())
}
