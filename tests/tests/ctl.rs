//! tenurectl and a controller that runs: every exit code, and what a person would see.

#![allow(clippy::disallowed_methods, reason = "runs the program under test and writes its files")]

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenure_controller::clock::Clock;
use tenure_tests::lab::in_process::{InProcess, application};

/// A home with a profile for each person, and the program.
struct Office {
    home: tempfile::TempDir,
    program: PathBuf,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Office {
    fn of(site: &InProcess) -> anyhow::Result<Self> {
        let test_binary = std::env::current_exe()?;
        let bin = test_binary.parent().and_then(Path::parent).context("no target directory")?;
        let program = bin.join("tenurectl");
        ensure!(program.exists(), "tenurectl is not built: cargo build --workspace");
        let office = Self { home: tempfile::tempdir()?, program };
        // A copy, as people have it: the controller's own directory may be gone.
        office.write("ca.pem", &fs::read(site.state.join("ca.pem"))?)?;
        let mut config = String::from("default = \"customer\"\n");
        let people = [
            ("customer", site.token("carl", "customer", Some("Bureau"))?),
            ("reviewer", site.token("rita", "reviewer", None)?),
            ("operator", site.token("olga", "operator", None)?),
        ];
        for (name, token) in people {
            office.write(name, token.as_bytes())?;
            let token = office.path(name);
            config.push_str(&format!(
                "[profile.{name}]\ncontroller = {:?}\nca = {:?}\ntoken_file = {token:?}\n",
                site.url().replace("127.0.0.1", "localhost"),
                office.path("ca.pem"),
            ));
        }
        fs::create_dir_all(office.path(".config/tenurectl"))?;
        office.write(".config/tenurectl/config.toml", config.as_bytes())?;
        Ok(office)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        fs::write(self.path(name), bytes)?;
        Ok(fs::set_permissions(self.path(name), Permissions::from_mode(0o600))?)
    }

    fn run(&self, line: &str) -> anyhow::Result<Ran> {
        let output = Command::new(&self.program)
            .args(line.split_whitespace())
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("LC_ALL", "C")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .output()?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs a line that must exit with `code`; returns what it said on the stream for that.
    fn exits(&self, code: i32, line: &str) -> anyhow::Result<String> {
        let ran = self.run(line)?;
        let Ran { stdout, stderr, .. } = &ran;
        ensure!(
            ran.code == Some(code),
            "{line}: {:?} instead of {code}\n{stdout}{stderr}",
            ran.code
        );
        Ok(if code == 0 { ran.stdout } else { ran.stderr })
    }

    fn json(&self, line: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.exits(0, &format!("{line} --output json"))?)?)
    }
}

#[test]
fn every_exit_code_means_what_the_manual_says() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let office = Office::of(&site)?;
    ensure!(office.exits(0, "health")?.contains("is up"));
    office.write("form.json", application("Bureau").to_string().as_bytes())?;
    let tenant = office.json("application submit form.json")?;
    let id = tenant["id"].as_str().context("no id")?;
    let list = office.exits(0, "tenant list --lang zh-CN --profile reviewer")?;
    ensure!(list.contains("已提交") && list.contains("Bureau") && list.contains(id), "{list}");

    let refused = office.exits(1, &format!("review approve {id} --opinion mine"))?;
    ensure!(refused.starts_with("tenurectl: ") && refused.trim_end().ends_with(')'), "{refused}");
    let refused = office.exits(1, &format!("bundle fetch {id} -o exit.tar --output json"))?;
    let refused: Value = serde_json::from_str(&refused)?;
    ensure!(refused["exit"] == 1 && refused["code"].is_string(), "{refused}");
    ensure!(refused["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{refused}");

    let wrong = office.exits(2, "tenant show nonsense")?;
    ensure!(wrong.contains("UUID"), "{wrong}");
    let open = office.path("customer");
    fs::set_permissions(&open, Permissions::from_mode(0o640))?;
    let open_token = office.exits(2, "tenant list")?;
    ensure!(open_token.contains("chmod 600"), "{open_token}");
    fs::set_permissions(&open, Permissions::from_mode(0o600))?;

    office.exits(0, &format!("review return {id} --opinion again --profile reviewer"))?;
    let shown = office.exits(0, &format!("tenant show {id} --lang zh-CN"))?;
    ensure!(shown.contains("退回补正") && shown.contains("阶段"), "{shown}");

    office.exits(0, "anchors -o anchors.json")?;
    office.write("exit.tar", &[0; 2048])?;
    office.exits(3, "verify exit.tar --anchors anchors.json")?;

    drop(site);
    let gone = office.exits(4, "tenant list")?;
    ensure!(gone.contains("cannot reach https://localhost"), "{gone}");
    Ok(())
}

