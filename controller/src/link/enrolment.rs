//! Enrolment: a host with a join token becomes known, and gets its first certificate.
//!
//! Everything is checked before the token is spent: a host that sends a bad request may mend it and
//! try again with the same token.

use std::time::Duration;

use quinn::Connection;
use tenure_protocol::wire::{
    frame::Kind,
    v1::{EnrolAnswer, EnrolRequest},
};
use tokio::time::timeout;

use super::{
    Link,
    authority::{AuthorityError, HostRequest},
    session,
    sessions::Closing,
    stream::{self, StreamError},
};
use crate::engine::EngineError;

/// How long an enrolment may take in all.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum EnrolmentError {
    #[error("the connection ended")]
    Connection(#[from] quinn::ConnectionError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error("cannot make the host known")]
    Engine(#[from] EngineError),
    #[error("cannot issue the host's certificate")]
    Issue(#[from] AuthorityError),
}

/// Serves a connection of the enrolment port to its end: one request, one answer.
pub(super) async fn serve(link: &Link, connection: Connection) {
    let remote = connection.remote_address();
    match timeout(LIMIT, enrol(link, &connection)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%remote, error, "an enrolment broke off");
        }
        Err(_) => tracing::warn!(%remote, "an enrolment took too long"),
    }
    Closing::Enrolled.close(&connection);
}

async fn enrol(link: &Link, connection: &Connection) -> Result<(), EnrolmentError> {
    let (mut send, mut recv) = connection.accept_bi().await?;
    let frame = stream::read(&mut recv).await?;
    let answer = match frame.decode::<EnrolRequest>(Kind::EnrolRequest) {
        Ok(request) => decide(link, connection, request).await?,
        Err(error) => refused("bad-request", &error.to_string()),
    };
    if let EnrolAnswer::Refused { code, message } = &answer {
        let remote = connection.remote_address();
        tracing::warn!(%remote, code, message, "refused an enrolment");
    }
    stream::write(&mut send, Kind::EnrolAnswer, &answer).await?;
    // Waits until the host has the answer; closing at once could overtake it.
    let _ = send.finish();
    let _ = send.stopped().await;
    Ok(())
}

async fn decide(
    link: &Link,
    connection: &Connection,
    request: EnrolRequest,
) -> Result<EnrolAnswer, EnrolmentError> {
    let csr = match HostRequest::parse(&request.csr) {
        Ok(csr) => csr,
        Err(error) => return Ok(refused("bad-request", &error.to_string())),
    };
    if !session::signed(connection, &request.host_key, &request.csr, &request.signature) {
        let message = "the request is not signed by the host key in this session";
        return Ok(refused("bad-signature", message));
    }
    let redeemed = link
        .engine
        .redeem_join_token(request.secret, request.host_name.clone(), request.host_key)
        .await;
    let host = match redeemed {
        Ok(host) => host,
        Err(EngineError::Refused(refusal)) => {
            return Ok(refused(refusal.code.as_str(), &refusal.sentence));
        }
        Err(EngineError::Invalid(sentence)) => return Ok(refused("join-token", &sentence)),
        Err(error) => return Err(error.into()),
    };
    let chain = link.authority.issue_host(host, &csr, link.clock.now())?;
    tracing::info!(%host, name = request.host_name, "enrolled a host");
    Ok(EnrolAnswer::Accepted { host, chain })
}

fn refused(code: &str, message: &str) -> EnrolAnswer {
    EnrolAnswer::Refused { code: code.to_owned(), message: message.to_owned() }
}
