//! The controller's channels from end to end: short messages with a message centre whose codec we
//! did not write, groups' bots with a receiver that checks the vendors' signatures by code of its
//! own, and what of their secrets is left behind: nothing.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test that damages a state directory"
)]

#[path = "channels/receipts.rs"]
mod receipts;

use std::{collections::BTreeMap, fs, io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tenure_controller::clock::Clock;
use tenure_tests::{
    lab::{
        daemon::wait_for,
        in_process::{InProcess, application},
        kannel::Kannel,
        smsc::Smsc,
        vendor::{self, BOT_SECRET, Post, vendor},
    },
    third_party::venv,
};

const LIMIT: Duration = Duration::from_secs(30);
/// The opinion on an application of the start's day is overdue from here on.
const OVERDUE: &str = "2026-08-31T16:00:00Z";
const BOT_TOKEN: &str = "t0ken0123456789";

/// Has a customer apply, and the provider told of what it owes; the tenant's id.
fn told(site: &InProcess) -> anyhow::Result<String> {
    let customer = site.token("zhang.wei", "customer", Some("city-archive"))?;
    let made = site.post(&customer, "/v1/applications", &application("city-archive"))?;
    ensure!(made.status == 201, "{made:?}");
    site.clock.set_legal(OVERDUE.parse()?);
    Ok(made.json["id"].as_str().context("an id")?.to_owned())
}

/// The first notice of a tenant that `fits`, once there is one.
fn notice(site: &InProcess, tenant: &str, fits: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    wait_for("a notice", LIMIT, || {
        let notices = site.get(&site.admin, &format!("/v1/tenants/{tenant}/notices"))?;
        let notices = notices.json.as_array().cloned().unwrap_or_default();
        Ok(notices.into_iter().find(&fits))
    })
}

fn evidence(notice: &Value) -> String {
    let tries = notice["tries"].as_array().cloned().unwrap_or_default();
    let words: Vec<&str> = tries.iter().filter_map(|one| one["evidence"].as_str()).collect();
    words.join("\n")
}

fn bytes(hexadecimal: &Value) -> anyhow::Result<Vec<u8>> {
    Ok(hex::decode(hexadecimal.as_str().context("bytes")?)?)
}

/// A whole text, in its parts' order, with their ids: the first that the message centre gets whole.
fn text(smsc: &Smsc) -> anyhow::Result<(String, Vec<String>)> {
    let mut texts: BTreeMap<u8, BTreeMap<u8, (Vec<u8>, String)>> = BTreeMap::new();
    loop {
        let part = smsc.next("submit")?;
        ensure!(part["to"] == "8613800000000" && part["ton"] == 1, "{part}");
        ensure!(part["source"] == "10690000", "{part}");
        ensure!(part["coding"] == 8 && part["registered"] == 1, "UCS-2, with a receipt: {part}");
        ensure!(part["esm_class"] == 0x40, "a part has a header: {part}");
        let data = bytes(&part["data"])?;
        ensure!(data.len() <= 140 && data.starts_with(&[5, 0, 3]), "{part}");
        let name = part["submit"].as_str().context("an id")?.to_owned();
        let (header, units) = data.split_at(6);
        let parts = texts.entry(header[3]).or_default();
        parts.insert(header[5], (units.to_vec(), name));
        if parts.len() == usize::from(header[4]) {
            let whole: Vec<u8> = parts.values().flat_map(|(units, _)| units.clone()).collect();
            let units = whole.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            let names = parts.values().map(|(_, name)| name.clone()).collect();
            return Ok((String::from_utf16(&units.collect::<Vec<_>>())?, names));
        }
    }
}

#[test]
fn a_receipt_counts_however_late_it_comes_and_after_a_restart_too() -> anyhow::Result<()> {
    let Some(venv) = venv() else { return Ok(()) };
    let mut smsc = Smsc::start(&venv, "secret12")?;
    let dir = tempfile::tempdir()?;
    let config = smpp(dir.path(), smsc.port, "secret12")?;
    let mut site = InProcess::start_with(Clock::staged(), &config)?;
    let bound = smsc.next("bind")?;
    ensure!(bound["right"] == true && bound["version"] == 0x34, "{bound}");
    let tenant = told(&site)?;

    let (text, names) = text(&smsc)?;
    ensure!(text.contains("Archive portal") && text.contains("系统："), "{text}");
    ensure!(names.len() > 1, "it comes in parts: {text}");
    let ours = |notice: &Value| names.iter().all(|name| evidence(notice).contains(name));
    let sent = notice(&site, &tenant, ours)?;
    ensure!(sent["channel"] == "sms" && sent["to"] == "+8613800000000", "{sent}");
    ensure!(sent["state"] == "due" && sent["tries"][0]["grade"] == "E1", "{sent}");

    ensure!(smsc.receipt("nobody", "DELIVRD")? == 0x64, "unknown: to be said again later");
    ensure!(smsc.receipt(&names[0], "ENROUTE")? == 0, "no last word");
    ensure!(smsc.receipt(&names[0], "DELIVRD")? == 0);
    let half = notice(&site, &tenant, ours)?;
    ensure!(half["state"] == "due", "a part is not the whole: {half}");
    site.restart()?;
    smsc.next("bind")?;
    for name in &names[1..] {
        ensure!(smsc.receipt(name, "DELIVRD")? == 0, "acknowledged once it is durable");
    }
    let there = notice(&site, &tenant, ours)?;
    ensure!(there["state"] == "delivered" && there["grade"] == "E2", "{there}");
    ensure!(evidence(&there).contains("stat:DELIVRD"), "the message centre's words: {there}");
    let again = smsc.rest("submit").iter().filter(|one| one["submit"] == json!(names[0])).count();
    ensure!(again == 0, "it is not sent again");
    Ok(())
}

#[test]
fn a_receipt_that_says_no_is_a_failed_try_and_so_is_a_refusal() -> anyhow::Result<()> {
    let Some(venv) = venv() else { return Ok(()) };
    let mut smsc = Smsc::start(&venv, "secret12")?;
    let dir = tempfile::tempdir()?;
    let config = smpp(dir.path(), smsc.port, "secret12")?;
    let site = InProcess::start_with(Clock::staged(), &config)?;
    smsc.next("bind")?;
    smsc.order(&json!({"status": 0x58}))?;
    smsc.next("done")?;
    let tenant = told(&site)?;
    let refused = notice(&site, &tenant, |one| evidence(one).contains("EsmeRthrottled"))?;
    ensure!(refused["state"] == "due" && refused["tries"][0]["grade"].is_null(), "{refused}");
    smsc.order(&json!({"status": 0}))?;
    smsc.next("done")?;
    let taken = |notice: &Value| evidence(notice).contains("submit_sm_resp, message id");
    notice(&site, &tenant, taken)?;
    let names: Vec<String> = {
        let taken = notice(&site, &tenant, taken)?;
        let words = evidence(&taken);
        let (_, ids) = words.split_once("message id ").context("ids")?;
        ids.lines().next().unwrap_or_default().split(", ").map(str::to_owned).collect()
    };
    for name in &names {
        ensure!(smsc.receipt(name, "UNDELIV")? == 0);
    }
    let lost = notice(&site, &tenant, |one| evidence(one).contains("stat:UNDELIV"))?;
    let tries = lost["tries"].as_array().context("tries")?;
    let lost = tries.iter().filter(|one| one["evidence"].to_string().contains("UNDELIV"));
    let grades: Vec<&Value> = lost.map(|one| &one["grade"]).collect();
    ensure!(grades == [&Value::Null], "one failed try, however many parts: {tries:?}");
    Ok(())
}

#[test]
fn a_gateway_is_spoken_to_as_the_site_describes_it_and_its_yes_says_sent() -> anyhow::Result<()> {
    let taken = |(path, body): &Post| match path == "/send?n=8613800000000" && body["text"] != "" {
        true => r#"{"code": 0, "id": "g-1"}"#,
        false => r#"{"code": 7}"#,
    };
    let (port, posts) = vendor(taken)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("authorization");
    private(&file, "Bearer 0123")?;
    let site = InProcess::start_with(
        Clock::staged(),
        &format!(
            "[sms.gateway]\nurl = \"http://127.0.0.1:{port}/send?n={{to}}\"\n\
             body = '{{\"text\": \"{{text}}\", \"uid\": \"{{id}}\"}}'\n\
             accepted = {{ pointer = \"/code\", value = \"0\" }}\n\
             [sms.secret_headers]\nauthorization = {file:?}\n\
             [[provider.contact]]\nname = \"值班\"\nmobile = \"13800000000\"\n\
             designated = [\"sms\"]\n"
        ),
    )?;
    let tenant = told(&site)?;
    let sent = notice(&site, &tenant, |one| evidence(one).contains("g-1"))?;
    ensure!(sent["channel"] == "sms" && sent["state"] == "due", "{sent}");
    ensure!(sent["tries"][0]["grade"] == "E1", "{sent}");
    let (_, body) = posts.recv_timeout(LIMIT)?;
    ensure!(body["text"].as_str().context("a text")?.contains("Archive portal"), "{body}");
    Ok(())
}

#[test]
fn kannel_carries_a_chinese_notice_whole_and_its_yes_says_sent() -> anyhow::Result<()> {
    const PASSWORD: &str = "s3cret-0f-kannel";
    let (kannel, dir) = (Kannel::start(PASSWORD)?, tempfile::tempdir()?);
    let site = |name: &str, password: &str| {
        let file = dir.path().join(name);
        private(&file, password)?;
        let config = format!(
            "[sms.gateway]\nurl = \"http://127.0.0.1:{}/cgi-bin/sendsms\"\nformat = \"text\"\n\
             body = \"{{text}}\"\naccepted = {{ value = \"0: Accepted for delivery\" }}\n\
             headers = {{ X-Kannel-Username = \"tenure\", X-Kannel-From = \"10690000\", \
             X-Kannel-To = \"{{to}}\", X-Kannel-Coding = \"2\" }}\n\
             [sms.secret_headers]\nX-Kannel-Password = {file:?}\n\
             [[provider.contact]]\nname = \"值班\"\nmobile = \"13800000000\"\n\
             designated = [\"sms\"]\n",
            kannel.port
        );
        InProcess::start_with(Clock::staged(), &config)
    };
    let told_of = |site: &InProcess, word: &str| {
        let tenant = told(site)?;
        let sent = notice(site, &tenant, |one| evidence(one).contains(word))?;
        anyhow::Ok((tenant, sent))
    };
    let (_, refused) = told_of(&site("wrong", "another")?, "403")?;
    ensure!(evidence(&refused).contains("Authorization failed for sendsms"), "{refused}");
    ensure!(refused["tries"][0]["grade"].is_null(), "{refused}");

    let site = site("right", PASSWORD)?;
    let (tenant, sent) = told_of(&site, "Accepted")?;
    ensure!(evidence(&sent) == "202 Accepted 0: Accepted for delivery", "its words: {sent}");
    ensure!(sent["channel"] == "sms" && sent["state"] == "due", "{sent}");
    ensure!(sent["tries"][0]["grade"] == "E1", "no telephone has it yet: {sent}");
    let text = kannel.text("8613800000000")?;
    ensure!(text.contains("系统：") && text.contains("Archive portal"), "{text}");
    ensure!(text.ends_with(&format!("\n租户：{tenant}")), "to its end: {text}");
    ensure!(!kannel.logs()?.contains(PASSWORD), "no server logs it");
    Ok(())
}

/// A configuration with this message centre, and a desk that gets short messages.
fn smpp(dir: &Path, port: u16, password: &str) -> anyhow::Result<String> {
    let file = dir.join("password");
    private(&file, password)?;
    Ok(format!(
        "[sms.smpp]\naddress = \"127.0.0.1:{port}\"\nsystem_id = \"tenure\"\n\
         source = \"10690000\"\npassword_file = {file:?}\n\
         [[provider.contact]]\nname = \"值班\"\nmobile = \"138 0000 0000\"\n\
         designated = [\"sms\"]\n"
    ))
}

fn private(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    Ok(writeln!(file, "{text}")?)
}

/// A configuration with a desk that has bots.
fn bots(bots: &[(&str, u16)]) -> String {
    let mut text = "[webhook]\nprivate = true\nloopback = true\nplain_http = true\n[bot.hosts]\n\
                    wecom = [\"127.0.0.1\"]\ndingtalk = [\"127.0.0.1\"]\nfeishu = [\"127.0.0.1\"]\n"
        .to_owned();
    for (kind, port) in bots {
        let url = format!("http://127.0.0.1:{port}/bot?access_token={BOT_TOKEN}");
        let secret = format!(", secret = {BOT_SECRET:?}");
        let secret = if *kind == "wecom" { "" } else { &secret };
        text += &format!(
            "[[provider.contact]]\nname = \"{kind} desk\"\n\
             bot = {{ kind = {kind:?}, url = {url:?}{secret} }}\n"
        );
    }
    text
}

#[test]
fn bots_get_what_they_verify_and_their_error_code_is_what_counts() -> anyhow::Result<()> {
    let (dingtalk, posts) = vendor(vendor::dingtalk)?;
    let (feishu, _posts) = vendor(vendor::feishu)?;
    let (wecom, _refused) = vendor(|_| r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#)?;
    let config = bots(&[("dingtalk", dingtalk), ("feishu", feishu), ("wecom", wecom)]);
    let site = InProcess::start_with(Clock::staged(), &config)?;
    let tenant = told(&site)?;
    for kind in ["dingtalk", "feishu"] {
        let there = |one: &Value| one["channel"] == kind && one["state"] == "delivered";
        let there = notice(&site, &tenant, there)?;
        ensure!(there["grade"] == "E2" && there["to"] == kind, "{there}");
    }
    let (_, body) = posts.recv_timeout(LIMIT)?;
    let text = body["text"]["content"].as_str().context("a text")?;
    ensure!(text.contains("Archive portal") && text.contains("租户："), "{text}");
    let refused = |one: &Value| one["channel"] == "wecom" && evidence(one).contains("93000");
    let refused = notice(&site, &tenant, refused)?;
    ensure!(refused["state"] == "due" && refused["tries"][0]["grade"].is_null(), "{refused}");
    let all = site.get(&site.admin, &format!("/v1/tenants/{tenant}/notices"))?.text;
    ensure!(!all.contains(BOT_TOKEN) && !all.contains(BOT_SECRET), "{all}");
    Ok(())
}

/// An application whose contact has every secret that there is.
fn with_secrets() -> Value {
    let mut form = application("city-archive");
    form["contacts"][0]["bot"] = json!({
        "kind": "dingtalk",
        "url": format!("https://oapi.dingtalk.com/robot/send?access_token={BOT_TOKEN}"),
        "secret": BOT_SECRET,
    });
    form["contacts"][0]["designated"] = json!(["email", "webhook", "bot"]);
    form
}

#[test]
fn no_secret_of_a_channel_is_in_any_file_or_answer_and_another_key_fails() -> anyhow::Result<()> {
    let (port, _posts) = vendor(vendor::dingtalk)?;
    let mut site = InProcess::start_with(Clock::staged(), &bots(&[("dingtalk", port)]))?;
    let tenant = told(&site)?;
    let customer = site.token("chen.jing", "customer", Some("city-archive"))?;
    let made = site.post(&customer, "/v1/drafts", &with_secrets())?;
    ensure!(made.status == 201, "{made:?}");
    let draft = made.json["id"].as_str().context("an id")?;
    let again = site.post(&customer, &format!("/v1/tenants/{draft}/draft"), &with_secrets())?;
    ensure!(again.status == 200, "{again:?}");
    let path = format!("/v1/tenants/{draft}/draft/submission");
    let submitted = site.post(&customer, &path, &json!({}))?;
    ensure!(submitted.status == 200, "the form sees the secrets themselves: {submitted:?}");
    let listed = site.get(&customer, &format!("/v1/tenants/{draft}/checklist"))?;
    ensure!(!listed.text.contains("\"wrong\""), "{listed:?}");
    notice(&site, &tenant, |one| one["channel"] == "dingtalk" && one["state"] == "delivered")?;

    let whsec = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let secrets = [BOT_SECRET, BOT_TOKEN, whsec];
    for answer in [&made, &again, &submitted, &listed] {
        let shown = secrets.iter().find(|secret| answer.text.contains(**secret));
        ensure!(shown.is_none() && !answer.text.contains("sealed:"), "{shown:?} in {answer:?}");
    }
    let mut searched = 0;
    search(&site.state, &mut |file, bytes| {
        searched += bytes.len();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            ensure!(!found, "{secret} is in {}", file.display());
        }
        Ok(())
    })?;
    ensure!(searched > 100_000, "the database is among what was searched: {searched} bytes");
    let mut sealed = 0;
    search(&site.state, &mut |_, bytes| {
        sealed += bytes.windows(7).filter(|part| *part == b"sealed:").count();
        Ok(())
    })?;
    ensure!(sealed >= 4, "they are there, sealed: {sealed}");

    fs::write(site.state.join("access.key"), "7".repeat(64))?;
    let error = site.restart().expect_err("another key");
    ensure!(format!("{error:#}").contains("access.key is not the one"), "{error:#}");
    Ok(())
}

fn search(
    dir: &Path,
    look: &mut impl FnMut(&Path, &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, look)?;
        } else {
            look(&path, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

#[test]
fn a_channel_that_can_reach_nobody_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let customer = site.token("zhang.wei", "customer", Some("city-archive"))?;
    let url = |url: &str| json!({"kind": "dingtalk", "url": url, "secret": BOT_SECRET});
    let token = format!("access_token={BOT_TOKEN}");
    for (field, value, pointer, words) in [
        ("designated", json!(["sms"]), "/contacts/0/designated", "sends no short messages"),
        ("mobile", json!("12345"), "/contacts/0/mobile", "11 digits"),
        ("designated", json!(["bot"]), "/contacts/0/designated", "bot is designated and not given"),
        (
            "bot",
            url(&format!("https://evil.example/x?{token}")),
            "/contacts/0/bot/url",
            "elsewhere",
        ),
        ("bot", url(&format!("https://[fe80::1]/x?{token}")), "/contacts/0/bot/url", "link-local"),
        ("bot", url(&format!("//x?{token}")), "/contacts/0/bot/url", "not a bot's URL"),
        (
            "bot",
            json!({"kind": "feishu", "url": "https://open.feishu.cn/x"}),
            "/contacts/0/bot/secret",
            "signature secret",
        ),
        (
            "bot",
            json!({"kind": "wecom", "url": "https://qyapi.weixin.qq.com/x?key=1",
            "secret": BOT_SECRET}),
            "/contacts/0/bot/secret",
            "leave it out",
        ),
        (
            "webhook",
            json!({"url": "https://192.0.2.1/", "secret": "sealed:00"}),
            "/contacts/0/webhook/secret",
            "secret",
        ),
        (
            "webhook",
            json!({"url": "https://localhost/",
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}),
            "/contacts/0/webhook/url",
            "own machine",
        ),
    ] {
        let mut form = application("city-archive");
        form["contacts"][0][field] = value.clone();
        for path in ["/v1/applications", "/v1/drafts"] {
            let answer = site.post(&customer, path, &form)?;
            // What a site sends and where is asked when an application is handed in.
            if path == "/v1/drafts" && answer.status == 201 {
                let id = answer.json["id"].as_str().context("an id")?;
                let path = format!("/v1/tenants/{id}/draft/submission");
                let late = site.post(&customer, &path, &json!({}))?;
                ensure!(late.status == 422, "{field} {value}: {late:?}");
                continue;
            }
            ensure!(answer.status == 422, "{path} {field} {value}: {answer:?}");
            ensure!(
                answer.text.contains(pointer) && answer.text.contains(words),
                "{path} {field} {value}: {answer:?}"
            );
            ensure!(!answer.text.contains(BOT_TOKEN), "a bot's URL is a secret: {answer:?}");
        }
    }
    Ok(())
}
