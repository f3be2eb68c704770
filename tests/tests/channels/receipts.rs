//! Receipts of an HTTP gateway: what a real Kannel says later of a message that it took.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tenure_controller::{
    clock::Clock,
    core::notice::{ARMED_MS, RECEIPT_S},
};
use tenure_tests::{
    lab::{
        daemon::wait_for,
        in_process::{InProcess, application},
        kannel::{Kannel, ports},
        smsc::Smsc,
    },
    third_party::venv,
};

use super::{LIMIT, evidence, notice, private};

/// As long as SMPP lets a password be.
const PASSWORD: &str = "secret12";

/// A message centre, Kannel before it, and a site that asks it for receipts of these kinds.
struct Rig {
    smsc: Smsc,
    _kannel: Kannel,
    site: InProcess,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn start(mask: &str, clock: Clock) -> anyhow::Result<Option<Self>> {
        let Some(venv) = venv() else { return Ok(None) };
        let smsc = Smsc::start(&venv, PASSWORD)?;
        let (kannel, dir) = (Kannel::start_by_smpp(PASSWORD, smsc.port)?, tempfile::tempdir()?);
        smsc.next("bind")?;
        let (file, [api]) = (dir.path().join("password"), ports()?);
        private(&file, PASSWORD)?;
        let config = format!(
            "listen = \"127.0.0.1:{api}\"\n\
             [sms.gateway]\nurl = \"http://127.0.0.1:{}/cgi-bin/sendsms\"\nformat = \"text\"\n\
             body = \"{{text}}\"\naccepted = {{ value = \"0: Accepted for delivery\" }}\n\
             receipts = {{ url = \"https://127.0.0.1:{api}\", parameter = \"status\", \
             delivered = [\"1\"], failed = [\"2\", \"16\"] }}\n\
             headers = {{ X-Kannel-Username = \"tenure\", X-Kannel-From = \"10690000\", \
             X-Kannel-To = \"{{to}}\", X-Kannel-Coding = \"2\", X-Kannel-DLR-Mask = {mask:?}, \
             X-Kannel-DLR-Url = \"{{receipt_url}}?status=%d&answer=%A\" }}\n\
             [sms.secret_headers]\nX-Kannel-Password = {file:?}\n",
            kannel.port
        );
        let site = InProcess::start_with(clock, &config)?;
        Ok(Some(Self { smsc, _kannel: kannel, site, _dir: dir }))
    }

    /// Cuts a tenant whose customer designated a telephone; its path, once Kannel took the notice.
    fn cut(&self) -> anyhow::Result<String> {
        let site = &self.site;
        site.host("alpha")?;
        let token = |name, role, customer| site.token(name, role, customer);
        let customer = token("zhang.wei", "customer", Some("city-archive"))?;
        let mut form = application("city-archive");
        let contact = &mut form["contacts"][0];
        *contact = json!({"name": "Duty officer", "available": "24x7",
            "mobile": "13800000000", "designated": ["sms"]});
        let made = site.post(&customer, "/v1/applications", &form)?;
        let id = made.json["id"].as_str().with_context(|| format!("{made:?}"))?.to_owned();
        let path = format!("/v1/tenants/{id}");
        let approve = json!({"decision": "approve", "opinion": "sound"});
        let reviewer = token("he.jun", "reviewer", None)?;
        let approved = site.post(&reviewer, &format!("{path}/review"), &approve)?;
        ensure!(approved.status == 200, "{approved:?}");
        let cut = json!({"kind": "emergency", "reason": "attack"});
        let operator = token("wang.lei", "operator", None)?;
        let cut = site.post(&operator, &format!("{path}/cut"), &cut)?;
        ensure!(cut.status == 202, "{cut:?}");
        // The host says nothing: a simulated clock comes to where its word is no longer awaited.
        site.clock.set(site.clock.now().plus_ms(ARMED_MS + 1_000));
        let sent = notice(site, &id, |one| evidence(one).contains("Accepted"))?;
        ensure!(sent["channel"] == "sms" && sent["kind"] == "cut", "{sent}");
        ensure!(sent["state"] == "due" && sent["tries"][0]["grade"] == "E1", "{sent}");
        Ok(id)
    }

    /// The next message of which Kannel asks the message centre for a receipt. Of a text in parts
    /// it asks for one of the first part alone.
    fn awaited(&self) -> anyhow::Result<String> {
        loop {
            let part = self.smsc.next("submit")?;
            if part["registered"] != 0 {
                return Ok(part["submit"].as_str().context("an id")?.to_owned());
            }
        }
    }

    /// Whether the delivery to the customer is a signed statement.
    fn is_attested(&self, tenant: &str) -> anyhow::Result<bool> {
        let all = self.site.get(&self.site.admin, &format!("/v1/tenants/{tenant}/evidence"))?;
        let all = all.json.as_array().cloned().unwrap_or_default();
        Ok(all.iter().any(|one| one["kind"].to_string().contains("notification")))
    }

    fn given(&self, token: &str, query: &str) -> anyhow::Result<u16> {
        Ok(self.site.send("GET", &format!("/v1/receipts/{token}{query}"), &[], b"")?.status)
    }
}

