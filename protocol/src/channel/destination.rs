//! Where a notice may be sent. A contact names its own destinations, so each is checked when it is
//! named, and the address behind it again whenever something is sent: a name may come to point
//! inward later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;

use super::BotKind;

/// Bytes that a destination may have.
const MAX_BYTES: usize = 512;
/// Bytes that a webhook's secret may have: Standard Webhooks 1.0 asks for 24 to 64.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes that a bot's secret may have.
const BOT_SECRET_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
/// Digits of a telephone number with its country's code (E.164), without the `+`.
const NUMBER_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// What the site allows besides public addresses over HTTPS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DestinationPolicy {
    /// Private networks (RFC 1918, RFC 6598, RFC 4193), which government networks use.
    pub private: bool,
    /// The controller's own machine: for trials on one machine only.
    pub loopback: bool,
    /// HTTP without TLS.
    pub plain_http: bool,
}

/// Why nothing may be sent there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Not a mail address.
    #[error("{0:?} is not a mail address: give one such as duty@example.org")]
    Mail(String),
    /// Not a URL.
    #[error("{0:?} is not a webhook's URL: give one such as https://example.org/hook")]
    Url(String),
    /// Plain HTTP, where the site does not allow it.
    #[error("the webhook is not https, and this site does not allow plain http")]
    PlainHttp,
    /// Not a secret of Standard Webhooks.
    #[error("the webhook's secret is not whsec_ and the base64 of 24 to 64 bytes")]
    Secret,
    /// Not a bot's URL. It is a secret, so it is not repeated.
    #[error(
        "this is not a bot's URL: give one such as https://{}/… as the chat shows it, with the \
         token in it", kind.host()
    )]
    BotUrl {
        /// Whose bot.
        kind: BotKind,
    },
    /// A bot that is neither the vendor's nor the site's.
    #[error(
        "bots of {} are posted to {allowed} alone, and this one is elsewhere: the provider's \
         configuration may name other hosts in [bot]", kind.as_str()
    )]
    BotHost {
        /// Whose bot.
        kind: BotKind,
        /// The hosts, with commas.
        allowed: String,
    },
    /// Not a bot's secret.
    #[error("{}", match kind.signs() {
        true => "give the bot's signature secret (加签 / 签名校验), 8 to 128 printable characters",
        false => "a bot of wecom has no secret but its URL: leave it out",
    })]
    BotSecret {
        /// Whose bot.
        kind: BotKind,
    },
    /// Not a mobile telephone.
    #[error(
        "{0:?} is not a mobile telephone's number: give 11 digits such as 13800000000, or + and \
         the country's code before it"
    )]
    Mobile(String),
    /// An address that no customer's system can have.
    #[error("{address} is {what}: name a system of the customer's own")]
    Address {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        what: &'static str,
    },
}

