//! Carries notices for tenure-hostd, whether the link is up or not: the controller's silence is
//! what they are for. Each comes when it is due, with the routes and the secret that it needs, is
//! tried once, and is forgotten with its answer; nothing of it is written down here.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tenure_delivery::{
    Answer, Courier, Parcel, TRY_LIMIT,
    mail::{MailChannel, MailRoute, MailTls, MailWay, exchange::Exchanges},
    webhook::WebhookChannel,
};
use tenure_protocol::{
    channel::{Channel, destination::DestinationPolicy},
    wire::watch::{Destination, MailHandover, MailSecurity, MailServer, Routes},
};
use tokio::sync::mpsc;

use super::{
    local::{self, LocalFailure},
    stream,
};
use crate::{
    clock,
    engine::watch::{Carried, Errand, MAX_ERRANDS},
    socket,
};

/// How long after an end tenure-hostd is dialled again.
const AGAIN: Duration = Duration::from_secs(1);

/// Carries notices, for ever.
pub async fn run(path: PathBuf) {
    loop {
        if let Err(error) = once(&path).await {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "no notices are carried for now");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn once(path: &Path) -> Result<(), LocalFailure> {
    let (mut errands, mut answers) = local::courier(path).await?.into_split();
    let (done, mut carried) = mpsc::channel::<Carried>(MAX_ERRANDS);
    let inward = async {
        loop {
            let errand = socket::errand_of(&stream::read(&mut errands).await?)?;
            let done = done.clone();
            tokio::spawn(async move {
                // Nobody waits any more: it will be asked for again.
                let _ = done.send(carry(errand).await).await;
            });
        }
    };
    let outward = async {
        while let Some(carried) = carried.recv().await {
            stream::write(&mut answers, &socket::carried_frame(&carried)?).await?;
        }
        Ok(())
    };
    tokio::select! {
        end = inward => end,
        end = outward => end,
    }
}

async fn carry(errand: Errand) -> Carried {
    let Errand { ticket, routes, notice } = errand;
    let answer = match courier(routes) {
        Ok(courier) => {
            let channel = match notice.to {
                Destination::Mail { address } => Channel::Mail { address },
                Destination::Webhook { url, secret } => Channel::Webhook { url, secret },
            };
            let parcel = Parcel {
                id: notice.id.to_string(),
                channel,
                subject: notice.subject,
                body: notice.body,
                payload: notice.payload,
                urgent: true,
                at: clock::now(),
                receipt: None,
            };
            courier.carry(parcel).await
        }
        Err(evidence) => Some(Answer::Failed { evidence }),
    };
    match answer {
        Some(Answer::Accepted { grade, evidence }) => {
            Carried { ticket, grade: Some(grade), evidence }
        }
        Some(Answer::Failed { evidence }) => Carried { ticket, grade: None, evidence },
        None => Carried { ticket, grade: None, evidence: "no place to send it from".to_owned() },
    }
}

/// A courier by a packet's routes; else why there is none.
fn courier(routes: Routes) -> Result<Courier, String> {
    let rules = routes.webhook;
    let policy = DestinationPolicy {
        private: rules.private,
        loopback: rules.loopback,
        plain_http: rules.plain_http,
    };
    let mail = routes.mail.map(|mail| mail_channel(mail, policy)).transpose()?;
    Ok(Courier::new(mail, WebhookChannel::new(policy, &rules.authorities, TRY_LIMIT)))
}

fn mail_channel(mail: MailHandover, policy: DestinationPolicy) -> Result<MailChannel, String> {
    let MailHandover { to, from, tls, grade, domains } = mail;
    let way = match to {
        MailServer::Site { host, port } => MailWay::Server { host, port },
        MailServer::Recipients { resolver, port } => {
            MailWay::Exchanges(Exchanges { resolver, port, policy })
        }
    };
    let from = from.parse().map_err(|_| format!("{from:?} is no sender of mail"))?;
    let tls = match tls {
        MailSecurity::Off => MailTls::Off,
        MailSecurity::Optional => MailTls::Optional,
        MailSecurity::Required => MailTls::Required,
    };
    let route = MailRoute { way, from, tls, grade, domains };
    MailChannel::new(route).map_err(|error| error.to_string())
}
