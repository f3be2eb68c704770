//! What hosts do for a controller that is silent: `[fallback]`, and the routes of `[mail]` and
//! `[webhook]`, which go to them with each emergency cut.

use std::ops::RangeInclusive;

use serde::Deserialize;
use tenure_delivery::mail::{MailTls, MailWay};
use tenure_protocol::{
    ladder::FALLBACK_AFTER_S,
    wire::watch::{MailHandover, MailSecurity, MailServer, Routes, WebhookRules},
};

use super::{Config, ConfigError};
use crate::core::watch::Watching;

/// Seconds that a site may choose. Sooner, hosts would speak beside a controller that is only slow;
/// later, too little would be left of the 300 s of clause 6.3.
const AFTER_S: RangeInclusive<u64> = 10..=240;

/// When hosts speak for the controller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fallback {
    /// Seconds after an emergency cut, 10 to 240.
    pub after_s: u64,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { after_s: FALLBACK_AFTER_S.unsigned_abs() }
    }
}

impl Config {
    /// What hosts do for a controller that is silent.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn watching(&self) -> Result<Watching, ConfigError> {
        let after_s = self.fallback.after_s;
        if !AFTER_S.contains(&after_s) {
            let (least, most) = AFTER_S.into_inner();
            let reason = format!("{after_s} is not between {least} and {most}");
            return Err(self.wrong("fallback.after_s", reason));
        }
        let mail = self.mail_route()?.map(|route| MailHandover {
            to: match route.way {
                MailWay::Server { host, port } => MailServer::Site { host, port },
                MailWay::Exchanges(own) => {
                    MailServer::Recipients { resolver: own.resolver, port: own.port }
                }
            },
            from: route.from.to_string(),
            tls: match route.tls {
                MailTls::Off => MailSecurity::Off,
                MailTls::Optional => MailSecurity::Optional,
                MailTls::Required => MailSecurity::Required,
            },
            grade: route.grade,
            domains: route.domains,
        });
        let policy = self.webhook.policy();
        let webhook = WebhookRules {
            private: policy.private,
            loopback: policy.loopback,
            plain_http: policy.plain_http,
            authorities: self.webhook.roots()?,
        };
        Ok(Watching { fallback_after_ms: after_s * 1000, routes: Routes { mail, webhook } })
    }
}
