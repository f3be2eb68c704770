//! The enrolment port: the first certificate for a join token and the host key's signature, and the
//! next one for that signature alone, if the last has expired while the host was off.

use quinn::Connection;
use tenure_protocol::{
    id::HostId,
    wire::{
        ENROL_EXPORTER_LABEL,
        frame::{Frame, FrameError, Kind},
        v1::{EnrolAnswer, EnrolRequest, RejoinRequest},
    },
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
    timeout(DIAL_LIMIT, exchange(link, base, None)).await.map_err(late)?
}

/// Gets this host's next certificate, if the last has expired, and keeps it.
///
/// # Errors
/// [`LinkFailure`].
pub async fn rejoin(link: &Link, base: &mut Base, host: HostId) -> Result<Identity, LinkFailure> {
    let late = |_| LinkFailure::Late { what: "re-join", limit: DIAL_LIMIT };
    timeout(DIAL_LIMIT, exchange(link, base, Some(host))).await.map_err(late)?
}

async fn exchange(
    link: &Link,
    base: &mut Base,
    known: Option<HostId>,
) -> Result<Identity, LinkFailure> {
    let invitation = &link.invitation;
    let address = resolve(&invitation.enrol_address).await?;
    let endpoint = endpoint(address)?;
    let config = tls::enrolment(&invitation.ca_der)?;
    let connection = endpoint.connect_with(config, address, &invitation.server_name)?.await?;
    let request = Request::new()?;
    let (host_key, signature) = base.sign(exporter(&connection)?, request.csr.clone()).await?;
    let (mut send, mut recv) = connection.open_bi().await?;
    let csr = request.csr.clone();
    let frame = match known {
        Some(host) => Frame::new(Kind::RejoinRequest, &RejoinRequest { host, csr, signature }),
        None => {
            let (secret, host_name) = (invitation.secret, invitation.host_name.clone());
            let message = EnrolRequest { secret, host_name, csr, host_key, signature };
            Frame::new(Kind::EnrolRequest, &message)
        }
    };
    let frame = frame.map_err(|error: FrameError| stream::StreamFailure::from(error))?;
    stream::write(&mut send, &frame).await?;
    let answer = stream::read(&mut recv).await?;
    let answer = answer.decode(Kind::EnrolAnswer).map_err(stream::StreamFailure::from)?;
    connection.close(0_u32.into(), b"enrolled");
    match answer {
        EnrolAnswer::Accepted { host, chain } => {
            let identity = request.complete(chain, &link.state_dir, invitation)?;
            if identity.certificate.host != host || known.is_some_and(|known| known != host) {
                return Err(LinkFailure::Protocol("the certificate names another host"));
            }
            tracing::info!(%host, rejoined = known.is_some(), "enrolled");
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
