//! What a watch does by itself: tries that are due, reports that are said again, and what is over.

use std::sync::mpsc::TrySendError;

use tenure_protocol::{
    id::{CutId, NoticeId},
    wire::watch::{PacketNotice, Routes, WatchSaid, WatchTry},
};

use super::{
    AGAIN_MS, Carried, ERRAND_LIMIT_MS, Errand, MAX_ERRANDS, Moment, Out, Watcher, sentence,
};

impl Watcher {
    /// Does what is due: tries, reports that are said again, and what is over.
    pub fn look(&mut self) {
        let now = self.now();
        let late = |out: &Out| now.ms_since(&out.began) >= ERRAND_LIMIT_MS;
        let late: Vec<u64> =
            self.out.iter().filter(|(_, out)| late(out)).map(|(ticket, _)| *ticket).collect();
        for ticket in late {
            let limit = ERRAND_LIMIT_MS / 1000;
            let evidence = format!("the host's network side gave no answer within {limit} s");
            self.carried(Carried { ticket, grade: None, evidence });
        }
        for cut in self.held.keys().copied().collect::<Vec<_>>() {
            self.look_at(cut, &now);
        }
    }

    fn look_at(&mut self, cut: CutId, now: &Moment) {
        let Some(held) = self.held.get_mut(&cut) else { return };
        if held.record.is_over(now.real) {
            self.held.remove(&cut);
            if let Some(Err(error)) = self.packets.as_ref().map(|packets| packets.forget(cut)) {
                tracing::error!(%cut, "{}", sentence(&error));
            }
            return;
        }
        if now.boot_ms.saturating_sub(held.said_ms) >= AGAIN_MS && self.outlet.is_some() {
            held.said_ms = now.boot_ms;
            let reports: Vec<_> = held.record.queue.values().cloned().collect();
            reports.into_iter().for_each(|report| self.send(report));
        }
        let Some(held) = self.held.get(&cut) else { return };
        if held.record.is_stale(now.real) {
            if !self.is_free(cut) {
                return;
            }
            self.end(cut);
            return self.say(cut, WatchSaid::Ended);
        }
        let Some(packet) = &held.packet else { return };
        let due = held.record.due(packet, now);
        let errands: Vec<_> = packet
            .notices
            .iter()
            .filter(|notice| due.contains(&notice.id) && !self.is_anothers(cut, notice.id))
            .map(|notice| (packet.routes.clone(), notice.clone()))
            .collect();
        for (routes, notice) in errands {
            self.ask(cut, routes, notice, now);
        }
    }

    /// Whether a watch that comes before this one has the same notice, and counts: what tells of
    /// several cuts is sent once by this host.
    fn is_anothers(&self, cut: CutId, notice: NoticeId) -> bool {
        let mut before = self.held.range(..cut).map(|(_, held)| held);
        before.any(|held| held.record.since.is_some() && held.has(notice))
    }

    /// What came of a try holds for every watch that has the same notice.
    fn share(&mut self, cut: CutId, began: &Moment, tried: &WatchTry) {
        let mut told = Vec::new();
        let mut others = Vec::new();
        for (other, held) in self.held.iter_mut().filter(|(other, _)| **other != cut) {
            let Some(packet) = held.packet.as_ref().filter(|_| held.has(tried.notice)) else {
                continue;
            };
            let list =
                if held.record.shared(packet, began, tried) { &mut told } else { &mut others };
            list.push(*other);
        }
        others.into_iter().for_each(|other| self.note(other));
        for other in told {
            self.end(other);
            self.say(other, WatchSaid::Ended);
        }
    }

    /// Asks tenure-agent to carry a notice, unless it is on its way.
    fn ask(&mut self, cut: CutId, routes: Routes, notice: PacketNotice, now: &Moment) {
        let id = notice.id;
        let on_its_way = self.out.values().any(|out| out.notice == id);
        let Some(courier) = self.courier.as_ref().filter(|_| !on_its_way) else { return };
        if self.out.len() >= MAX_ERRANDS {
            return;
        }
        let ticket = self.last_ticket + 1;
        match courier.try_send(Errand { ticket, routes, notice }) {
            Ok(()) => {
                tracing::warn!(%cut, notice = %id, "the controller is silent: this host sends");
                self.last_ticket = ticket;
                self.out.insert(ticket, Out { cut, notice: id, began: now.clone() });
            }
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => self.courier = None,
        }
    }

    pub(super) fn carried(&mut self, Carried { ticket, grade, evidence }: Carried) {
        let Some(Out { cut, notice, began }) = self.out.remove(&ticket) else { return };
        tracing::info!(%cut, %notice, ?grade, evidence, "tried a notice");
        let tried = WatchTry { notice, at: self.clock.now(), grade, evidence };
        self.share(cut, &began, &tried);
        let Some(held) = self.held.get_mut(&cut) else { return };
        let Some(packet) = &held.packet else {
            // Disarmed meanwhile. That it was sent stays true.
            return self.say(cut, WatchSaid::Tried(tried));
        };
        let (report, told) = held.record.tried(packet, &began, tried);
        self.note(cut);
        report.into_iter().for_each(|report| self.send(report));
        if told {
            tracing::info!(%cut, "the customer is told by this host");
            self.end(cut);
        }
    }
}
