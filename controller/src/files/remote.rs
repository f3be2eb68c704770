//! Files in an S3-compatible object store.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt as _;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStoreExt as _, RetryConfig,
    aws::AmazonS3Builder, prefix::PrefixStore,
};
use serde::Deserialize;
use tenure_protocol::time::Timestamp;
use zeroize::Zeroizing;

use super::{Files, FilesError, INCOMING, Result, failed};

/// Bytes that a file with a key may have.
const MAX_KEY_BYTES: u64 = 4 * 1024;
/// How long a request to the store may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How long a request is tried again when the store fails.
const RETRY_LIMIT: Duration = Duration::from_secs(30);
/// Tries of one request.
const RETRIES: usize = 3;
/// Uploads older than this are leftovers of a run that was killed.
const LEFTOVER_MS: i64 = 24 * 60 * 60 * 1000;

/// An S3-compatible store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// `https://host:port` of the store.
    pub endpoint: String,
    /// The bucket; it exists.
    pub bucket: String,
    /// Where in the bucket; nowhere else is looked or written.
    #[serde(default)]
    pub prefix: String,
    /// The region in signatures; stores of one region take any.
    #[serde(default = "region")]
    pub region: String,
    /// File with the access key's name on the first line and the secret on the second, mode 0600.
    pub key_file: PathBuf,
    /// PEM file of authorities to trust instead of the system's.
    pub authorities: Option<PathBuf>,
    /// Whether plain HTTP is allowed: for trials on one machine.
    #[serde(default)]
    pub plain_http: bool,
}

fn region() -> String {
    "us-east-1".to_owned()
}

impl Files {
    /// Files in a bucket. Sends nothing yet.
    ///
    /// # Errors
    /// [`FilesError::Key`], [`FilesError::Open`].
    pub fn s3(settings: &S3) -> Result<Self> {
        let (name, secret) = key(&settings.key_file)?;
        let mut options =
            ClientOptions::new().with_timeout(REQUEST_LIMIT).with_allow_http(settings.plain_http);
        if let Some(path) = &settings.authorities {
            let wrong = |reason: String| FilesError::Key { path: path.clone(), reason };
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let roots = Certificate::from_pem_bundle(&pem).map_err(FilesError::Open)?;
            if roots.is_empty() {
                return Err(wrong("no certificate is in it".to_owned()));
            }
            for root in roots {
                options = options.with_root_certificate(root);
            }
        }
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: RETRY_LIMIT,
        };
        let store = AmazonS3Builder::new()
            .with_endpoint(settings.endpoint.trim_end_matches('/'))
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(name.as_str())
            .with_secret_access_key(secret.as_str())
            .with_client_options(options)
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .build()
            .map_err(FilesError::Open)?;
        Ok(Self::new(PrefixStore::new(store, settings.prefix.as_str())))
    }

    /// Removes uploads that broke off more than a day ago; other controllers may be at younger
    /// ones. `now` is real time.
    ///
    /// # Errors
    /// [`FilesError::Store`].
    pub async fn sweep(&self, now: Timestamp) -> Result<()> {
        let incoming = object_store::path::Path::from(INCOMING);
        let mut listed = self.store.list(Some(&incoming));
        while let Some(found) = listed.next().await {
            let found = found.map_err(failed("list leftovers"))?;
            // A store that lists too much must not cost a file.
            if !found.location.prefix_matches(&incoming) {
                continue;
            }
            let age_ms = now.unix_ms() - found.last_modified.timestamp_millis();
            if age_ms > LEFTOVER_MS {
                self.store.delete(&found.location).await.map_err(failed("remove a leftover"))?;
            }
        }
        Ok(())
    }
}

/// Name and secret of an access key.
fn key(path: &Path) -> Result<(Zeroizing<String>, Zeroizing<String>)> {
    let wrong = |reason: &str| FilesError::Key { path: path.to_owned(), reason: reason.to_owned() };
    let read = |error: std::io::Error| wrong(&error.to_string());
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read it: chmod 600 it"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(read)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(name), Some(secret), None) => {
            Ok((Zeroizing::new(name.to_owned()), Zeroizing::new(secret.to_owned())))
        }
        _ => Err(wrong("give the key's name on its first line and the secret on its second")),
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
