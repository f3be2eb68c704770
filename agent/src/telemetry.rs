//! Logs, on standard error. The journal is the audit record; the log is not.

use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::config::LogFormat;

/// A log filter that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`log = {filter:?}` is no filter: give one such as \"info\"")]
pub struct TelemetryFailure {
    filter: String,
    #[source]
    source: ParseError,
}

/// Starts logging. A second call in one process changes nothing.
///
/// # Errors
/// [`TelemetryFailure`].
pub fn start(filter: &str, format: LogFormat) -> Result<(), TelemetryFailure> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| TelemetryFailure { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
