//! Logs. The journal is the record of what happened; the log is for whoever runs the controller.

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Never logged, whatever the filter says: the SMPP codec would write whole commands, of which the
/// bind has the account's password, and the others what customers are told.
const NEVER: [&str; 2] = ["rusmpp::codec::encode=off", "rusmpp::codec::decode=off"];

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logs cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("{filter:?} is no log filter: give one such as info or tenure_controller=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Set up already.
    #[error("logs are set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends log lines to standard error, where systemd takes them.
///
/// # Errors
/// [`TelemetryError`].
pub fn start(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let wrong = |source| TelemetryError::Filter { filter: filter.to_owned(), source };
    let mut parsed = EnvFilter::try_new(filter).map_err(wrong)?;
    for never in NEVER {
        parsed = parsed.add_directive(never.parse().map_err(wrong)?);
    }
    let registry = tracing_subscriber::registry().with(parsed);
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        Format::Text => registry.with(layer).try_init(),
        Format::Json => registry.with(layer.json()).try_init(),
    }
    .map_err(TelemetryError::Twice)
}
