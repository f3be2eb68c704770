//! Obligations: who owes what until when, by which clause, and how that was counted.
//!
//! ```text
//! open ──met in time──→ discharged
//!   └──now ≥ breach_at──→ breached ──met late──→ breached, with the time it was met
//! ```
//! A breach is recorded once and never rewritten. A missed deadline destroys nothing.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tenure_protocol::time::Timestamp;

use super::calendar::Span;

/// Clause 6.3: the customer is notified of an emergency cut within five minutes, exclusive.
pub const O12B_SECONDS: u32 = 300;

/// One thing that one party owes the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    /// Which of the standard's.
    pub id: ObligationId,
    /// Distinguishes repetitions within a tenant (a resubmission, a second cut): from 1.
    pub serial: u32,
    /// Until when.
    pub due: Due,
    /// How that was counted.
    pub counted: Counted,
    /// What became of it.
    pub state: ObligationState,
}

/// The obligations that this version keeps; `obligations.md` of the design has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ObligationId {
    /// Opinion on the application.
    O3,
    /// Resources configured.
    O4,
    /// Deployment started.
    O5,
    /// Thirty days of trial.
    O6a,
    /// Both reports before the trial ends.
    O7a,
    /// Opinion on the reports.
    O7b,
    /// Third-party MLPS assessment filed.
    O8,
    /// ICP filing filed.
    O9,
    /// Migration and backup before the stop day.
    O10,
    /// Opinion on the off-boarding application.
    O11a,
    /// Reclaimed, terminated, wiped.
    O11b,
    /// Customer notified of an emergency cut.
    O12b,
    /// Traffic restored: a cut is temporary.
    O12c,
    /// Letter of responsibility, and administrators of the customer's own.
    O13,
    /// A security check in each calendar month, with its report delivered.
    O17,
}

/// Who owes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// 云服务客户.
    Customer,
    /// 云服务方.
    Provider,
}

/// A deadline. Over days that no State Council notice has settled yet it is an interval: the
/// provider plans by `last_day`, and a breach is declared only at `breach_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Due {
    /// The end of a civil day of Asia/Shanghai.
    Day {
        /// The last day on which it is met.
        last_day: Date,
        /// The instant after it: met when `t < due_at`.
        due_at: Timestamp,
        /// The latest that `due_at` may become; the same if every day is settled.
        breach_at: Timestamp,
    },
    /// An instant of the real clock: met when `t < due_at`.
    Instant {
        /// The instant.
        due_at: Timestamp,
    },
    /// The standard gives none.
    Never,
}

/// How a deadline was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The rule.
    pub rule: Rule,
    /// Whether the number is the provider's policy and not the standard's.
    pub policy: bool,
    /// The day that does not count; for [`Rule::Seconds`] the day of the event.
    pub day_zero: Date,
}

/// A rule of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// So many Work days after day 0.
    WorkingDays(u32),
    /// So many calendar days after day 0, moved off Rest days.
    CalendarDays(u32),
    /// The same day so many months later, clamped to the month's end, moved off Rest days.
    Months(u32),
    /// So many seconds after the event.
    Seconds(u32),
    /// Once within the calendar month that begins after day 0.
    EachMonth,
    /// Before this day begins.
    Before(Date),
    /// No number.
    None,
}

/// What became of an obligation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ObligationState {
    /// Owed.
    Open,
    /// Met in time.
    Discharged {
        /// When.
        at: Timestamp,
    },
    /// Missed.
    Breached {
        /// When that was recorded.
        at: Timestamp,
        /// When it was met after all.
        met_at: Option<Timestamp>,
    },
    /// No longer owed: what it was about went away (the cut was void, the tenant left).
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

impl ObligationId {
    /// Its number, as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::O3 => "O3",
            Self::O4 => "O4",
            Self::O5 => "O5",
            Self::O6a => "O6a",
            Self::O7a => "O7a",
            Self::O7b => "O7b",
            Self::O8 => "O8",
            Self::O9 => "O9",
            Self::O10 => "O10",
            Self::O11a => "O11a",
            Self::O11b => "O11b",
            Self::O12b => "O12b",
            Self::O12c => "O12c",
            Self::O13 => "O13",
            Self::O17 => "O17",
        }
    }

    /// Clause of the standard: its headings and paragraphs in order.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::O3 => "4.2",
            Self::O4 => "5.1",
            Self::O5 => "5.2",
            Self::O6a => "5.3",
            Self::O7a | Self::O7b => "5.4",
            Self::O8 => "5.5",
            Self::O9 => "5.6",
            Self::O10 => "6.1",
            Self::O11a | Self::O11b => "6.2",
            Self::O12b | Self::O12c => "6.3",
            Self::O13 => "7.1",
            Self::O17 => "8.3",
        }
    }

    /// The standard's words.
    #[must_use]
    pub const fn quote(self) -> &'static str {
        match self {
            Self::O3 => "云服务方应在五个工作日内给出审核意见。",
            Self::O4 => "云服务方审核通过云服务客户申请后，应在2个工作日内完成资源配置。",
            Self::O5 => "云服务客户应在资源配置完成后的10个工作日内开展应用系统部署工作。",
            Self::O6a => "自云资源开通日起，云服务方为云服务客户提供30日的试用期。",
            Self::O7a => {
                "试用期内，云服务客户应完成应用系统迁移上云部署，完成压力测试、内部测试及安全风险\
                 预评估等工作，并将测试报告和安全风险评估报告提交云服务方审查"
            }
            Self::O7b => {
                "审核通过的应用系统正式上线运行；审核未通过的，云服务客户应按照审核意见进行整改"
            }
            Self::O8 => {
                "申请部署的业务系统上线运行后，云服务客户应在6个月内完成第三方测评机构组织的网络安全\
                 等级保护测评工作，并将测评报告复印件提交云服务方备案。"
            }
            Self::O9 => {
                "在1个月内向通信运营商完成业务系统备案，并向云服务方提供备案证明材料复印件。"
            }
            Self::O10 => {
                "应做好应用系统下线和数据迁移备份工作，并提前15个工作日向云服务方提交申请。"
            }
            Self::O11a => "云服务方应在2个工作日内完成审核",
            Self::O11b => {
                "并按要求回收相应政务云资源，终止有关服务，并自动清除对应物理设备上磁盘和内存数据，\
                 使得数据无法恢复。"
            }
            Self::O12b => "紧急情况下可先断开网络连接并在5分钟内通知云服务客户。",
            Self::O12c => "云服务方有权临时断开应用系统的网络连接",
            Self::O13 => {
                "云服务客户是申请部署业务系统的安全责任人，自行管理租用的云资源……和应用系统安全策略。"
            }
            Self::O17 => {
                "云服务方应定期（每月不少于1次）对云服务客户部署的应用系统进行安全检查，并提供检查报告\
                 和优化建议。"
            }
        }
    }

    /// Who owes it.
    #[must_use]
    pub const fn party(self) -> Party {
        match self {
            Self::O3
            | Self::O4
            | Self::O6a
            | Self::O7b
            | Self::O11a
            | Self::O11b
            | Self::O12b
            | Self::O12c
            | Self::O17 => Party::Provider,
            Self::O5 | Self::O7a | Self::O8 | Self::O9 | Self::O10 | Self::O13 => Party::Customer,
        }
    }
}

