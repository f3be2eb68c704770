//! The agent's certificate as it ages: renewed in its session, and got again by the host key after
//! its end.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tenure_agent::certificate::{self, HostCertificate};

use super::*;

/// A host that has enrolled, and whose certificate was issued this many hours ago.
fn aged(site: &InProcess, hours: i64) -> anyhow::Result<(Base, Link, HostCertificate)> {
    let base = base(&site.join_token("alpha")?, uid());
    let link = base.link();
    let session = site.runtime().spawn(async move { link.once().await });
    let host = wait_for("enrolled", Duration::from_secs(20), || {
        Ok(join::load_host_id(&base.config.state_dir)?)
    })?;
    session.abort();
    let key = rcgen::KeyPair::generate()?;
    let csr = rcgen::CertificateParams::default().serialize_request(&key)?;
    let chain = site.certificate(host, csr.der(), -hours)?;
    let pem = chain.iter().map(|der| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let body = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    });
    let text: String = std::iter::once(key.serialize_pem()).chain(pem).collect();
    fs::write(base.config.agent_state_dir.join("identity.pem"), text)?;
    let (link, old) = (base.link(), stored(&base)?);
    Ok((base, link, old))
}

/// The certificate that the agent keeps.
fn stored(base: &Base) -> anyhow::Result<HostCertificate> {
    let file = base.config.agent_state_dir.join("identity.pem");
    Ok(certificate::read(&CertificateDer::from_pem_file(file)?)?)
}

#[test]
fn a_host_that_was_off_past_its_certificates_end_comes_back_and_carries_out_an_order()
-> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let (base, link, old) = aged(&site, 25)?;
    assert!(old.not_after < clock::now());
    let session = site.runtime().spawn(async move { link.once().await });
    carries_out_an_order(&site)?;
    let new = stored(&base)?;
    assert_eq!(new.host, old.host);
    assert!(new.not_after > clock::now());
    session.abort();
    base.engine.stop();
    Ok(())
}

#[test]
fn a_blocked_host_does_not_come_back_and_its_log_says_so() -> anyhow::Result<()> {
    let site = InProcess::start(Clock::staged())?;
    let (base, link, old) = aged(&site, 25)?;
    let path = format!("/v1/hosts/{}/block", old.host);
    let blocked = site.post(&site.admin, &path, &json!({ "reason": "stolen" }))?;
    assert_eq!(blocked.status, 200, "{blocked:?}");
    let failure = once(&site, &link);
    assert!(matches!(&failure, LinkFailure::Refused { code, .. } if code == "host-blocked"));
    assert!(failure.to_string().contains("this host is blocked"), "{failure}");
    assert_eq!(stored(&base)?, old);
    base.engine.stop();
    Ok(())
}

#[test]
fn a_host_past_the_middle_of_its_certificates_life_renews_it_in_its_session() -> anyhow::Result<()>
{
    let site = InProcess::start(Clock::staged())?;
    // 71 % of a day: whichever moment between 50 and 70 % was drawn, it has come.
    let (base, link, old) = aged(&site, 17)?;
    let session = site.runtime().spawn(async move { link.once().await });
    wait_for("renewed", Duration::from_secs(20), || {
        Ok(stored(&base)
            .is_ok_and(|new| new.not_before > old.not_after.plus_ms(-12 * 3_600_000))
            .then_some(()))
    })?;
    assert!(!session.is_finished(), "the session goes on");
    carries_out_an_order(&site)?;
    session.abort();
    base.engine.stop();
    Ok(())
}
