//! The deny-list of hosts, over the API and on the link.

use super::*;

pub(super) async fn admission(site: &Arc<InProcess>, host: HostId, act: &'static str) {
    api(site, move |site| {
        let token = site.token("sun.li", "security", None)?;
        let path = format!("/v1/hosts/{host}/{act}");
        let answer = site.post(&token, &path, &json!({"reason": "stolen from the rack"}))?;
        anyhow::ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    })
    .await;
}

#[test]
fn a_blocked_host_loses_its_session_at_once_and_has_none_until_it_is_unblocked() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let other = enrol(join(&site, "h2").await, 2).await;
        let (session, stays) = (connect(&member).await, connect(&other).await);
        admission(&site, member.host, "block").await;
        assert_eq!(closed(&session.connection).await, 8, "this host is blocked");
        assert!(stays.connection.close_reason().is_none(), "the other host is not disturbed");

        // Without a Hello: the handshake is enough.
        let identity = Some((member.chain.clone(), member.key.serialize_der()));
        let address = member.join.command_address.clone();
        let (_endpoint, again) =
            dial(&member.join, &address, ALPN, identity).await.expect("TLS stands");
        assert_eq!(closed(&again).await, 8, "this host is blocked");
        let admin = site.admin.clone();
        let hosts = api(&site, move |site| site.get(&admin, "/v1/hosts")).await.json;
        assert_eq!(hosts[0]["admission"], "blocked", "{hosts}");
        assert_eq!(hosts[0]["up"], false, "{hosts}");
        assert_eq!(hosts[0]["blocked"]["reason"], "stolen from the rack", "{hosts}");
        assert_eq!(hosts[0]["blocked"]["by"], "sun.li", "{hosts}");

        admission(&site, member.host, "unblock").await;
        assert_eq!(connect(&member).await.welcome.host, member.host);
    });
}

#[test]
fn a_block_needs_a_reason_and_is_refused_twice() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let admin = site.admin.clone();
        api(&site, move |site| {
            let path = format!("/v1/hosts/{}", member.host);
            let send = |act: &str, reason: &str| {
                site.post(&admin, &format!("{path}/{act}"), &json!({ "reason": reason }))
            };
            let code = |answer: anyhow::Result<_>| {
                let answer: tenure_tests::lab::in_process::Answer = answer?;
                anyhow::Ok((answer.status, answer.json["code"].clone()))
            };
            assert_eq!(code(send("block", ""))?, (422, json!("invalid-input")));
            assert_eq!(code(send("unblock", "why"))?, (409, json!("wrong-admission")));
            assert_eq!(code(send("block", "why"))?, (200, json!(null)));
            assert_eq!(code(send("block", "why"))?, (409, json!("wrong-admission")));
            let acts = site.get(&admin, "/v1/platform/journal")?.json;
            assert_eq!(acts[0]["kind"], "host-blocked", "{acts}");
            assert_eq!(acts[0]["body"]["reason"], "why", "{acts}");
            Ok(())
        })
        .await;
    });
}

#[test]
fn a_second_use_of_a_token_by_another_blocks_the_host_and_ends_its_session() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let session = connect(&member).await;
        let thief = rcgen::KeyPair::generate().expect("a key");
        let again = request_enrolment(&member.join, &host_key(9), &thief, |_| {}).await;
        assert!(refused(again).contains("used already"));
        // At once, whether the host says anything more or not.
        assert_eq!(closed(&session.connection).await, 8, "this host is blocked");
    });
}
