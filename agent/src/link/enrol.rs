//! Enrolment: the first certificate, for a join token and the host key's signature.

use quinn::Connection;
use tenure_protocol::wire::{
    ENROL_EXPORTER_LABEL,
    frame::Kind,
    v1::{EnrolAnswer, EnrolRequest},
};
use tokio::time::timeout;

use super::{
    DIAL_LIMIT, Link, LinkFailure, endpoint,
    identity::{Identity, Request},
    local::Base,
    resolve, stream, tls,
};

/// Enrols the host and keeps its certificate.
///
/// # Errors
/// [`LinkFailure`]; the token may be spent then, which the controller's next refusal says.
pub async fn enrol(link: &Link, base: &mut Base) -> Result<Identity, LinkFailure> {
    let late = |_| LinkFailure::Late { what: "enrolment", limit: DIAL_LIMIT };
    timeout(DIAL_LIMIT, exchange(link, base)).await.map_err(late)?
}

async fn exchange(link: &Link, base: &mut Base) -> Result<Identity, LinkFailure> {
    let invitation = &link.invitation;
    let address = resolve(&invitation.enrol_address).await?;
    let endpoint = endpoint(address)?;
    let config = tls::enrolment(&invitation.ca_der)?;
    let connection = endpoint.connect_with(config, address, &invitation.server_name)?.await?;
    let request = Request::new()?;
    let (host_key, signature) = base.sign(exporter(&connection)?, request.csr.clone()).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let message = EnrolRequest {
        secret: invitation.secret,
        host_name: invitation.host_name.clone(),
        csr: request.csr.clone(),
        host_key,
        signature,
    };
    stream::send(&mut send, Kind::EnrolRequest, &message).await?;
    let answer = stream::read(&mut recv).await?;
    let answer = answer.decode(Kind::EnrolAnswer).map_err(stream::StreamFailure::from)?;
    connection.close(0_u32.into(), b"enrolled");
    match answer {
        EnrolAnswer::Accepted { host, chain } => {
            let identity = request.complete(chain, &link.state_dir, invitation)?;
            if identity.certificate.host != host {
                return Err(LinkFailure::Protocol("the certificate names another host"));
            }
            tracing::info!(%host, "enrolled");
            Ok(identity)
        }
        EnrolAnswer::Refused { code, message } => Err(LinkFailure::Refused { code, message }),
    }
}

/// What binds a signature to this TLS session.
///
/// # Errors
/// [`LinkFailure::Exporter`].
pub(super) fn exporter(connection: &Connection) -> Result<[u8; 32], LinkFailure> {
    let mut exporter = [0; 32];
    connection
        .export_keying_material(&mut exporter, ENROL_EXPORTER_LABEL, b"")
        .map_err(|_| LinkFailure::Exporter)?;
    Ok(exporter)
}
