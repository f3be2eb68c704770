//! The words of the scripts: what is applied for, and what persons do.

use anyhow::bail;
use tenure_controller::core::{
    lifecycle::{CutKind, Decision, Document, Event, ReportsDecision},
    notice::NoticeKind,
    tenant::{Application, Assessment, Expert, HoldKind, IcpFiling},
};
use tenure_protocol::{digest::Digest, wire::v1::AlarmKind};
use tenure_tests::fleet::application;

/// What is applied for: `for` and what is unusual about it.
pub(crate) fn form(what: &str) -> anyhow::Result<Application> {
    let mut form = application();
    match what {
        "" => {}
        "for a major system" => form.system.major = true,
        "without a contact" => form.contacts.clear(),
        "for an image that is not there" => "huge".clone_into(&mut form.instances[0].image),
        "for a system that does not serve the Internet" => form.system.internet_facing = false,
        other => bail!("not understood: {other}"),
    }
    Ok(form)
}

fn document(title: &str) -> Document {
    Document { title: title.to_owned(), sha256: Digest::of(title.as_bytes()) }
}

/// What a person does.
pub(crate) fn event(what: &str) -> anyhow::Result<Event> {
    let opinion = "as the file says".to_owned();
    let reason = "it disturbs the platform".to_owned();
    let review = |decision| Event::Review { decision, opinion: opinion.clone() };
    Ok(match what {
        "applies again" => Event::Submit { application: application() },
        "saves the draft again" => Event::SaveDraft { application: application() },
        "submits the draft" => Event::SubmitDraft,
        "withdraws the application" => Event::Withdraw { reason: "no budget".to_owned() },
        "approves the application" => review(Decision::Approve),
        "rejects the application" => review(Decision::Reject),
        "returns the application" => review(Decision::Return),
        "waits for the fire brigade" => Event::SuspendReview { reason: what.to_owned() },
        "goes on with the review" => Event::ResumeReview,
        "has the configuration tried again" => Event::RetryConfiguration,
        "declares the deployment" => Event::DeclareDeployment,
        "hands in both reports" | "hands in reports that nobody uploaded" => Event::SubmitReports {
            test_report: document("test report"),
            security_report: document("security risk assessment report"),
        },
        "passes the reports" => {
            let (decision, items) = (ReportsDecision::Pass, Vec::new());
            Event::ReviewReports { decision, opinion, items }
        }
        "fails the reports" => {
            let (decision, items) = (ReportsDecision::Fail, Vec::new());
            Event::ReviewReports { decision, opinion, items }
        }
        "cuts the network" => Event::Cut { kind: CutKind::Emergency, reason },
        "cuts the network as planned" => Event::Cut { kind: CutKind::Planned, reason },
        "announces a cut" => Event::AnnounceCut { reason },
        "calls the cut off" => Event::CallOffCut { reason: "it is mended".to_owned() },
        "proposes to cut it for connection floods" => {
            Event::ProposeCutRule { kinds: [AlarmKind::ConnectionFlood].into(), reason }
        }
        "proposes it as a canary" => Event::ProposeCanary { reason },
        "confirms the canary" => Event::ConfirmCanary,
        "takes the canary back" => Event::WithdrawCanary { reason },
        "drills it" => Event::Cut { kind: CutKind::Drill, reason },
        "confirms the cut rule" => Event::ConfirmCutRule,
        "takes the cut rule back" => Event::WithdrawCutRule { reason },
        "restores the network" => Event::Restore { reason: "the cause is gone".to_owned() },
        "grants the leaving" => Event::ReviewOffboarding { decision: Decision::Approve, opinion },
        "denies the leaving" => Event::ReviewOffboarding { decision: Decision::Reject, opinion },
        "waives the fifteen working days" => Event::WaivePeriod { reason: what.to_owned() },
        "confirms migration and backup" => {
            Event::ConfirmOffboarding { migrated: true, backed_up: true }
        }
        "hands in one file as both reports" => Event::SubmitReports {
            test_report: document("test report"),
            security_report: document("test report"),
        },
        "countersigns the service" => Event::CountersignService,
        "approves the wipe" => Event::ApproveWipe,
        other => numbered(other).or_else(|_| filed(other))?,
    })
}