/// Checks a mail address: one `@`, a local part, a domain of DNS labels, no blanks or controls.
///
/// # Errors
/// [`DestinationError::Mail`].
pub fn mail(text: &str) -> Result<(), DestinationError> {
    let wrong = || DestinationError::Mail(text.chars().take(64).collect());
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && local
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".!#$%&'*+-/=?^_`{|}~".contains(&byte));
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let literal = domain.parse::<IpAddr>().is_ok();
    if local_ok && !literal && domain.len() <= 253 && domain.split('.').all(label_ok) {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// Checks a webhook's URL as far as that goes without looking a name up.
///
/// # Errors
/// [`DestinationError`].
pub fn webhook(url: &str, policy: DestinationPolicy) -> Result<(), DestinationError> {
    let wrong = || DestinationError::Url(url.chars().take(64).collect());
    if url.len() > MAX_BYTES {
        return Err(wrong());
    }
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if policy.plain_http => {}
        Some("http") => return Err(DestinationError::PlainHttp),
        Some(_) | None => return Err(wrong()),
    }
    let authority = uri.authority().ok_or_else(wrong)?;
    let host = authority.host();
    if authority.as_str().contains('@') || host.is_empty() || authority.port_u16() == Some(0) {
        return Err(wrong());
    }
    if let Some(ip) = literal(host) {
        return address(ip, policy);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    if (name == "localhost" || name.ends_with(".localhost")) && !policy.loopback {
        return address(IpAddr::V4(Ipv4Addr::LOCALHOST), policy);
    }
    Ok(())
}

/// The address that a URL names itself, without a name that would have to be looked up.
#[must_use]
pub fn address_in(url: &str) -> Option<IpAddr> {
    literal(url.parse::<Uri>().ok()?.host()?)
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Checks a webhook's secret.
///
/// # Errors
/// [`DestinationError::Secret`].
pub fn webhook_secret(secret: &str) -> Result<(), DestinationError> {
    let bytes = secret.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    match bytes {
        Some(bytes) if SECRET_BYTES.contains(&bytes.len()) => Ok(()),
        Some(_) | None => Err(DestinationError::Secret),
    }
}

/// Checks a bot's URL as far as that goes without looking a name up: at its vendor's host, or at
/// one that the site names.
///
/// # Errors
/// [`DestinationError`]; none has the URL in it.
pub fn bot(
    kind: BotKind,
    url: &str,
    policy: DestinationPolicy,
    sites: &[String],
) -> Result<(), DestinationError> {
    bot_url(kind, url, policy)?;
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    let allowed = || std::iter::once(kind.host()).chain(sites.iter().map(String::as_str));
    if host.is_some_and(|host| allowed().any(|known| known.eq_ignore_ascii_case(&host))) {
        return Ok(());
    }
    Err(DestinationError::BotHost { kind, allowed: allowed().collect::<Vec<_>>().join(", ") })
}

/// Checks that a bot's URL is one, whatever the site's hosts are.
///
/// # Errors
/// [`DestinationError`]; none has the URL in it.
pub fn bot_url(
    kind: BotKind,
    url: &str,
    policy: DestinationPolicy,
) -> Result<(), DestinationError> {
    webhook(url, policy).map_err(|error| match error {
        DestinationError::Url(_) => DestinationError::BotUrl { kind },
        error => error,
    })
}

/// Checks a bot's secret: of a vendor whose messages are signed it has one.
///
/// # Errors
/// [`DestinationError::BotSecret`].
pub fn bot_secret(kind: BotKind, secret: &str) -> Result<(), DestinationError> {
    let fits = BOT_SECRET_BYTES.contains(&secret.len())
        && secret.bytes().all(|byte| byte.is_ascii_graphic());
    let right = if kind.signs() { fits } else { secret.is_empty() };
    if right { Ok(()) } else { Err(DestinationError::BotSecret { kind }) }
}

/// The number of a mobile telephone in the form of E.164: `+8613800000000`. Of the mainland's it
/// may be given without the country's code; blanks and hyphens do not count.
///
/// # Errors
/// [`DestinationError::Mobile`].
pub fn mobile(text: &str) -> Result<String, DestinationError> {
    let wrong = || DestinationError::Mobile(text.chars().take(32).collect());
    let bare: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    let mainland =
        |digits: &str| digits.len() == 11 && matches!(digits.as_bytes(), [b'1', b'3'..=b'9', ..]);
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    if bare.len() == digits.len() {
        return if mainland(digits) { Ok(format!("+86{digits}")) } else { Err(wrong()) };
    }
    let fits = match digits.strip_prefix("86") {
        Some(national) => mainland(national),
        None => NUMBER_DIGITS.contains(&digits.len()) && !digits.starts_with('0'),
    };
    if fits { Ok(format!("+{digits}")) } else { Err(wrong()) }
}

/// Checks an address that is about to be dialled.
///
/// # Errors
/// [`DestinationError::Address`].
pub fn address(address: IpAddr, policy: DestinationPolicy) -> Result<(), DestinationError> {
    let what = match address {
        IpAddr::V4(v4) => v4_refused(v4, policy),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => v4_refused(v4, policy),
            None => v6_refused(v6, policy),
        },
    };
    what.map_or(Ok(()), |what| Err(DestinationError::Address { address, what }))
}

fn v4_refused(ip: Ipv4Addr, policy: DestinationPolicy) -> Option<&'static str> {
    let [a, b, ..] = ip.octets();
    if a == 0 {
        Some("an unspecified address")
    } else if ip.is_loopback() {
        (!policy.loopback).then_some("the controller's own machine")
    } else if ip.is_link_local() {
        Some("a link-local address")
    } else if ip.is_multicast() || a >= 240 {
        Some("no address of one machine")
    } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
        (!policy.private).then_some("a private address, which this site does not allow")
    } else {
        None
    }
}

