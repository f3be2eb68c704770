use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{RootCertStore, server::WebPkiClientVerifier};
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_unix_ms(1_788_220_800_000);

fn authority() -> Authority {
    let files = create(NOW).expect("an authority");
    Authority::load(&files.root, &files.intermediate, &files.intermediate_key).expect("loads")
}

fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057))
}

fn request(params: &CertificateParams) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    params.serialize_request(&key).expect("a request").der().to_vec()
}

fn verifier(
    authority: &Authority,
) -> std::sync::Arc<dyn rustls::server::danger::ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().clone()).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().expect("a verifier")
}

fn verify(authority: &Authority, chain: &[Vec<u8>], at: Timestamp) -> bool {
    let leaf = CertificateDer::from(chain[0].clone());
    let rest: Vec<_> = chain[1..].iter().map(|der| CertificateDer::from(der.clone())).collect();
    verifier(authority).verify_client_cert(&leaf, &rest, unix_time(at)).is_ok()
}

#[test]
fn a_host_certificate_names_the_host_alone_whatever_the_request_asks_for() {
    let authority = authority();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::DnsName("controller.example".try_into().expect("a name")),
        SanType::URI("spiffe://tenure/host/other".try_into().expect("a URI")),
    ];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = HostRequest::parse(&request(&params)).expect("a request");
    let chain = authority.issue_host(host(), &request, NOW).expect("a chain");
    let identity = HostIdentity::of_certificate(&chain[0]).expect("a host");
    assert_eq!(identity.host, host());
    assert_eq!(identity.not_after, NOW.plus_ms(24 * 60 * 60 * 1000));
    let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
    assert!(!leaf.is_ca());
    let usage = leaf.extended_key_usage().expect("readable").expect("there").value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
}

#[test]
fn a_host_certificate_is_valid_from_a_minute_ago_for_a_day() {
    let authority = authority();
    let request = HostRequest::parse(&request(&CertificateParams::default())).expect("a request");
    let chain = authority.issue_host(host(), &request, NOW).expect("a chain");
    assert!(verify(&authority, &chain, NOW.plus_ms(-59_000)));
    assert!(!verify(&authority, &chain, NOW.plus_ms(-61_000)));
    assert!(verify(&authority, &chain, NOW.plus_ms(86_399_000)));
    assert!(!verify(&authority, &chain, NOW.plus_ms(86_401_000)));
}

#[test]
fn a_server_certificate_cannot_be_used_as_a_hosts_nor_one_of_another_authority() {
    let (ours, theirs) = (authority(), authority());
    let names = ["controller.example".to_owned(), "192.0.2.1".to_owned()];
    let server = ours.issue_server(&names, NOW).expect("a server");
    let chain: Vec<_> = server.chain.iter().map(|der| der.to_vec()).collect();
    assert!(!verify(&ours, &chain, NOW), "server authentication is not client authentication");
    assert!(HostIdentity::of_certificate(&chain[0]).is_err(), "it names no host");
    let request = HostRequest::parse(&request(&CertificateParams::default())).expect("a request");
    let foreign = theirs.issue_host(host(), &request, NOW).expect("a chain");
    assert!(!verify(&ours, &foreign, NOW), "a foreign authority's host is no host of ours");
    assert!(ours.issue_server(&["no name".to_owned()], NOW).is_err());
}

#[test]
fn a_request_that_is_not_signed_by_its_key_is_refused() {
    let mut der = request(&CertificateParams::default());
    let last = der.len() - 1;
    der[last] ^= 1;
    assert!(HostRequest::parse(&der).is_err());
    assert!(HostRequest::parse(b"nonsense").is_err());
    assert!(HostRequest::parse(&vec![0x30; MAX_REQUEST_BYTES + 1]).is_err());
}
