//! Short messages by SMPP 3.4 over TCP: one session to the operator's message centre, bound as a
//! transceiver, made again whenever it ends. SMPP has no encryption of its own: the line to the
//! message centre has to be one (a private line, a tunnel).
//!
//! Its answer to `submit_sm` proves that the message centre took the message (E1). Receipts come in
//! `deliver_sm`, which is acknowledged once the receipt is durable, and is to come again otherwise.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt as _};
use rusmpp::{
    CommandStatus, Pdu,
    pdus::{BindTransceiver, DeliverSm, DeliverSmResp, SubmitSm},
    tlvs::TlvValue,
    types::{COctetString, OctetString},
    values::{DataCoding, EsmClass, InterfaceVersion, Npi, RegisteredDelivery, Ton},
};
use rusmppc::{Client, ConnectionBuilder, Event};
use tenure_protocol::channel::{Grade, Secret};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    time::{sleep, timeout},
};

use super::{Numbers, ShortMessage, Tidings, Told, tell, text};
use crate::Answer;

/// How long the connecting, and the binding, may take.
const BIND_LIMIT: Duration = Duration::from_secs(5);
/// Between two tries to bind: short, for a notice waits no longer than its ladder.
const REBIND: Duration = Duration::from_secs(3);
/// A try waits so long for a session that is not there yet.
const SESSION_LIMIT: Duration = Duration::from_secs(4);
/// The message centre's answer to one request.
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);
/// Between two questions whether it is still there; it has as long as [`RESPONSE_LIMIT`] to answer.
const ENQUIRE: Duration = Duration::from_secs(20);
/// Most bytes of a command that comes in.
const COMMAND_BYTES: usize = 4096;
/// What is told has to be durable within this time.
const KEEP_LIMIT: Duration = Duration::from_secs(3);
/// A receipt may come before its message's id is kept: it is told again after these times.
const AGAIN: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1500)];
/// Receipts at once; more of them wait for their acknowledgement.
const RECEIPTS: usize = 64;
/// Characters of a receipt that are kept.
const MAX_EVIDENCE: usize = 300;
/// `esm_class` of a message whose data begin with a header, and the bits and the value that make a
/// `deliver_sm` a receipt (SMPP 3.4, 5.2.12).
const WITH_HEADER: u8 = 0x40;
const KIND: u8 = 0x3c;
const RECEIPT: u8 = 0x04;
/// `data_coding` of UCS-2 (5.2.19), and `registered_delivery` that asks for a receipt, whatever
/// becomes of the message (5.2.17).
const UCS2: u8 = 8;
const WITH_RECEIPT: u8 = 1;

/// To which message centre, and as whom.
#[derive(Debug, Clone)]
pub struct SmppSettings {
    /// `host:port` of the message centre.
    pub address: String,
    /// Account: 15 characters at most.
    pub system_id: String,
    /// Its password: 8 characters at most.
    pub password: Secret,
    /// What kind of system it is: empty unless the operator asks for it.
    pub system_type: String,
    /// The sender that people see: a number, 20 characters at most.
    pub source: String,
    /// Type of that number, and of its plan (5.2.5, 5.2.6).
    pub source_ton: u8,
    /// See there.
    pub source_npi: u8,
    /// How the receivers' numbers are written.
    pub numbers: Numbers,
}