/// Acts that name a day, a number, or persons.
fn numbered(what: &str) -> anyhow::Result<Event> {
    let words: Vec<&str> = what.split_whitespace().collect();
    let reason = "it moves elsewhere".to_owned();
    Ok(match words.as_slice() {
        ["asks", "to", "leave", "on", day] => {
            Event::RequestOffboarding { stop_day: day.parse()?, reason, ask_waiver: false }
        }
        ["asks", "to", "leave", "early", "on", day] => {
            Event::RequestOffboarding { stop_day: day.parse()?, reason, ask_waiver: true }
        }
        ["asks", "for", days, "more", "days"] => {
            Event::RequestExtension { days: days.parse()?, reason: "much data".to_owned() }
        }
        ["grants", "more", "days", "by", "the", "experts", names @ ..] => {
            let names = names.iter().filter(|name| **name != "and");
            Event::DecideExtension {
                decision: Decision::Approve,
                opinion: "needed".to_owned(),
                experts: names
                    .map(|name| Expert { name: (*name).to_owned(), opinion: "needed".to_owned() })
                    .collect(),
                assessment: Some(document("assessment by experts")),
            }
        }
        ["denies", "more", "days"] => Event::DecideExtension {
            decision: Decision::Reject,
            opinion: "not needed".to_owned(),
            experts: Vec::new(),
            assessment: None,
        },
        ["fails", "the", "reports", "for", ..] => Event::ReviewReports {
            decision: ReportsDecision::Fail,
            opinion: "not yet".to_owned(),
            items: words[4..].join(" ").split(", ").map(str::to_owned).collect(),
        },
        ["rectifies", "item", item] => Event::Rectify {
            item: item.parse()?,
            note: "mended".to_owned(),
            evidence: document("screenshot"),
        },
        ["asks", "for", "the", "end", "of", "hold", hold] => Event::ReleaseHold {
            hold: hold.parse()?,
            document: document("the court's letter"),
            reason: "the case is closed".to_owned(),
        },
        ["serves", "a", "registered", "letter", "that", "arrived", "on", day] => {
            let document = document("receipt of the letter");
            Event::RecordService { served_on: day.parse()?, document }
        }
        ["files", "an", "assessment", "of", "level", level] => {
            Event::FileAssessment { assessment: assessment(level.parse()?) }
        }
        ["sets", "group", name, "to", direction, protocol, port, "of", kind, peer, term @ ..] => {
            let mut rule = serde_json::json!({
                "direction": direction, "protocol": protocol, "port": port.parse::<u16>()?,
                "peer": {*kind: peer}, "purpose": "a story",
            });
            if let ["until", day] = term {
                rule["until"] = serde_json::json!(day);
            }
            let group = serde_json::json!({"name": name, "roles": ["web"], "rules": [rule]});
            Event::SetGroup { group: serde_json::from_value(group)? }
        }
        ["removes", "group", name] => Event::RemoveGroup { name: (*name).to_owned() },
        ["countersigns", "hold", hold] => Event::CountersignHold { hold: hold.parse()? },
        _ => bail!("not understood: {what}"),
    })
}

fn assessment(level: u8) -> Assessment {
    Assessment {
        report_number: "DJCP-2026-0001".to_owned(),
        assessor: "a third party".to_owned(),
        level,
        conclusion: "good".to_owned(),
        document: document("assessment report"),
    }
}

/// Acts that put something on file.
fn filed(what: &str) -> anyhow::Result<Event> {
    let hold = |kind| Event::PlaceHold {
        kind,
        document: document("the court's order"),
        reason: "evidence in a case".to_owned(),
    };
    Ok(match what {
        "files the assessment" => Event::FileAssessment { assessment: assessment(3) },
        "files the ICP filing" => Event::FileIcp {
            filing: IcpFiling {
                number: "赣ICP备2026000001号".to_owned(),
                domain: "portal.example.gov.cn".to_owned(),
                holder: "data bureau".to_owned(),
                filed_on: "2026-08-20".parse()?,
                document: document("ICP proof"),
            },
        },
        "finds the ICP filing in the register" => {
            Event::ConfirmIcp { found: true, opinion: "beian.miit.gov.cn has it".to_owned() }
        }
        "does not find the ICP filing" => {
            Event::ConfirmIcp { found: false, opinion: "beian.miit.gov.cn lacks it".to_owned() }
        }
        "opens the Internet" => Event::OpenIcp { reason: "the filing is under way".to_owned() },
        "places a legal hold" => hold(HoldKind::LegalHold),
        "places a dispute" => hold(HoldKind::Dispute),
        _ => bail!("not understood: {what}"),
    })
}

/// The kind of a notice, by its name.
pub(crate) fn notice_kind(name: &str) -> anyhow::Result<NoticeKind> {
    let kinds = [
        NoticeKind::Handover,
        NoticeKind::Cut,
        NoticeKind::CutCorrection,
        NoticeKind::CutReminder,
        NoticeKind::Restored,
        NoticeKind::TrialExpired,
        NoticeKind::ConfirmationMissing,
        NoticeKind::SecondNotice,
        NoticeKind::CutAnnounced,
        NoticeKind::CutCalledOff,
        NoticeKind::Inspection,
        NoticeKind::Closed,
        NoticeKind::Reminder,
        NoticeKind::ProviderReminder,
        NoticeKind::RulesEnded,
        NoticeKind::Probe,
        NoticeKind::ContactsChanged,
        NoticeKind::HostAlarm,
        NoticeKind::DutyAlarm,
    ];
    match kinds.into_iter().find(|kind| kind.as_str() == name) {
        Some(kind) => Ok(kind),
        None => bail!("no notice is called {name:?}"),
    }
}
