//! The secrets of contacts' channels are sealed as they come in, and opened as a notice goes out:
//! in between, in the database, the journal and every tenant and notice that is looked at, there is
//! nothing but what the seal made of them. The key is the state directory's, not the database's.
//!
//! A webhook's secret opens for its URL alone, and a bot's for its URL: who can write the database
//! cannot have a message signed for somewhere else.

use tenure_protocol::channel::{Channel, Secret};

use super::{Engine, EngineError};
use crate::{
    core::{
        lifecycle::{Event, Provider},
        refusal::{Code, Fault, Refusal},
        tenant::{Application, Contact, SecretOf},
    },
    secrets::{Secrets, SecretsError},
    store::{self, Tx},
};

/// By what the settings know the key, and the text that was sealed with it.
const KEY_PROOF: &str = "access_key_proof";
const PROOF: &str = "this database's";

/// Whether the key is the one that this database was begun with, before anything needs it.
pub(super) async fn know_key(tx: &mut Tx, secrets: &Secrets) -> Result<(), EngineError> {
    match store::meta(tx, KEY_PROOF).await? {
        Some(sealed) => {
            secrets.open_text(KEY_PROOF, &sealed).map_err(EngineError::Secrets)?;
        }
        None => {
            let sealed = secrets.seal_text(KEY_PROOF, PROOF).map_err(EngineError::Secrets)?;
            store::set_meta(tx, KEY_PROOF, &sealed).await?;
        }
    }
    Ok(())
}

/// The provider's contacts with sealed secrets: notices to them are kept, too.
pub(super) fn sealed_provider(
    mut provider: Provider,
    secrets: &Secrets,
) -> Result<Provider, EngineError> {
    for contact in provider.contacts.iter_mut().chain(&mut provider.second) {
        seal(contact, secrets).map_err(EngineError::Secrets)?;
    }
    Ok(provider)
}

impl Engine {
    /// What a person hands in, with sealed secrets.
    pub(super) fn sealed(&self, application: Application) -> Result<Application, EngineError> {
        let contacts = self.sealed_contacts(application.contacts)?;
        Ok(Application { contacts, ..application })
    }

    /// Contacts with sealed secrets. A secret that looks sealed already is no person's to give.
    fn sealed_contacts(&self, mut contacts: Vec<Contact>) -> Result<Vec<Contact>, EngineError> {
        let mut faults = Vec::new();
        for (place, contact) in contacts.iter_mut().enumerate() {
            for (of, _) in contact.secrets_mut().filter(|(_, secret)| secret.seal().is_some()) {
                faults.push(Fault {
                    pointer: format!("/contacts/{place}/{}", of.as_str()),
                    message: "this is not the secret itself: give it as the other side knows it"
                        .to_owned(),
                });
            }
        }
        if !faults.is_empty() {
            return Err(Refusal::faulty(Code::InvalidApplication, faults).into());
        }
        for contact in &mut contacts {
            seal(contact, &self.inner.secrets).map_err(EngineError::Secrets)?;
        }
        Ok(contacts)
    }

    /// An event of a person, with sealed secrets.
    pub(super) fn sealed_event(&self, event: Event) -> Result<Event, EngineError> {
        Ok(match event {
            Event::Submit { application } => {
                Event::Submit { application: self.sealed(application)? }
            }
            Event::SaveDraft { application } => {
                Event::SaveDraft { application: self.sealed(application)? }
            }
            Event::SetContacts { contacts } => {
                Event::SetContacts { contacts: self.sealed_contacts(contacts)? }
            }
            other => other,
        })
    }

    /// An application as it was handed in, for checks of the whole; not to be kept or shown.
    ///
    /// # Errors
    /// [`EngineError::Secrets`].
    pub fn opened(&self, application: &Application) -> Result<Application, EngineError> {
        let mut copy = application.clone();
        for contact in &mut copy.contacts {
            open(contact, &self.inner.secrets).map_err(EngineError::Secrets)?;
        }
        Ok(copy)
    }

    /// A notice's channel with its secrets, to send by it; not to be kept or shown.
    ///
    /// # Errors
    /// [`EngineError::Secrets`].
    pub fn opened_channel(&self, channel: Channel) -> Result<Channel, EngineError> {
        let secrets = &self.inner.secrets;
        let failed = EngineError::Secrets;
        Ok(match channel {
            Channel::Webhook { url, secret } => {
                let secret = opened(SecretOf::Webhook, &url, &secret, secrets).map_err(failed)?;
                Channel::Webhook { url, secret }
            }
            Channel::Bot { kind, url, secret } => {
                let url = opened(SecretOf::BotUrl, kind.as_str(), &url, secrets).map_err(failed)?;
                let secret =
                    opened(SecretOf::BotSecret, url.reveal(), &secret, secrets).map_err(failed)?;
                Channel::Bot { kind, url, secret }
            }
            Channel::Mail { .. } | Channel::Sms { .. } => channel,
        })
    }
}

fn seal(contact: &mut Contact, secrets: &Secrets) -> Result<(), SecretsError> {
    if let Some(webhook) = &mut contact.webhook {
        webhook.secret = sealed(SecretOf::Webhook, &webhook.url, &webhook.secret, secrets)?;
    }
    if let Some(bot) = &mut contact.bot {
        bot.secret = sealed(SecretOf::BotSecret, bot.url.reveal(), &bot.secret, secrets)?;
        bot.url = sealed(SecretOf::BotUrl, bot.kind.as_str(), &bot.url, secrets)?;
    }
    Ok(())
}

fn open(contact: &mut Contact, secrets: &Secrets) -> Result<(), SecretsError> {
    if let Some(webhook) = &mut contact.webhook {
        webhook.secret = opened(SecretOf::Webhook, &webhook.url, &webhook.secret, secrets)?;
    }
    if let Some(bot) = &mut contact.bot {
        bot.url = opened(SecretOf::BotUrl, bot.kind.as_str(), &bot.url, secrets)?;
        bot.secret = opened(SecretOf::BotSecret, bot.url.reveal(), &bot.secret, secrets)?;
    }
    Ok(())
}

fn sealed(
    of: SecretOf,
    belongs_to: &str,
    secret: &Secret,
    secrets: &Secrets,
) -> Result<Secret, SecretsError> {
    if secret.is_empty() {
        return Ok(secret.clone());
    }
    let text = secrets.seal_text(&about(of, belongs_to), secret.reveal())?;
    Ok(Secret::sealed(&text))
}

/// One from before secrets were sealed is plain still.
fn opened(
    of: SecretOf,
    belongs_to: &str,
    secret: &Secret,
    secrets: &Secrets,
) -> Result<Secret, SecretsError> {
    let Some(text) = secret.seal() else { return Ok(secret.clone()) };
    let text = secrets.open_text(&about(of, belongs_to), text)?;
    Ok(Secret::new(text.as_str()))
}

fn about(of: SecretOf, belongs_to: &str) -> String {
    format!("{} {belongs_to}", of.as_str())
}