impl Due {
    /// The end of a span of civil days.
    #[must_use]
    pub fn end_of(span: Span) -> Self {
        Self::Day {
            last_day: span.earliest,
            due_at: super::calendar::end_of_day(span.earliest),
            breach_at: super::calendar::end_of_day(span.latest),
        }
    }

    /// The instant by which it has to be met.
    #[must_use]
    pub const fn due_at(&self) -> Option<Timestamp> {
        match self {
            Self::Day { due_at, .. } | Self::Instant { due_at } => Some(*due_at),
            Self::Never => None,
        }
    }
}

impl Obligation {
    /// A new, open obligation.
    #[must_use]
    pub const fn open(id: ObligationId, serial: u32, due: Due, counted: Counted) -> Self {
        Self { id, serial, due, counted, state: ObligationState::Open }
    }

    /// Whether real time counts for it, and not legal time.
    #[must_use]
    pub const fn is_real_time(&self) -> bool {
        matches!(self.due, Due::Instant { .. })
    }

    /// Whether it is still owed: open, or breached and not met.
    #[must_use]
    pub const fn is_owed(&self) -> bool {
        match self.state {
            ObligationState::Open | ObligationState::Breached { met_at: None, .. } => true,
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. }
            | ObligationState::Lapsed { .. } => false,
        }
    }

    /// The instant at which a breach is to be declared, on the clock that counts for it.
    #[must_use]
    pub const fn breach_at(&self) -> Option<Timestamp> {
        match self.due {
            Due::Day { breach_at, .. } => Some(breach_at),
            Due::Instant { due_at } => Some(due_at),
            Due::Never => None,
        }
    }

    /// Met at `at`: in time or, when the breach instant has passed, late. A breach stays one.
    pub fn meet(&mut self, at: Timestamp) {
        match self.state {
            ObligationState::Open => {
                self.state = if self.breach_at().is_some_and(|limit| at >= limit) {
                    ObligationState::Breached { at, met_at: Some(at) }
                } else {
                    ObligationState::Discharged { at }
                };
            }
            ObligationState::Breached { at: breached_at, met_at: None } => {
                self.state = ObligationState::Breached { at: breached_at, met_at: Some(at) };
            }
            ObligationState::Discharged { .. }
            | ObligationState::Breached { met_at: Some(_), .. }
            | ObligationState::Lapsed { .. } => {}
        }
    }

    /// Declares the breach if `now` (of the clock that counts) has reached it. Says whether it did.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        match (self.state, self.breach_at()) {
            (ObligationState::Open, Some(limit)) if now >= limit => {
                self.state = ObligationState::Breached { at: now, met_at: None };
                true
            }
            (
                ObligationState::Open
                | ObligationState::Discharged { .. }
                | ObligationState::Breached { .. }
                | ObligationState::Lapsed { .. },
                _,
            ) => false,
        }
    }

    /// No longer owed. A breach stays one.
    pub const fn lapse(&mut self, at: Timestamp) {
        if matches!(self.state, ObligationState::Open) {
            self.state = ObligationState::Lapsed { at };
        }
    }

    /// Rule, day 0 and count in a sentence.
    #[must_use]
    pub fn explanation(&self) -> String {
        let counted = match self.counted.rule {
            Rule::WorkingDays(days) => format!("{days} working days after"),
            Rule::CalendarDays(days) => {
                format!("{days} calendar days, moved to a working day, after")
            }
            Rule::Months(months) => format!("{months} months, moved to a working day, after"),
            Rule::Seconds(seconds) => format!("{seconds} s, exclusive, after the event on"),
            Rule::EachMonth => "once in the calendar month after".to_owned(),
            Rule::Before(day) => format!("before {day} begins; applied for on"),
            Rule::None => "no number in the standard; since".to_owned(),
        };
        let policy = if self.counted.policy { " (provider's policy)" } else { "" };
        let provisional = match self.due {
            Due::Day { due_at, breach_at, .. } if due_at != breach_at => {
                "; provisional until the State Council's notice for those days"
            }
            Due::Day { .. } | Due::Instant { .. } | Due::Never => "",
        };
        format!("{counted} {}, which is day 0{policy}{provisional}", self.counted.day_zero)
    }
}