#[test]
fn what_kannel_reports_as_delivered_is_e2_and_attested() -> anyhow::Result<()> {
    let Some(mut rig) = Rig::start("31", Clock::staged())? else { return Ok(()) };
    let tenant = rig.cut()?;
    let of_cut = |one: &Value| one["kind"] == "cut";
    let message = rig.awaited()?;
    let sent = notice(&rig.site, &tenant, of_cut)?;
    ensure!(sent["state"] == "due", "that the message centre has it is no arrival: {sent}");
    ensure!(!rig.is_attested(&tenant)?);
    rig.smsc.receipt(&message, "DELIVRD")?;
    let there = |one: &Value| one["kind"] == "cut" && one["state"] == "delivered";
    let there = notice(&rig.site, &tenant, there)?;
    ensure!(there["grade"] == "E2", "{there}");
    let words = format!("receipt: status=1&answer=id%3A{message}");
    ensure!(evidence(&there).contains(&words), "its own words: {there}");
    ensure!(rig.is_attested(&tenant)?);

    let id = there["id"].as_str().context("an id")?;
    let token = rig.site.engine().receipt_token(id.parse()?);
    ensure!(rig.given(&token, "?status=1")? == 204, "again");
    ensure!(notice(&rig.site, &tenant, of_cut)? == there, "and nothing is entered twice");
    ensure!(rig.given(&token, "?status=2")? == 204, "otherwise");
    let still = notice(&rig.site, &tenant, of_cut)?;
    ensure!(still["state"] == "delivered" && still["grade"] == "E2", "{still}");
    Ok(())
}

#[test]
fn what_kannel_reports_as_lost_is_a_failed_try() -> anyhow::Result<()> {
    let Some(mut rig) = Rig::start("31", Clock::staged())? else { return Ok(()) };
    let tenant = rig.cut()?;
    let message = rig.awaited()?;
    rig.smsc.receipt(&message, "UNDELIV")?;
    let lost = |one: &Value| evidence(one).contains("receipt: status=2&");
    let lost = notice(&rig.site, &tenant, lost)?;
    ensure!(lost["state"] == "due", "{lost}");
    let tries = lost["tries"].as_array().context("tries")?;
    ensure!(tries[1]["grade"].is_null(), "{lost}");
    Ok(())
}

#[test]
fn without_kannels_receipt_it_stays_sent_and_the_ladder_goes_on() -> anyhow::Result<()> {
    let now = Clock::system().now();
    // Of what the message centre took alone: 8.
    let Some(rig) = Rig::start("8", Clock::simulated(now))? else { return Ok(()) };
    let tenant = rig.cut()?;
    let first = rig.smsc.next("submit")?;
    ensure!(first["registered"] == 0, "Kannel asks for no receipt: {first}");
    // Its 8 comes at once, and says nothing of the telephone.
    rig.site.clock.set(rig.site.clock.now().plus_ms((RECEIPT_S + 60) * 1_000));
    let tries = |one: &Value| one["tries"].as_array().map_or(0, Vec::len);
    let again = notice(&rig.site, &tenant, |one| one["kind"] == "cut" && tries(one) > 1)?;
    ensure!(again["state"] == "due", "{again}");
    ensure!(!evidence(&again).contains("receipt:"), "{again}");
    ensure!(!rig.is_attested(&tenant)?);
    Ok(())
}

#[test]
fn a_receipt_is_taken_at_its_own_url_alone_and_only_in_the_words_that_are_named()
-> anyhow::Result<()> {
    let Some(rig) = Rig::start("8", Clock::staged())? else { return Ok(()) };
    let tenant = rig.cut()?;
    let before = notice(&rig.site, &tenant, |one| one["kind"] == "cut")?;
    let id = before["id"].as_str().context("an id")?;
    let token = rig.site.engine().receipt_token(id.parse()?);
    let nobodys = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
    let nobodys = rig.site.engine().receipt_token(nobodys);
    let moved = format!("{}{}", &nobodys[..32], &token[32..]);
    for wrong in ["00", &token[..94], &moved, id] {
        ensure!(rig.given(wrong, "?status=1")? == 404, "{wrong}");
    }
    ensure!(rig.given(&token, "")? == 400 && rig.given(&token, "?state=1")? == 400);
    for other in ["?status=8", "?status=11", "?status=&code=x"] {
        ensure!(rig.given(&token, other)? == 204, "{other}");
    }
    ensure!(rig.given(&nobodys, "?status=1")? == 204, "nobody learns which notices there are");
    let after = notice(&rig.site, &tenant, |one| one["kind"] == "cut")?;
    ensure!(after == before, "{after}");
    ensure!(rig.given(&token, "?status=1")? == 204);
    let there = wait_for("delivered", LIMIT, || {
        let now = notice(&rig.site, &tenant, |one| one["kind"] == "cut")?;
        Ok((now["state"] == "delivered").then_some(now))
    })?;
    ensure!(there["grade"] == "E2", "{there}");
    Ok(())
}
