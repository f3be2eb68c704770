//! What every letter says, in both languages and at every length, letter by letter.

use std::fmt::Write as _;

use tenure_protocol::{
    channel::{BotKind, Secret},
    id::{CutId, TenantId},
    wire::v1::CommitInterval,
};
use uuid::Uuid;

use super::*;
use crate::core::{
    canonical,
    joint::{Joint, Part, Said},
    lifecycle::CutKind,
    tenant::{Bot, CutEnd, Webhook},
};

/// Its words are compared byte by byte: change them there and in `controller/data/letters`.
const GOLDEN: &str = include_str!("letter/golden.txt");

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_123);

const fn date(year: i16, month: i8, day: i8) -> Date {
    Date::constant(year, month, day)
}

/// With what people write in it that means something to templates.
fn tenant() -> Tenant {
    let stored = include_str!("tenant/stored/1.json");
    let mut tenant: Tenant = serde_json::from_str(stored).expect("a stored tenant");
    tenant.application.customer = "赣州市 { $bureau } & 局".to_owned();
    tenant.application.system.name = "门户 {portal}".to_owned();
    let desk = Contact {
        name: "值班 duty".to_owned(),
        mobile: Some("+8613800000000".to_owned()),
        available: Some("24x7".to_owned()),
        ..Contact::default()
    };
    let other = Contact { name: "李".to_owned(), available: None, ..desk.clone() };
    tenant.application.contacts = vec![desk, other];
    let cut = tenant.cuts.last_mut().expect("a cut");
    cut.reason = "蠕虫 { worm }\n  * [second] line".to_owned();
    cut.end = CutEnd::Open;
    tenant
}

fn letters() -> Letters {
    Letters::shipped().expect("words")
}

/// Over every channel.
fn reader() -> Contact {
    let secret = || Secret::new("a secret".to_owned());
    Contact {
        name: "王 Wang".to_owned(),
        email: Some("wang@bureau.example".to_owned()),
        webhook: Some(Webhook { url: "https://h.example/".to_owned(), secret: secret() }),
        mobile: Some("13900000000".to_owned()),
        bot: Some(Bot { kind: BotKind::Feishu, url: secret(), secret: secret() }),
        available: None,
        designated: vec![Designated::Sms],
    }
}

/// Enters what the notices say; what is the same over two channels once.
fn enter(text: &mut String, name: &str, notices: &[Notice]) {
    let mut known: Vec<&str> = Vec::new();
    for notice in notices {
        let channel = designation(&notice.channel);
        let (subject, body) = (&notice.subject, notice.body.as_str());
        if !known.contains(&body) {
            write!(text, "=== {name} {channel:?}\n{subject}\n---\n{body}\n").expect("written");
            known.push(body);
        }
    }
    let payload: Value = serde_json::from_str(&notices[0].payload).expect("JSON");
    writeln!(text, "--- payload\n{}", canonical::text(payload)).expect("written");
}

fn single(text: &mut String, name: &str, tenant: &Tenant, kind: NoticeKind, letter: &Letter) {
    let state = NoticeState::Due { since: NOW, next_at: NOW };
    let mut draw = Draw::new([7; 32], NOW);
    let notices = render((&letters(), letter), tenant, kind, &state, &[reader()], NOW, &mut draw);
    assert_eq!(notices.len(), 4);
    enter(text, name, &notices);
}

