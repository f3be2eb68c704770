//! Alarms of hosts, as the provider's contacts are told of them.
//!
//! Whoever does harm to a host can make it raise alarm after alarm. So of one host and one kind of
//! alarm the contacts are told once, and then no more for a while ([`PAUSE_MS`]); the next notice
//! says how many came meanwhile. What is not repaired is counted apart, so that no flood of
//! repaired ones hides it. The journal has them all.

use serde_json::json;
use tenure_protocol::{
    id::{HostId, NoticeId},
    time::Timestamp,
    wire::v1::{Alarm, AlarmKind},
};

use super::{
    draw::Draw,
    letter::{channels, local},
    lifecycle::Provider,
    notice::{Notice, NoticeKind, NoticeState},
};

/// How long the contacts are told no more of one host and kind, ms.
pub const PAUSE_MS: i64 = 15 * 60 * 1000;

/// When the contacts were last told of a host's alarms of one kind, and how many came since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Real clock.
    pub at: Timestamp,
    /// Alarms of which nobody was told.
    pub since: u64,
}

impl Told {
    /// Under which name it is kept.
    #[must_use]
    pub fn name(host: HostId, alarm: &Alarm) -> String {
        let standing = if alarm.repaired { "repaired" } else { "standing" };
        format!("alarm_told:{host}:{}:{standing}", alarm.kind.as_str())
    }

    /// As it is kept.
    #[must_use]
    pub fn text(self) -> String {
        format!("{}/{}", self.at.unix_ms(), self.since)
    }

    /// Reads what was kept; what it cannot read was never told.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, since) = text.split_once('/')?;
        let at = Timestamp::from_unix_ms(at.parse().ok()?);
        Some(Self { at, since: since.parse().ok()? })
    }

    /// After one more alarm: what is to be kept, and of how many untold ones a notice goes out now,
    /// if it does.
    #[must_use]
    pub fn after_one(told: Option<Self>, now: Timestamp) -> (Self, Option<u64>) {
        match told {
            Some(told) if (0..PAUSE_MS).contains(&now.ms_since(told.at)) => {
                (Self { since: told.since.saturating_add(1), ..told }, None)
            }
            Some(told) => (Self { at: now, since: 0 }, Some(told.since)),
            None => (Self { at: now, since: 0 }, Some(0)),
        }
    }
}

/// The notices of an alarm: to the duty desk, and of what is not repaired to the second contacts as
/// well. `untold` is how many came before of which nobody was told.
#[must_use]
pub fn notices(
    (host, name): (HostId, &str),
    alarm: &Alarm,
    untold: u64,
    provider: &Provider,
    now: Timestamp,
    draw: &mut Draw,
) -> Vec<Notice> {
    let second = if alarm.repaired { &[][..] } else { &provider.second };
    let (subject, text) = words(name, alarm, untold);
    let mut notices = Vec::new();
    for contact in provider.contacts.iter().chain(second) {
        for channel in channels(contact) {
            let id = NoticeId::from_uuid(draw.uuid());
            let payload = json!({
                "id": id,
                "type": format!("tenure.{}", NoticeKind::HostAlarm.as_str()),
                "host": host,
                "host_name": name,
                "alarm": alarm,
                "untold": untold,
            });
            notices.push(Notice {
                id,
                tenant: None,
                cut: None,
                kind: NoticeKind::HostAlarm,
                contact: contact.name.clone(),
                channel,
                designated: true,
                subject: subject.clone(),
                body: format!("{}：\n\n{text}", contact.name),
                payload: payload.to_string(),
                state: NoticeState::Due { since: now, next_at: now },
                tries: Vec::new(),
            });
        }
    }
    notices
}

fn words(host: &str, alarm: &Alarm, untold: u64) -> (String, String) {
    let (chinese, english) = match alarm.kind {
        AlarmKind::PacketFilter => ("包过滤规则被他人更改", "packet filter changed by another"),
        AlarmKind::CutNotInForce => ("断网未生效", "a cut was not in force"),
        AlarmKind::DeviceMissing => ("网络设备缺失", "a network device is missing"),
    };
    let (mended, repaired) = match alarm.repaired {
        true => ("已自动恢复", "repaired"),
        false => ("尚未恢复，请立即处理", "NOT repaired: act now"),
    };
    let who = alarm.culprit.as_ref().map_or_else(
        || "-".to_owned(),
        |culprit| format!("{} (pid {})", culprit.command, culprit.pid),
    );
    let tenant = alarm.tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string());
    let text = format!(
        "主机 {host}：{chinese}，{mended}。\nHost {host}: {english}; {repaired}.\n\n对象 Subject: {}\n\
         情况 Found: {}\n来源 By: {who}\n租户 Tenant: {tenant}\n时间 At: {}\n\
         此前未通知 Untold before: {untold}\n丢弃 Dropped: {}\n\ntenurectl host alarms {host}\n",
        alarm.subject,
        alarm.what,
        local(alarm.at),
        alarm.dropped,
    );
    (format!("主机告警 Host alarm: {host}: {english}, {repaired}"), text)
}

#[cfg(test)]
#[path = "alarm_tests.rs"]
mod tests;
