//! Typed identifiers. All are UUIDs (RFC 9562, version 7), made by the controller or by a host;
//! this crate makes none, since it has no clock and no randomness.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind} id: give a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct ParseIdError {
    kind: &'static str,
    text: String,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }

            /// The last 8 hexadecimal digits: random in version 7, for names of limited length.
            #[must_use]
            pub fn short(&self) -> String {
                let text = self.0.simple().to_string();
                text[24..].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}:{}", $kind, self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| {
                    let text = text.chars().take(64).collect();
                    ParseIdError { kind: $kind, text }
                })
            }
        }
    };
}

typed_id!(
    /// The isolated set of resources granted on one application; the subject of the lifecycle.
    TenantId, "tenant"
);
typed_id!(
    /// A hypervisor host with its agent.
    HostId, "host"
);
typed_id!(
    /// A virtual machine of a tenant.
    InstanceId, "instance"
);
typed_id!(
    /// A block volume of an instance.
    VolumeId, "volume"
);
typed_id!(
    /// An order of the controller to one host.
    OrderId, "order"
);
typed_id!(
    /// A record that the parties put on paper.
    RecordId, "record"
);
typed_id!(
    /// One notice to one contact over one channel.
    NoticeId, "notice"
);
typed_id!(
    /// One cut of a tenant's network, from order to restore.
    CutId, "cut"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints_and_refuses_other_text() {
        let id = TenantId::from_uuid(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short(), "099a8057");
        let error = "nonsense".parse::<TenantId>().expect_err("not a UUID");
        assert!(error.to_string().contains("not a tenant id"));
    }
}