fn cuts(text: &mut String) {
    let why = || "nft-failed: { busy }".to_owned();
    let mut tenant = tenant();
    for cut_kind in [CutKind::Emergency, CutKind::Planned] {
        for t0 in [false, true] {
            let cut = tenant.cuts.last_mut().expect("a cut");
            cut.kind = cut_kind;
            let known = CommitInterval { earliest: NOW, latest: NOW, took_ns: 1 };
            cut.t0 = t0.then_some(known);
            for (kind, letter) in [
                (NoticeKind::Cut, Letter::CutOrdered),
                (NoticeKind::CutCorrection, Letter::CutDone),
                (NoticeKind::CutCorrection, Letter::CutVoid { reason: why() }),
                (NoticeKind::CutReminder, Letter::CutReminder),
                (NoticeKind::Restored, Letter::RestoreOrdered),
                (NoticeKind::Restored, Letter::RestoreDone),
            ] {
                let name = format!("{cut_kind:?} {t0} {letter:?}");
                single(text, &name, &tenant, kind, &letter);
            }
        }
    }
    for alarm in Rung::ALL {
        for t0 in [false, true] {
            let known = CommitInterval { earliest: NOW, latest: NOW, took_ns: 1 };
            tenant.cuts.last_mut().expect("a cut").t0 = t0.then_some(known);
            let letter = Letter::Untold { cut: 1, alarm };
            single(text, &format!("{t0} {letter:?}"), &tenant, NoticeKind::DutyAlarm, &letter);
        }
    }
    tenant.application.contacts.clear();
    let at = Some(NOW.plus_ms(61_000));
    let (by, reason, notices) = ("sun".to_owned(), why(), Vec::new());
    tenant.cuts[0].end = CutEnd::Restored { by, reason, at, notices };
    tenant.obligations.clear();
    let letter = Letter::Untold { cut: 1, alarm: Rung::Phone };
    single(text, "nobody's telephone", &tenant, NoticeKind::DutyAlarm, &letter);
    single(text, "restored", &tenant, NoticeKind::Restored, &Letter::RestoreDone);
    tenant.cuts.clear();
    single(text, "no cut", &tenant, NoticeKind::Cut, &Letter::CutDone);
    single(text, "no cut", &tenant, NoticeKind::DutyAlarm, &letter);
}

fn course(text: &mut String) {
    let reason = || "换 { rack }".to_owned();
    let rules = |names: &[&str]| {
        names.iter().map(|name| ((*name).to_owned(), format!("{name} for {{a}}"))).collect()
    };
    let silent = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let month = date(2026, 9, 1);
    let periods = [
        Period::WorkingDays(1_234),
        Period::CalendarDays(30),
        Period::Months(2),
        Period::Seconds(90),
        Period::WorkingDaysBefore(5),
        Period::SameAs(ObligationId::O7a),
        Period::EachMonth(1),
        Period::EachYear(2),
        Period::None,
    ];
    let mut letters: Vec<(NoticeKind, Letter)> = periods
        .map(|period| Letter::Handover { trial: period, deploy: Period::WorkingDays(15) })
        .map(|letter| (NoticeKind::Handover, letter))
        .to_vec();
    letters.extend([
        (NoticeKind::CutAnnounced, Letter::CutAnnounced { reason: reason() }),
        (NoticeKind::CutCalledOff, Letter::CutCalledOff { reason: reason() }),
        (NoticeKind::TrialExpired, Letter::TrialExpired),
        (NoticeKind::ConfirmationMissing, Letter::ConfirmationMissing),
        (NoticeKind::SecondNotice, Letter::SecondNotice { grace: 10 }),
        (NoticeKind::RulesEnded, Letter::RulesEnded { rules: rules(&["web"]) }),
        (NoticeKind::RulesEnded, Letter::RulesEnded { rules: rules(&["web", "db"]) }),
        (NoticeKind::Probe, Letter::Probe { month }),
        (NoticeKind::ContactsChanged, Letter::ContactsChanged { by: "li.na".to_owned() }),
        (NoticeKind::Closed, Letter::Closed),
    ]);
    for (findings, report) in [(0, None), (12_345, Some(Digest::of(b"report")))] {
        let letter = Letter::Inspection { month, findings, report };
        letters.push((NoticeKind::Inspection, letter));
    }
    for (silent, acknowledged) in [(silent(&[]), false), (silent(&["mail a", "sms b"]), true)] {
        let letter = Letter::ProbeUnanswered { month, silent, acknowledged };
        letters.push((NoticeKind::ProviderReminder, letter));
    }
    let tenant = tenant();
    for (kind, letter) in letters {
        single(text, &format!("{letter:?}"), &tenant, kind, &letter);
    }
    let (last_day, due_at) = (date(2026, 9, 18), NOW);
    let day = Due::Day { last_day, due_at, breach_at: due_at };
    for (party, due, today) in [
        (Party::Customer, day, date(2026, 9, 18)),
        (Party::Customer, day, date(2026, 9, 19)),
        (Party::Provider, day, date(2026, 9, 18)),
        (Party::Provider, Due::Instant { due_at }, date(2026, 9, 18)),
        (Party::Provider, Due::Never, date(2026, 9, 18)),
    ] {
        let (clause, quote) = ("6.1 a)".to_owned(), "应在 {10} 个工作日内".to_owned());
        let reminder = Reminder { id: ObligationId::O7a, clause, quote, party, due, today };
        let letter = Letter::Reminder(Box::new(reminder));
        single(text, &format!("{letter:?}"), &tenant, NoticeKind::Reminder, &letter);
    }
}

