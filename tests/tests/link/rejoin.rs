//! A host that was off past the end of its certificate.

use tenure_protocol::wire::v1::RejoinRequest;

use super::*;

/// A session of the enrolment port with a request that this key has signed in it.
async fn ask(member: &Member, key: &SigningKey) -> (Endpoint, Connection, RejoinRequest) {
    let (endpoint, connection) =
        dial(&member.join, &member.join.enrol_address, ALPN_ENROL, None).await.expect("connected");
    let csr = csr(&member.key);
    let signature = sign(&connection, key, &csr);
    (endpoint, connection, RejoinRequest { host: member.host, csr, signature })
}

async fn answer(connection: &Connection, request: &RejoinRequest) -> EnrolAnswer {
    let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
    write(&mut send, Kind::RejoinRequest, request).await.expect("sent");
    read(&mut recv).await.expect("an answer").decode(Kind::EnrolAnswer).expect("an answer")
}

async fn rejoin(member: &Member, key: &SigningKey) -> EnrolAnswer {
    let (_endpoint, connection, request) = ask(member, key).await;
    answer(&connection, &request).await
}

fn code(answer: EnrolAnswer) -> String {
    match answer {
        EnrolAnswer::Refused { code, .. } => code,
        EnrolAnswer::Accepted { host, .. } => panic!("{host} was taken in"),
    }
}

/// The host with a certificate that ended an hour ago.
fn expired(site: &InProcess, mut member: Member) -> Member {
    member.chain = site.certificate(member.host, &csr(&member.key), -25).expect("issued");
    member
}

#[test]
fn an_expired_host_is_in_again_with_its_host_key_and_gets_orders() {
    with_site(|site| async move {
        let mut member = expired(&site, enrol(join(&site, "h1").await, 1).await);
        let identity = Some((member.chain.clone(), member.key.serialize_der()));
        let address = member.join.command_address.clone();
        let error = match dial(&member.join, &address, ALPN, identity).await {
            Ok((_endpoint, connection)) => connection.closed().await,
            Err(error) => error,
        };
        assert!(error.to_string().contains("expired"), "{error}");

        match rejoin(&member, &member.host_key).await {
            EnrolAnswer::Accepted { host, chain } => {
                assert_eq!(host, member.host);
                member.chain = chain.into_iter().map(CertificateDer::from).collect();
            }
            EnrolAnswer::Refused { code, message } => panic!("{code}: {message}"),
        }
        let session = connect(&member).await;
        let [_cut, mut work] = lanes(&session).await;
        let tenant = approve(&site).await;
        let order = next_order(&member, &mut work.1).await.0;
        assert_eq!(order.tenant.to_string(), tenant);
    });
}

#[test]
fn a_wrong_key_a_replay_and_an_unknown_host_do_not_re_join() {
    with_site(|site| async move {
        let member = expired(&site, enrol(join(&site, "h1").await, 1).await);
        assert_eq!(code(rejoin(&member, &host_key(9)).await), "bad-signature");

        let (_first, _recorded, request) = ask(&member, &member.host_key).await;
        let (_second, other, _) = ask(&member, &member.host_key).await;
        assert_eq!(code(answer(&other, &request).await), "bad-signature", "of another session");

        let (_endpoint, connection, mut request) = ask(&member, &member.host_key).await;
        request.csr = csr(&rcgen::KeyPair::generate().expect("a key"));
        let swapped = answer(&connection, &request).await;
        assert_eq!(code(swapped), "bad-signature", "of another request");

        let nobody =
            Member { host: tenure_protocol::id::HostId::from_uuid(uuid::Uuid::nil()), ..member };
        assert_eq!(code(rejoin(&nobody, &nobody.host_key).await), "unknown-host");
    });
}

#[test]
fn a_blocked_host_does_not_re_join_and_is_told_that_it_is_blocked() {
    with_site(|site| async move {
        let member = expired(&site, enrol(join(&site, "h1").await, 1).await);
        blocked::admission(&site, member.host, "block").await;
        match rejoin(&member, &member.host_key).await {
            EnrolAnswer::Refused { code, message } => {
                assert_eq!(code, "host-blocked");
                assert!(message.contains("administrators"), "{message}");
                assert!(!message.contains("stolen"), "a thief is told nothing: {message}");
            }
            EnrolAnswer::Accepted { .. } => panic!("taken in"),
        }
        assert_eq!(code(rejoin(&member, &host_key(9)).await), "bad-signature", "no word to others");
    });
}

#[test]
fn a_host_that_re_joins_too_often_waits_and_others_do_not() {
    with_site(|site| async move {
        let (one, two) = (join(&site, "h1").await, join(&site, "h2").await);
        let (one, two) = (enrol(one, 1).await, enrol(two, 2).await);
        for _ in 0..5 {
            let answer = rejoin(&one, &one.host_key).await;
            assert!(matches!(answer, EnrolAnswer::Accepted { .. }), "{answer:?}");
        }
        assert_eq!(code(rejoin(&one, &one.host_key).await), "too-many-requests");
        let answer = rejoin(&two, &two.host_key).await;
        assert!(matches!(answer, EnrolAnswer::Accepted { .. }), "{answer:?}");
    });
}

#[test]
fn an_address_whose_requests_are_refused_again_and_again_waits() {
    with_site(|site| async move {
        let member = enrol(join(&site, "h1").await, 1).await;
        let mut refusals = 0;
        while code(rejoin(&member, &host_key(9)).await) != "too-many-requests" {
            refusals += 1;
            assert!(refusals < 100, "it is never told to wait");
        }
        assert!(refusals >= 60, "after {refusals}");
    });
}
