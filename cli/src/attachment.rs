//! `tenurectl attachment`: files that acts and records refer to, up and down. Other nouns upload
//! through [`upload`] what they are given as paths.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Subcommand;
use serde_json::{Value, json};
use tenure_protocol::{digest::Digest, id::TenantId};

use crate::{
    api::Api,
    bundle,
    failure::Failure,
    screen::{Column, Screen, cell, column},
};

/// Most bytes of an attachment, as the controller has it.
const MAX_ATTACHMENT_BYTES: u64 = 512 * 1024 * 1024;

/// What can be done with attachments.
#[derive(Debug, Subcommand)]
pub(crate) enum AttachmentVerb {
    /// Upload a file
    Upload {
        /// The tenant's id, or platform
        owner: Owner,
        /// The file
        file: PathBuf,
        /// What it is, such as application/pdf; by the file's name if not given
        #[arg(long, value_name = "TYPE")]
        media_type: Option<String>,
    },
    /// All attachments
    List {
        /// The tenant's id, or platform
        owner: Owner,
    },
    /// Fetch one; the controller checks its digests before it gives it out
    Get {
        /// The tenant's id, or platform
        owner: Owner,
        /// SHA-256 of the file
        digest: Digest,
        /// Where to write it; an existing file is replaced once this one is complete
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Whose attachments and records: a tenant's, or the platform's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A tenant's.
    Tenant(TenantId),
    /// The platform's.
    Platform,
}

impl FromStr for Owner {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "platform" {
            return Ok(Self::Platform);
        }
        text.parse().map(Self::Tenant).map_err(|error| format!("{error}, or platform"))
    }
}

impl Owner {
    /// Path of what belongs to it.
    pub(crate) fn path(self, what: &str) -> String {
        match self {
            Self::Tenant(tenant) => format!("/v1/tenants/{tenant}/{what}"),
            Self::Platform => format!("/v1/platform/{what}"),
        }
    }
}

const ATTACHMENTS: &[Column] = &[
    column("SHA-256", &["/sha256"]),
    column("NAME", &["/name"]),
    column("TYPE", &["/media_type"]),
    column("BYTES", &["/bytes"]),
    column("FILED BY", &["/filed_by"]),
    column("FILED", &["/filed_at"]),
];

/// Runs it.
pub(crate) fn run(verb: AttachmentVerb, api: &Api, screen: &Screen) -> Result<(), Failure> {
    match verb {
        AttachmentVerb::Upload { owner, file, media_type } => {
            let view = send(owner, &file, media_type.as_deref(), api)?;
            let words = format!("{} is filed as {}", file.display(), cell(&view, &["/sha256"]));
            screen.say(&words, &view)
        }
        AttachmentVerb::List { owner } => {
            screen.many(&api.list(&owner.path("attachments"))?, ATTACHMENTS)
        }
        AttachmentVerb::Get { owner, digest, out } => {
            let path = owner.path(&format!("attachments/{digest}"));
            let bytes = bundle::save(api, &mut api.fetch(&path)?, &out)?;
            let sentence = format!("{}: {bytes} bytes", out.display());
            screen.say(&sentence, &json!({ "file": out.to_string_lossy(), "bytes": bytes }))
        }
    }
}

/// Uploads a file and returns the document that acts refer to: its name and digest.
pub(crate) fn upload(owner: Owner, path: &Path, api: &Api) -> Result<Value, Failure> {
    let view = send(owner, path, None, api)?;
    Ok(json!({ "title": title(path), "sha256": view["sha256"] }))
}

fn send(owner: Owner, path: &Path, media: Option<&str>, api: &Api) -> Result<Value, Failure> {
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let bytes = metadata.len();
    if !metadata.is_file() || bytes == 0 || bytes > MAX_ATTACHMENT_BYTES {
        return Err(Failure::Usage(format!(
            "{} is no file of 1 to {MAX_ATTACHMENT_BYTES} bytes",
            path.display()
        )));
    }
    let place = format!("{}?name={}", owner.path("attachments"), encode(&title(path)));
    api.upload(&place, media.unwrap_or_else(|| media_type(path)), file)
}

fn title(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// By the name alone.
fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_deref().and_then(|extension| extension.to_str()) {
        Some("pdf") => "application/pdf",
        Some("ofd") => "application/ofd",
        Some("docx") => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        Some("zip") => "application/zip",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

/// Percent-encodes all but RFC 3986's unreserved letters.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_into_the_query_whole() {
        assert_eq!(encode("a b&c=报.pdf"), "a%20b%26c%3D%E6%8A%A5.pdf");
    }

    #[test]
    fn an_owner_is_a_tenant_or_the_platform() {
        assert_eq!("platform".parse(), Ok(Owner::Platform));
        assert!("plattform".parse::<Owner>().unwrap_err().contains("or platform"));
    }

    #[test]
    fn the_type_follows_the_name() {
        assert_eq!(media_type(Path::new("a/B.PDF")), "application/pdf");
        assert_eq!(media_type(Path::new("a")), "application/octet-stream");
    }
}
