//! `tenurectl account`: people's accounts.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    api::Api,
    failure::Failure,
    screen::{Column, Screen, column},
    token::{Role, SecretFile, hand_over, plain_name},
};

/// Member of answers that carries the initial password.
const INITIAL: &str = "initial_password";

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountVerb {
    /// Make an account for a person; its initial password is shown this once, and works for 7 days,
    /// once a second person has confirmed the account
    Create {
        /// The person's name; separation of duties goes by it
        #[arg(value_parser = plain_name)]
        name: String,
        /// What the person may do
        #[arg(long, value_enum)]
        role: Role,
        /// The organisation that it belongs to
        #[arg(long, value_name = "NAME", required_if_eq("role", "customer"))]
        customer: Option<String>,
        /// Write the initial password to this new file, mode 0600, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// All accounts
    List,
    /// Confirm an account that another person made, reset or linked: it opens nothing before that
    Confirm {
        /// The person's name
        #[arg(value_parser = plain_name)]
        name: String,
    },
    /// End an account, its sessions and its person's tokens at once
    Disable {
        /// The person's name
        #[arg(value_parser = plain_name)]
        name: String,
    },
    /// Let an identity at an OpenID provider open an account; a second person confirms it
    Link {
        /// The person's name
        #[arg(value_parser = plain_name)]
        name: String,
        /// The provider's name in the controller's configuration
        #[arg(long, value_name = "NAME", value_parser = plain_name)]
        provider: String,
        /// The person's `sub` there; it is told to whoever signs in there and is not linked yet
        #[arg(long, value_name = "SUB")]
        subject: String,
    },
    /// Unlink an account's identity at an OpenID provider, and end the account's sessions
    Unlink {
        /// The person's name
        #[arg(value_parser = plain_name)]
        name: String,
        /// The provider's name in the controller's configuration
        #[arg(long, value_name = "NAME", value_parser = plain_name)]
        provider: String,
    },
    /// Give an account a new initial password, no second factor and no identity; a second person
    /// confirms it
    Reset {
        /// The person's name
        #[arg(value_parser = plain_name)]
        name: String,
        /// Write the initial password to this new file, mode 0600, instead of stdout
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

const ACCOUNTS: &[Column] = &[
    column("NAME", &["/name"]),
    column("ROLE", &["/role"]),
    column("CUSTOMER", &["/customer"]),
    column("STANDING", &["/standing"]),
    column("CONFIRMED BY", &["/confirmed_by"]),
    column("SECOND FACTOR", &["/second_factor"]),
    column("INITIAL", &["/initial"]),
    column("IDENTITIES", &["/identities"]),
    column("CAME IN", &["/entered_at"]),
];

/// Runs it.
pub(crate) fn run(verb: AccountVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        AccountVerb::Create { name, role, customer, out } => {
            let mut body = json!({ "name": name, "role": role.as_str() });
            if let Some(customer) = customer {
                body["customer"] = Value::String(customer);
            }
            let file = out.as_deref().map(SecretFile::create).transpose()?;
            hand_over(&api.post("/v1/accounts", &body)?, INITIAL, file, screen)
        }
        AccountVerb::List => screen.many(&api.list("/v1/accounts")?, ACCOUNTS),
        AccountVerb::Confirm { name } => {
            let answer = api.post(&format!("/v1/accounts/{name}/confirm"), &json!({}))?;
            screen.say(&screen.fill("{} is confirmed", &[&name]), &answer)
        }
        AccountVerb::Disable { name } => {
            let answer = api.post(&format!("/v1/accounts/{name}/disable"), &json!({}))?;
            screen.say(&format!("{name} is disabled; its sessions and tokens have ended"), &answer)
        }
        AccountVerb::Link { name, provider, subject } => {
            let body = json!({ "provider": provider, "subject": subject });
            let answer = api.post(&format!("/v1/accounts/{name}/identities"), &body)?;
            screen.say(
                &format!("{subject} of {provider} opens {name}'s account, once that is confirmed"),
                &answer,
            )
        }
        AccountVerb::Unlink { name, provider } => {
            let answer = api.delete(&format!("/v1/accounts/{name}/identities/{provider}"))?;
            screen.say(&format!("no identity of {provider} opens {name}'s account"), &answer)
        }
        AccountVerb::Reset { name, out } => {
            let file = out.as_deref().map(SecretFile::create).transpose()?;
            let answer = api.post(&format!("/v1/accounts/{name}/reset"), &json!({}))?;
            hand_over(&answer, INITIAL, file, screen)
        }
    }
}