fn v6_refused(ip: Ipv6Addr, policy: DestinationPolicy) -> Option<&'static str> {
    if ip.is_unspecified() {
        Some("an unspecified address")
    } else if ip.is_loopback() {
        (!policy.loopback).then_some("the controller's own machine")
    } else if ip.is_unicast_link_local() {
        Some("a link-local address")
    } else if ip.is_multicast() {
        Some("no address of one machine")
    } else if ip.is_unique_local() {
        (!policy.private).then_some("a private address, which this site does not allow")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64, or 6to4.
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let join = |high: u16, low: u16| {
        let [w, x] = high.to_be_bytes();
        let [y, z] = low.to_be_bytes();
        Ipv4Addr::new(w, x, y, z)
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(join(g, h)),
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(join(g, h)),
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: DestinationPolicy =
        DestinationPolicy { private: false, loopback: false, plain_http: false };
    const SITE: DestinationPolicy =
        DestinationPolicy { private: true, loopback: false, plain_http: true };

    #[test]
    fn no_webhook_may_point_inward_however_its_address_is_written() {
        for url in [
            "http://127.0.0.1/x",
            "http://localhost:80/",
            "http://a.LOCALHOST./",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[ff02::1]/",
            "http://user@example.org/",
            "http://example.org:0/",
            "ftp://example.org/",
            "/hook",
            "",
        ] {
            assert!(webhook(url, SITE).is_err(), "{url}");
        }
    }

    #[test]
    fn private_addresses_and_plain_http_need_the_sites_consent() {
        for url in ["http://10.1.2.3/", "http://100.64.0.1/", "http://[fd00::1]/"] {
            assert_eq!(webhook(url, SITE), Ok(()), "{url}");
        }
        assert_eq!(webhook("http://example.org/", STRICT), Err(DestinationError::PlainHttp));
        assert!(webhook("https://10.1.2.3/", STRICT).is_err());
        assert_eq!(webhook("https://example.org:8443/hook?x=1", STRICT), Ok(()));
        assert_eq!(webhook("https://[2400:3200::1]/", STRICT), Ok(()));
    }

    #[test]
    fn mail_addresses_and_secrets_have_their_shape() {
        for text in ["duty@example.org", "a.b+c@mx.localdomain", "o'neil@x.cn"] {
            assert_eq!(mail(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.d",
            "a@b..c",
            "a@-b.c",
            "a\r\n@b.c",
            "<a@b.c>",
            "a@10.64.0.1",
        ] {
            assert!(mail(text).is_err(), "{text:?}");
        }
        assert_eq!(webhook_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), Ok(()));
        for secret in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] {
            assert_eq!(webhook_secret(secret), Err(DestinationError::Secret), "{secret}");
        }
    }

    #[test]
    fn a_bot_is_at_its_vendors_host_or_at_one_that_the_site_names_and_its_url_is_repeated_nowhere()
    {
        let url = "https://oapi.dingtalk.com/robot/send?access_token=t0ken";
        assert_eq!(bot(BotKind::Dingtalk, url, STRICT, &[]), Ok(()));
        let own = "https://im.example.gov.cn:8443/robot/send?access_token=t0ken";
        let sites = ["im.example.gov.cn".to_owned()];
        assert_eq!(bot(BotKind::Dingtalk, own, STRICT, &sites), Ok(()));
        for (url, policy) in [
            (own, STRICT),
            ("https://oapi.dingtalk.com.evil.example/robot?access_token=t0ken", STRICT),
            ("https://oapi.dingtalk.com@evil.example/robot?access_token=t0ken", STRICT),
            ("https://open.feishu.cn/robot?access_token=t0ken", STRICT),
            ("https://127.0.0.1/robot?access_token=t0ken", SITE),
            ("http://oapi.dingtalk.com/robot?access_token=t0ken", STRICT),
            ("access_token=t0ken", STRICT),
        ] {
            let error = bot(BotKind::Dingtalk, url, policy, &[]).expect_err(url);
            assert!(!error.to_string().contains("t0ken"), "{error}");
        }
        assert_eq!(bot_secret(BotKind::Wecom, ""), Ok(()));
        assert_eq!(bot_secret(BotKind::Feishu, "aGVsbG8gd29ybGQ"), Ok(()));
        assert!(bot_secret(BotKind::Wecom, "aGVsbG8gd29ybGQ").is_err());
        for secret in ["", "short", "with a blank", &"x".repeat(129)] {
            assert!(bot_secret(BotKind::Dingtalk, secret).is_err(), "{secret}");
        }
    }

    #[test]
    fn a_mobile_telephone_is_written_in_one_way_however_it_was_given() {
        for text in ["13800000000", "138 0000 0000", "+86 138-0000-0000", "+8613800000000"] {
            assert_eq!(mobile(text).as_deref(), Ok("+8613800000000"), "{text}");
        }
        assert_eq!(mobile("+85251234567").as_deref(), Ok("+85251234567"));
        for text in [
            "",
            "+",
            "12345",
            "12800000000",
            "+86 12800000000",
            "+861380000000",
            "138000000000",
            "02512345678",
            "+0012345678",
            "+1234567890123456",
            "1380000000a",
            "+86+13800000000",
            "１３８００００００００",
            "13800000000\n",
        ] {
            assert_eq!(mobile(text), Err(DestinationError::Mobile(text.to_owned())), "{text}");
        }
    }
}
