//! The whole way of a dead-man packet over the real doors: the link, the socket between the two
//! processes, and a webhook at its end, with a controller that is gone.

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tenure_agent::link::courier;

use super::*;

/// A customer's system: each request's `webhook-id` and body, and whether it was taken.
#[derive(Default)]
struct Office {
    deaf: AtomicBool,
    heard: Mutex<Vec<(String, String, bool)>>,
}

impl Office {
    fn open() -> anyhow::Result<(Arc<Self>, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let office = Arc::new(Self::default());
        let there = Arc::clone(&office);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = there.answer(&stream);
            }
        });
        Ok((office, url))
    }

    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let (mut id, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "webhook-id" => value.clone_into(&mut id),
                "content-length" => length = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let takes = !self.deaf.load(Ordering::SeqCst);
        let body = String::from_utf8_lossy(&body).into_owned();
        self.heard.lock().expect("whole").push((id, body, takes));
        let status = if takes { "204 No Content" } else { "503 Busy" };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes())
    }

    fn heard(&self, about: &str) -> Vec<(String, String, bool)> {
        let kind = format!("\"type\":\"tenure.{about}\"");
        let all = self.heard.lock().expect("whole");
        all.iter().filter(|(_, body, _)| body.contains(&kind)).cloned().collect()
    }
}

#[test]
fn a_host_tells_the_customer_by_itself_when_its_controller_is_gone() -> anyhow::Result<()> {
    let (office, url) = Office::open()?;
    let more = "[webhook]\nloopback = true\nplain_http = true\n[fallback]\nafter_s = 10";
    let site = InProcess::start_with(Clock::staged(), more)?;
    let base = base(&site.join_token("alpha")?, uid());
    let own = tokio::runtime::Runtime::new()?;
    let link = base.link();
    own.spawn(courier::run(base.config.socket()));
    own.spawn(async move { link.run().await });
    let within = |what: &str, seconds, holds: &dyn Fn() -> anyhow::Result<bool>| {
        wait_for(what, Duration::from_secs(seconds), || Ok(holds()?.then_some(())))
    };
    within("up", 30, &|| Ok(site.get(&site.admin, "/v1/hosts")?.text.contains("\"tcg\"")))?;

    let mut form = application("Bureau");
    form["contacts"][0]["webhook"]["url"] = json!(url);
    form["contacts"][0]["designated"] = json!(["webhook"]);
    let customer = site.token("li", "customer", Some("Bureau"))?;
    let made = site.post(&customer, "/v1/applications", &form)?;
    assert_eq!(made.status, 201, "{made:?}");
    let path = format!("/v1/tenants/{}", made.json["id"].as_str().unwrap_or_default());
    let reviewer = site.token("zhao", "reviewer", None)?;
    let approval = json!({ "decision": "approve", "opinion": "sound" });
    site.post(&reviewer, &format!("{path}/review"), &approval)?;
    let tenant = || -> anyhow::Result<Value> { Ok(site.get(&site.admin, &path)?.json) };
    within("on trial", 30, &|| Ok(tenant()?["phase"] == "trial"))?;

    office.deaf.store(true, Ordering::SeqCst);
    let operator = site.token("sun", "operator", None)?;
    let cut = json!({ "kind": "emergency", "reason": "a flood" });
    let cut = site.post(&operator, &format!("{path}/cut"), &cut)?;
    assert!(cut.status < 300, "{cut:?}");
    within("cut, and tried by the controller", 30, &|| {
        let t0 = tenant()?["cuts"][0]["t0"].is_object();
        Ok(t0 && !office.heard("cut").is_empty())
    })?;
    assert_eq!(tenant()?["cuts"][0]["witness"], "none-up", "there is one host alone");
    let packets = base.config.state_dir.join("packets");
    // Beside the standing packet, which is of no cut.
    let cut = tenant()?["cuts"][0]["id"].as_str().unwrap_or_default().to_owned();
    let kept = |kind: &str| packets.join(format!("{cut}.{kind}")).exists();
    assert!(kept("packet"), "and it has the packet");
    drop(site);
    let before = office.heard("cut");
    assert!(before.iter().all(|(_, _, taken)| !taken), "the controller got through to nobody");
    office.deaf.store(false, Ordering::SeqCst);
    within("told by the host", 40, &|| Ok(office.heard("cut").last().is_some_and(|last| last.2)))?;
    let heard = office.heard("cut");
    let told = heard.last().expect("told");
    assert_eq!(told.0, before[0].0, "under the id that the controller used");
    within("its secrets gone", 10, &|| Ok(!kept("packet")))?;
    assert!(kept("watch"), "the account of it stays until the controller has it");
    own.shutdown_background();
    base.engine.stop();
    Ok(())
}