/// Settings that no message centre would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is too long for SMPP, or not ASCII")]
pub struct SmppError(&'static str);

/// A session, or why there is none.
type Session = Result<Client, String>;

/// Sends short messages over one session.
#[derive(Debug, Clone)]
pub struct SmppChannel {
    settings: Arc<SmppSettings>,
    session: watch::Receiver<Session>,
    reference: Arc<AtomicU8>,
    keeper: mpsc::Sender<Told>,
}

impl SmppChannel {
    /// Begins to bind, in the background of the present runtime, and goes on until the last clone
    /// is dropped. `keeper` keeps the messages' ids and takes receipts.
    ///
    /// # Errors
    /// [`SmppError`].
    pub fn start(settings: SmppSettings, keeper: mpsc::Sender<Told>) -> Result<Self, SmppError> {
        bind(&settings)?;
        sender(&settings)?;
        let settings = Arc::new(settings);
        let (bound, session) = watch::channel(Err("not bound yet".to_owned()));
        tokio::spawn(keep_bound(settings.clone(), bound, keeper.clone()));
        Ok(Self { settings, session, reference: Arc::default(), keeper })
    }

    /// One try, within `limit` from the first part to the last answer.
    pub async fn send(&self, message: &ShortMessage, limit: Duration) -> Answer {
        let address = &self.settings.address;
        let sent = timeout(limit, self.submit(message)).await;
        let failed =
            |evidence: String| Answer::Failed { evidence: format!("{address}: {evidence}") };
        let messages = match sent {
            Ok(Ok(messages)) => messages,
            Ok(Err(evidence)) => return failed(evidence),
            Err(_) => return failed(format!("no end within {} s", limit.as_secs())),
        };
        let evidence = format!("{address}: submit_sm_resp, message id {}", messages.join(", "));
        let sent = Tidings::Sent { notice: message.id.clone(), messages };
        if !tell(&self.keeper, sent, KEEP_LIMIT).await {
            let notice = &message.id;
            tracing::error!(notice, "a short message's id is not kept: its receipt will not count");
        }
        Answer::Accepted { grade: Grade::E1, evidence }
    }

    async fn submit(&self, message: &ShortMessage) -> Result<Vec<String>, String> {
        let client = self.session().await?;
        let (to, international) = self.settings.numbers.write(&message.to);
        let parts = text::parts(&message.text, self.reference.fetch_add(1, Ordering::Relaxed));
        let total = parts.len();
        let mut messages = Vec::new();
        for (place, part) in parts.into_iter().enumerate() {
            let wrong = |error: SmppError| error.to_string();
            let submit = SubmitSm::builder()
                .source_addr_ton(Ton::from(self.settings.source_ton))
                .source_addr_npi(Npi::from(self.settings.source_npi))
                .source_addr(sender(&self.settings).map_err(wrong)?)
                .dest_addr_ton(if international { Ton::International } else { Ton::Unknown })
                .dest_addr_npi(if international { Npi::Isdn } else { Npi::Unknown })
                .destination_addr(octets("the number", to).map_err(wrong)?)
                .esm_class(EsmClass::from(if part.header { WITH_HEADER } else { 0 }))
                .registered_delivery(RegisteredDelivery::from(WITH_RECEIPT))
                .data_coding(DataCoding::from(UCS2))
                .short_message(OctetString::from_vec(part.data).map_err(|error| error.to_string())?)
                .build();
            let taken = client.submit_sm(submit).await;
            let taken = taken
                .map_err(|error| format!("part {} of {total}: {}", place + 1, words(error)))?;
            messages.push(taken.message_id().as_str().to_owned());
        }
        Ok(messages)
    }

    async fn session(&self) -> Result<Client, String> {
        let mut session = self.session.clone();
        let bound = timeout(SESSION_LIMIT, session.wait_for(Result::is_ok)).await;
        match bound {
            Ok(Ok(session)) => session.clone(),
            Ok(Err(_)) | Err(_) => self.session.borrow().clone().and(Err("not bound".to_owned())),
        }
    }
}

/// Binds, serves the session until it ends, and begins anew.
async fn keep_bound(
    settings: Arc<SmppSettings>,
    session: watch::Sender<Session>,
    keeper: mpsc::Sender<Told>,
) {
    let address = &settings.address;
    let serving = async {
        loop {
            let reason = match connect(&settings).await {
                Ok((client, events)) => {
                    tracing::info!(address, "bound to the message centre");
                    let _ = session.send_replace(Ok(client.clone()));
                    let reason = serve(&client, events, &keeper).await;
                    let _ = client.close().await;
                    reason
                }
                Err(reason) => reason,
            };
            tracing::warn!(address, reason, "no session with the message centre; again soon");
            let _ = session.send_replace(Err(format!("not bound: {reason}")));
            sleep(REBIND).await;
        }
    };
    tokio::select! {
        () = serving => {}
        () = session.closed() => {}
    }
}

async fn connect(
    settings: &SmppSettings,
) -> Result<(Client, impl Stream<Item = Event> + Unpin + 'static), String> {
    let limit = || format!("no answer within {} s", BIND_LIMIT.as_secs());
    let stream = timeout(BIND_LIMIT, TcpStream::connect(&settings.address));
    let stream = stream.await.map_err(|_| limit())?.map_err(|error| error.to_string())?;
    let (client, events) = ConnectionBuilder::new()
        .max_command_length(COMMAND_BYTES)
        .enquire_link_interval(ENQUIRE)
        .enquire_link_response_timeout(RESPONSE_LIMIT)
        .response_timeout(RESPONSE_LIMIT)
        // The crate speaks 5.0, of which 3.4 is what is used here.
        .disable_interface_version_check()
        .connected(stream);
    let bind = bind(settings).map_err(|error| error.to_string())?;
    let bound = timeout(BIND_LIMIT, client.bind_transceiver(bind)).await.map_err(|_| limit())?;
    bound.map_err(words)?;
    Ok((client, events))
}

fn bind(settings: &SmppSettings) -> Result<BindTransceiver, SmppError> {
    Ok(BindTransceiver::builder()
        .system_id(octets("system_id", &settings.system_id)?)
        .password(octets("the password", settings.password.reveal())?)
        .system_type(octets("system_type", &settings.system_type)?)
        .interface_version(InterfaceVersion::Smpp3_4)
        .build())
}

fn sender(settings: &SmppSettings) -> Result<COctetString<1, 21>, SmppError> {
    octets("source", &settings.source)
}

fn octets<const MIN: usize, const MAX: usize>(
    what: &'static str,
    text: &str,
) -> Result<COctetString<MIN, MAX>, SmppError> {
    text.parse().map_err(|_| SmppError(what))
}

/// Serves a session, and says why it ended.
async fn serve(
    client: &Client,
    mut events: impl Stream<Item = Event> + Unpin,
    keeper: &mpsc::Sender<Told>,
) -> String {
    let places = Arc::new(Semaphore::new(RECEIPTS));
    while let Some(event) = events.next().await {
        let command = match event {
            Event::Incoming(command) => command,
            Event::Error(error) => return words(error),
        };
        let sequence = command.sequence_number();
        match command.pdu() {
            Some(Pdu::DeliverSm(message)) => {
                // Who sends faster than receipts are kept is told so at once: nothing queues up.
                let Ok(place) = places.clone().try_acquire_owned() else {
                    let client = client.status(CommandStatus::EsmeRthrottled);
                    let _ = client.deliver_sm_resp(sequence, DeliverSmResp::default()).await;
                    continue;
                };
                let (client, keeper) = (client.clone(), keeper.clone());
                let receipt = receipt(message);
                tokio::spawn(async move {
                    let kept = take_in(receipt, keeper).await;
                    let status =
                        if kept { CommandStatus::EsmeRok } else { CommandStatus::EsmeRxTAppn };
                    let answer = DeliverSmResp::default();
                    let _ = client.status(status).deliver_sm_resp(sequence, answer).await;
                    drop(place);
                });
            }
            Some(Pdu::Unbind) => {
                let _ = client.unbind_resp(sequence).await;
                return "the message centre ended it".to_owned();
            }
            Some(_) | None => {}
        }
    }
    "the connection ended".to_owned()
}

/// Has a receipt kept. Anything else that comes in, as what people write back, is of no use here.
async fn take_in(receipt: Option<Tidings>, keeper: mpsc::Sender<Told>) -> bool {
    let Some(receipt) = receipt else { return true };
    for pause in AGAIN {
        sleep(pause).await;
        if tell(&keeper, receipt.clone(), KEEP_LIMIT).await {
            return true;
        }
    }
    false
}

/// The last word on a message, if this is one: by the optional parameters, or by the text that most
/// message centres write (SMPP 3.4, appendix B).
fn receipt(message: &DeliverSm) -> Option<Tidings> {
    if u8::from(message.esm_class) & KIND != RECEIPT {
        return None;
    }
    let text = String::from_utf8_lossy(message.short_message().as_ref()).into_owned();
    let (mut id, mut state) = (field(&text, "id:"), field(&text, "stat:").map(str::to_owned));
    for value in message.tlvs().iter().filter_map(|tlv| tlv.value()) {
        match value {
            TlvValue::ReceiptedMessageId(given) => id = Some(given.as_str()),
            TlvValue::MessageState(given) => state = Some(format!("{given:?}")),
            _ => {}
        }
    }
    let (id, state) = (id?, state?);
    let delivered = match state.to_ascii_uppercase().as_str() {
        "DELIVRD" | "DELIVERED" => true,
        // On its way: another receipt follows.
        "ENROUTE" | "ACCEPTD" | "ACCEPTED" | "SCHEDULED" => return None,
        _ => false,
    };
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let text: String = text.chars().take(MAX_EVIDENCE).collect();
    let evidence = format!("receipt for message id {id}: {state}; {text}").trim_end().to_owned();
    Some(Tidings::Receipt { message: id.to_owned(), delivered, evidence })
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.split_once(name)?.1.split_whitespace().next()?;
    (!value.is_empty() && value.len() <= 64).then_some(value)
}

/// What went wrong, without the bytes of the command that it went wrong with.
fn words(error: rusmppc::error::Error) -> String {
    match error {
        rusmppc::error::Error::UnexpectedResponse { response } => {
            format!("{:?} with command_status {:?}", response.id(), response.status())
        }
        error => error.to_string(),
    }
}