fn part(number: u128, kind: CutKind, said: Said) -> Part {
    Part {
        tenant: TenantId::from_uuid(Uuid::from_u128(number)),
        cut: CutId::from_uuid(Uuid::from_u128(0x100 + number)),
        number: 1_233 + u32::try_from(number).expect("small"),
        kind,
        reason: "火灾 { fire }".to_owned(),
        system: format!("系统 {{system}} {number}"),
        code: format!("S{number}"),
        designated: true,
        said,
        known: false,
    }
}

fn joints(text: &mut String) {
    let ways: Vec<Channel> = channels(&reader()).collect();
    let t0 = CommitInterval { earliest: NOW, latest: NOW.plus_ms(1), took_ns: 1_000_000 };
    let cut = Said::Cut { t0, notify_by: Some(NOW.plus_ms(300_000)) };
    let not = Said::NotCut { reason: "nft-failed: { busy }".to_owned() };
    let done = Said::Restored { at: Some(NOW) };
    let many = vec![cut.clone(); 7];
    for (kind, follows, said) in [
        (NoticeKind::Cut, false, vec![Said::CutOrdered, cut.clone(), not.clone()]),
        (NoticeKind::Cut, false, many),
        (NoticeKind::CutCorrection, true, vec![cut.clone()]),
        (NoticeKind::CutCorrection, true, vec![cut, not.clone()]),
        (NoticeKind::CutCorrection, true, vec![not.clone(), not]),
        (NoticeKind::Restored, false, vec![Said::RestoreOrdered, done.clone()]),
        (NoticeKind::Restored, false, vec![done.clone(), Said::Restored { at: None }]),
        (NoticeKind::Restored, true, vec![done]),
    ] {
        for cut_kind in [CutKind::Emergency, CutKind::Planned] {
            let parts = (1..).zip(&said).map(|(number, said)| part(number, cut_kind, said.clone()));
            let joint = Joint {
                customer: "赣州市局".to_owned(),
                ordered_at: NOW,
                parts: parts.collect(),
                follows: follows.then(|| NoticeId::from_uuid(Uuid::from_u128(9))),
            };
            let notices = ways.iter().map(|channel| joint_notice(kind, channel, joint.clone()));
            let name = format!("joint {kind:?} {follows} {} {cut_kind:?}", said.len());
            enter(text, &name, &notices.collect::<Vec<_>>());
        }
    }
}

fn joint_notice(kind: NoticeKind, channel: &Channel, joint: Joint) -> Notice {
    let like = Notice {
        id: NoticeId::from_uuid(Uuid::from_u128(1)),
        tenant: None,
        cut: None,
        kind,
        contact: reader().name,
        channel: channel.clone(),
        designated: true,
        subject: String::new(),
        body: String::new(),
        payload: String::new(),
        state: NoticeState::Due { since: NOW, next_at: NOW },
        tries: Vec::new(),
        joint: None,
    };
    Notice::joint(NoticeId::from_uuid(Uuid::from_u128(2)), kind, &like, joint, (&letters(), NOW))
}

#[test]
fn every_letter_says_what_it_always_said() {
    let mut found = String::new();
    cuts(&mut found);
    course(&mut found);
    joints(&mut found);
    for (at, (found, golden)) in found.lines().zip(GOLDEN.lines()).enumerate() {
        assert_eq!(found, golden, "line {} of letter/golden.txt", at + 1);
    }
    assert!(found == GOLDEN, "BEGIN\n{found}END");
}
