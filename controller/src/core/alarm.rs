//! Alarms of hosts, as the provider's contacts are told of them.
//!
//! Whoever does harm to a host can make it raise alarm after alarm. So of one host and one kind of
//! alarm, and of an anomaly of one tenant, the contacts are told once, and then no more for a while
//! ([`PAUSE_MS`]); the next notice says how many came meanwhile. What is not repaired is counted
//! apart, so that no flood of repaired ones hides it. The journal has them all.

use serde_json::json;
use tenure_protocol::{
    id::{HostId, NoticeId, TenantId},
    time::Timestamp,
    wire::v1::{Alarm, AlarmKind},
};

use super::{
    anomaly,
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
    /// Under which name it is kept. `tenant` is the one that an anomaly is about, if it has
    /// something on this host: no host makes up names.
    #[must_use]
    pub fn name(host: HostId, alarm: &Alarm, tenant: Option<TenantId>) -> String {
        let standing = if alarm.repaired { "repaired" } else { "standing" };
        let of = tenant.map_or_else(String::new, |tenant| format!(":{tenant}"));
        format!("alarm_told:{host}:{}:{standing}{of}", alarm.kind.as_str())
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
/// well. `untold` is how many came before of which nobody was told; `cut` says that its tenant was
/// cut for it, by a rule.
#[must_use]
pub fn notices(
    (host, name): (HostId, &str),
    alarm: &Alarm,
    (untold, cut): (u64, bool),
    provider: &Provider,
    now: Timestamp,
    draw: &mut Draw,
) -> Vec<Notice> {
    let second = if alarm.repaired { &[][..] } else { &provider.second };
    let (subject, text) = words(name, alarm, untold, cut);
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
                "cut": cut,
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
                joint: None,
            });
        }
    }
    notices
}

fn words(host: &str, alarm: &Alarm, untold: u64, cut: bool) -> (String, String) {
    let (chinese, english) = match alarm.kind {
        AlarmKind::PacketFilter => ("包过滤规则被他人更改", "packet filter changed by another"),
        AlarmKind::CutNotInForce => ("断网未生效", "a cut was not in force"),
        AlarmKind::DeviceMissing => ("网络设备缺失", "a network device is missing"),
        AlarmKind::PacketFlood => ("数据包洪泛", "packet flood"),
        AlarmKind::ConnectionFlood => ("新连接洪泛", "connection flood"),
        AlarmKind::DiskSaturation => ("磁盘读写饱和", "disk saturation"),
        AlarmKind::CpuSteal => ("宿主机 CPU 时间被占用", "processors' time taken from the host"),
    };
    let (mended, state) = match (alarm.figures.is_some(), alarm.repaired) {
        (true, true) => ("已结束", "over"),
        (true, false) if cut => ("已按规则自动断网", "its tenant was CUT, by a rule"),
        (true, false) => ("仍在持续，请立即处理", "going on: act now"),
        (false, true) => ("已自动恢复", "repaired"),
        (false, false) => ("尚未恢复，请立即处理", "NOT repaired: act now"),
    };
    let figures = alarm.figures.as_ref().map_or_else(String::new, |figures| {
        let [chinese, english] = anomaly::in_words(figures);
        format!("数值 Figures: {chinese} {english}\n")
    });
    let who = alarm.culprit.as_ref().map_or_else(
        || "-".to_owned(),
        |culprit| format!("{} (pid {})", culprit.command, culprit.pid),
    );
    let tenant = alarm.tenant.map_or_else(|| "-".to_owned(), |tenant| tenant.to_string());
    let text = format!(
        "主机 {host}：{chinese}，{mended}。\nHost {host}: {english}; {state}.\n\n对象 Subject: {}\n\
         {figures}情况 Found: {}\n来源 By: {who}\n租户 Tenant: {tenant}\n时间 At: {}\n\
         此前未通知 Untold before: {untold}\n丢弃 Dropped: {}\n\ntenurectl host alarms {host}\n",
        alarm.subject,
        alarm.what,
        local(alarm.at),
        alarm.dropped,
    );
    (format!("主机告警 Host alarm: {host}: {english}, {state}"), text)
}

#[cfg(test)]
#[path = "alarm_tests.rs"]
mod tests;