#[test]
fn what_stands_beside_the_lifecycle_is_reached() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let office = Office::of(&site)?;
    let form = office.json("application form")?;
    ensure!(form["properties"]["customer"].is_object(), "{form}");
    ensure!(office.json("openapi")?["paths"]["/healthz"].is_object());
    office.write("form.json", application("Bureau").to_string().as_bytes())?;
    let tenant = office.json("application submit form.json")?;
    let id = tenant["id"].as_str().context("no id")?;
    office.write("report.pdf", b"%PDF-1.7\nreport")?;
    let filed = office.json(&format!("attachment upload {id} report.pdf"))?;
    let digest = filed["sha256"].as_str().context("no digest")?;
    let list = office.exits(0, &format!("attachment list {id}"))?;
    ensure!(list.contains(digest) && list.contains("application/pdf"), "{list}");
    office.exits(0, &format!("attachment get {id} {digest} -o back.pdf"))?;
    ensure!(fs::read(office.path("back.pdf"))? == b"%PDF-1.7\nreport");
    // Reports of a system that is not live are refused, by their own code.
    for line in [
        "assessment file T --report-number 1 --assessor a --level 3 --conclusion c \
         --report report.pdf",
        "icp file T --number 1 --domain d.cn --holder h --filed-on 2026-08-01 --proof report.pdf",
    ] {
        let refused = office.exits(1, &line.replace(" T ", &format!(" {id} ")))?;
        ensure!(refused.trim_end().ends_with(')'), "{refused}");
    }
    let note = office.exits(0, "ledger checkpoint")?;
    ensure!(note.lines().nth(1).is_some_and(|size| size.parse::<u64>().is_ok()), "{note}");
    office.exits(0, "ledger tile entries/000.p/1 -o tile --profile operator").or_else(|_| {
        let size = note.lines().nth(1).unwrap_or_default();
        office.exits(0, &format!("ledger tile entries/000.p/{size} -o tile --profile operator"))
    })?;
    ensure!(fs::metadata(office.path("tile"))?.len() > 0);
    let journal = office.exits(0, &format!("tenant journal {id} --lang zh-CN"))?;
    ensure!(journal.contains("提交申请"), "{journal}");
    let events = office.exits(0, "events")?;
    ensure!(events.contains(id) && events.contains("submit"), "{events}");
    Ok(())
}

#[test]
fn what_cannot_be_cut_together_is_said_of_each_and_nothing_is_done() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let office = Office::of(&site)?;
    office.write("form.json", application("Bureau").to_string().as_bytes())?;
    let tenant = office.json("application submit form.json")?;
    let id = tenant["id"].as_str().context("no id")?;
    let stranger = "01890a5d-ac96-774b-bcce-b302099a8057";
    let operator = |line: &str| office.exits(1, &format!("{line} --profile operator"));
    let twice = operator(&format!("cut {id} {id} --reason worm"))?;
    ensure!(twice.contains("named twice") && twice.contains(id), "{twice}");
    let unknown = operator(&format!("cut {id} {stranger} --reason worm"))?;
    ensure!(unknown.contains("unknown-tenant") && unknown.contains(stranger), "{unknown}");
    let nowhere = operator("cut --host nowhere --reason fire")?;
    ensure!(nowhere.contains("no host of this id"), "{nowhere}");
    let customer = office.exits(1, &format!("restore {id} {stranger} --reason mended"))?;
    ensure!(customer.contains("operator"), "{customer}");
    let second = office.json("application submit form.json")?;
    let second = second["id"].as_str().context("no id")?;
    let early = operator(&format!("cut {id} {second} --reason worm"))?;
    ensure!(early.contains("not-for-all") && early.contains(second), "{early}");
    Ok(())
}
