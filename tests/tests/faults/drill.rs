//! A drill on real processes, a guest, and the customer's own systems.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_tests::{demo::ctl::string, lab::site::Build};

use crate::rig::{Rig, isolation};

/// A tenant becomes a canary and is drilled: cut, proven, told over every channel as a drill,
/// restored, and reported with every time.
pub(crate) fn run(build: &Build, venv: &Path) -> anyhow::Result<()> {
    let mut rig = Rig::create("drill", build, venv)?;
    let id = rig.tenant.clone();
    let drill = ["drill", "run", &id, "--reason", "the monthly drill", "--wait"];
    let refused = rig.people.operator.call(&drill).expect_err("it is no canary").to_string();
    ensure!(refused.contains("no canary"), "{refused}");
    rig.people.operator.call(&["canary", "propose", &id, "--reason", "it is our own"])?;
    rig.people.security.call(&["canary", "confirm", &id])?;

    let report = rig.people.operator.call(&drill)?;
    println!("{report:#}");
    let report = report.pointer("/drills/0").context("no report")?;
    ensure!(report["verdict"] == "passed" && report["silent"] == serde_json::json!([]));
    let steps = report["steps"].as_array().context("no steps")?;
    let unknown = |step: &&Value| !step["after_ms"].is_i64() || step["result"] != "passed";
    ensure!(!steps.iter().any(|step| unknown(&step)), "{steps:#?}");
    for channel in ["mail", "webhook", "sms"] {
        let told = |step: &Value| step["channel"].to_string().contains(channel);
        ensure!(steps.iter().any(told), "{channel}: {steps:#?}");
    }
    let view = rig.view()?;
    ensure!(isolation(&view) == "connected" && !rig.is_cut()?, "{view:#}");
    ensure!(string(&view, "/cuts/0/kind")? == "drill");
    ensure!(string(&view, "/cuts/0/end/by")? == "controller");
    said_as_a_drill(&mut rig, &string(&view, "/cuts/0/id")?)?;

    let owed = rig.list("deadlines")?;
    ensure!(!owed.iter().any(|one| one["id"] == "O12b" || one["id"] == "O12c"), "{owed:#?}");
    let journal = rig.list("journal")?;
    for kind in ["propose-canary", "confirm-canary", "cut", "drill-measured"] {
        ensure!(journal.iter().any(|row| row["kind"] == kind), "{kind}: {journal:#?}");
    }
    let desk = rig.people.operator.call(&["duty"])?;
    ensure!(!desk.to_string().contains("\"drill\""), "{desk:#}");
    Ok(())
}

/// Whoever is told reads at once that it is a drill.
fn said_as_a_drill(rig: &mut Rig, cut: &str) -> anyhow::Result<()> {
    let mut kinds = Vec::new();
    for message in rig.webhook.received() {
        if message.body.to_string().contains(cut) {
            let subject = string(&message.body, "/data/subject")?;
            ensure!(subject.starts_with("【演练 DRILL】"), "{subject}");
            ensure!(message.body["data"]["drill"] == true, "{:#}", message.body);
            kinds.push(string(&message.body, "/type")?);
        }
    }
    ensure!(kinds.iter().any(|kind| kind == "tenure.cut"), "{kinds:?}");
    let heard = rig.heard(cut)?;
    ensure!(heard.iter().any(|one| one.channel == "sms"), "{heard:?}");
    let mails = rig.mail.as_ref().context("no mail server")?.mails()?;
    let mut about = mails.iter().filter(|(mail, _)| mail.contains(cut)).peekable();
    ensure!(about.peek().is_some(), "no mail");
    for (mail, _) in about {
        ensure!(mail.contains("DRILL: "), "{mail}");
    }
    Ok(())
}
