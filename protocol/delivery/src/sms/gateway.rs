//! Short messages by an HTTP gateway, which the site's configuration describes: where to, what to
//! say, and what in the answer means yes. Its 2xx with the right words proves that the message is
//! sent (E1), unless the site names words that say that it is on the telephone (E2), or the gateway
//! gives a receipt later ([`Receipts`]).

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;
use tenure_protocol::channel::{Grade, Secret};
use tokio::task::spawn_blocking;
use ureq::{
    Agent,
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri},
};

use super::{Numbers, ShortMessage, receipts::Receipts};
use crate::{Answer, outgoing};

/// How the site describes its gateway.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// Where to; `{to}`, `{text}`, `{id}` and `{receipt_url}` in it are filled in, escaped for a
    /// URL.
    pub url: String,
    /// `POST` if not given.
    #[serde(default = "post")]
    pub method: String,
    /// What the body is; it says how what is filled in is escaped.
    #[serde(default)]
    pub format: Format,
    /// The body; the same in it are filled in.
    #[serde(default)]
    pub body: String,
    /// Headers; the same but `{text}` in them are filled in.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What in the answer means that the gateway took it; any 2xx if not given.
    pub accepted: Option<Words>,
    /// What in the answer means that it is on the telephone; nothing if not given.
    pub delivered: Option<Words>,
    /// What it says later; nothing if not given.
    pub receipts: Option<Receipts>,
    /// How numbers are written.
    #[serde(default)]
    pub numbers: Numbers,
}

/// The URL to which the gateway says later what became of a message.
const RECEIPT_URL: &str = "{receipt_url}";

fn post() -> String {
    "POST".to_owned()
}

/// What a body is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JSON; what is filled in stands in its quotation marks.
    #[default]
    Json,
    /// A form, as browsers send it.
    Form,
    /// Plain text, UTF-8.
    Text,
}

/// What an answer has to say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Where in a JSON answer (RFC 6901); anywhere in any answer if not given.
    pub pointer: Option<String>,
    /// What stands there: the whole value, or a part of the answer.
    pub value: String,
}

/// A gateway that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Not a URL.
    #[error("url is not one such as https://sms.example/send?to={{to}}")]
    Url,
    /// Not a method.
    #[error("{0:?} is not an HTTP method such as POST")]
    Method(String),
    /// Not a header.
    #[error("{0:?} is not an HTTP header, or its value is none")]
    Header(String),
    /// The number or the text goes nowhere.
    #[error("{0} stands nowhere in url, headers and body: the gateway would not get it")]
    Unsaid(&'static str),
    /// Receipts are asked for that nobody could read.
    #[error(
        "{{receipt_url}} needs receipts = {{ url = \"https://…\", parameter, delivered, failed }}: \
         the API's URL without a path, and values of which none stands in both lists"
    )]
    Receipts,
}

/// Sends short messages by one gateway.
#[derive(Debug, Clone)]
pub struct GatewayChannel {
    agent: Agent,
    method: Method,
    settings: Gateway,
    secrets: BTreeMap<String, Secret>,
}

impl GatewayChannel {
    /// `secrets` are headers whose values come from files; `roots`, DER, are trusted instead of the
    /// public authorities if there are any.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub fn new(
        settings: Gateway,
        secrets: BTreeMap<String, Secret>,
        roots: &[Vec<u8>],
        limit: Duration,
    ) -> Result<Self, GatewayError> {
        let method = Method::from_bytes(settings.method.as_bytes())
            .map_err(|_| GatewayError::Method(settings.method.clone()))?;
        if settings.receipts.as_ref().is_some_and(|receipts| !receipts.is_usable()) {
            return Err(GatewayError::Receipts);
        }
        for name in ["{to}", "{text}", RECEIPT_URL] {
            let mut places = vec![&settings.url, &settings.body];
            // A header holds no text of people.
            if name != "{text}" {
                places.extend(settings.headers.values());
            }
            let stands = places.iter().any(|place| place.contains(name));
            match (name, &settings.receipts) {
                (RECEIPT_URL, None) if stands => return Err(GatewayError::Receipts),
                (RECEIPT_URL, None) => {}
                (_, _) if !stands => return Err(GatewayError::Unsaid(name)),
                (_, _) => {}
            }
        }
        let channel = Self {
            agent: Agent::new_with_config(outgoing::config(roots, limit)),
            method,
            settings,
            secrets,
        };
        let sample = ShortMessage {
            to: "+8613800000000".to_owned(),
            text: "text".to_owned(),
            id: "id".to_owned(),
            receipt: Some("token".to_owned()),
        };
        channel.request(&sample).map(|_| channel)
    }

    /// One try.
    pub async fn send(&self, message: ShortMessage) -> Answer {
        let gateway = self.clone();
        let sent = spawn_blocking(move || gateway.exchange(&message)).await;
        match sent {
            Ok(Ok((status, body))) => self.judge(status, &body),
            Ok(Err(evidence)) => Answer::Failed { evidence },
            Err(error) => Answer::Failed { evidence: error.to_string() },
        }
    }

    fn judge(&self, status: StatusCode, body: &str) -> Answer {
        let evidence = outgoing::evidence(status, body);
        let says = |words: &Option<Words>| words.as_ref().map(|words| words.are_in(body));
        let taken = status.is_success() && says(&self.settings.accepted).unwrap_or(true);
        match (taken, says(&self.settings.delivered)) {
            (false, _) => Answer::Failed { evidence },
            (true, Some(true)) => Answer::Accepted { grade: Grade::E2, evidence },
            (true, Some(false) | None) => Answer::Accepted { grade: Grade::E1, evidence },
        }
    }

    fn exchange(&self, message: &ShortMessage) -> Result<(StatusCode, String), String> {
        let request = self.request(message).map_err(|error| error.to_string())?;
        let answer = self.agent.run(request).map_err(|error| error.to_string())?;
        Ok(outgoing::said(answer))
    }

    fn request(&self, message: &ShortMessage) -> Result<Request<Vec<u8>>, GatewayError> {
        let Gateway { url, format, body, headers, numbers, receipts, .. } = &self.settings;
        let receipt = receipts.as_ref().zip(message.receipt.as_ref());
        let receipt = receipt.map(|(receipts, token)| receipts.url_of(token)).unwrap_or_default();
        let (to, _) = numbers.write(&message.to);
        let [to, text, id] = [("{to}", to), ("{text}", &message.text), ("{id}", &message.id)];
        let receipt = (RECEIPT_URL, receipt.as_str());
        let values = [to, text, id, receipt];
        let url: Uri = fill(url, &values, escape_url).parse().map_err(|_| GatewayError::Url)?;
        if !matches!(url.scheme_str(), Some("https" | "http")) || url.host().is_none() {
            return Err(GatewayError::Url);
        }
        let (kind, body) = match format {
            Format::Json => ("application/json", fill(body, &values, escape_json)),
            Format::Form => ("application/x-www-form-urlencoded", fill(body, &values, escape_url)),
            Format::Text => ("text/plain; charset=utf-8", fill(body, &values, str::to_owned)),
        };
        let mut request = Request::new(body.into_bytes());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url;
        let plain = headers
            .iter()
            .map(|(name, value)| (name, fill(value, &[to, id, receipt], str::to_owned)));
        let secret = self.secrets.iter().map(|(name, value)| (name, value.reveal().to_owned()));
        request.headers_mut().insert("content-type", HeaderValue::from_static(kind));
        for (name, value) in plain.chain(secret) {
            let wrong = || GatewayError::Header(name.clone());
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            request.headers_mut().insert(key, value);
        }
        Ok(request)
    }
}

impl Words {
    fn are_in(&self, body: &str) -> bool {
        let Some(pointer) = &self.pointer else { return body.contains(&self.value) };
        let body: Option<Value> = serde_json::from_str(body).ok();
        match body.as_ref().and_then(|body| body.pointer(pointer)) {
            Some(Value::String(text)) => *text == self.value,
            Some(other) => {
                let written = other.to_string();
                written == self.value
            }
            None => false,
        }
    }
}

/// Fills values in, once: what is filled in is not looked through again.
fn fill(template: &str, values: &[(&str, &str)], escape: impl Fn(&str) -> String) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = values.iter().find_map(|(name, value)| {
            Some((after.strip_prefix(name.trim_start_matches('{'))?, value))
        });
        match named {
            Some((behind, value)) => {
                filled.push_str(&escape(value));
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

fn escape_url(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn escape_json(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let bare = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    bare.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(settings: &str) -> Result<GatewayChannel, GatewayError> {
        let settings: Gateway = serde_json::from_str(settings).expect("settings");
        let secrets = BTreeMap::from([("x-password".to_owned(), Secret::new("0pen"))]);
        GatewayChannel::new(settings, secrets, &[], Duration::from_secs(1))
    }

    fn message() -> ShortMessage {
        ShortMessage {
            to: "+8613800000000".to_owned(),
            text: "断网 \"{id}\" & {to}\n".to_owned(),
            id: "n1".to_owned(),
            receipt: Some("t0k".to_owned()),
        }
    }

    #[test]
    fn what_is_filled_in_is_escaped_for_its_place_and_never_looked_through_again() {
        let gateway = gateway(
            r#"{"url": "https://sms.example/send?to={to}&n={id}", "headers": {"x-to": "{to}"},
                "body": "{\"to\":\"{to}\",\"text\":\"{text}\",\"open\":\"{other}\"}",
                "numbers": "mainland"}"#,
        )
        .expect("usable");
        let request = gateway.request(&message()).expect("made");
        assert_eq!(request.uri(), "https://sms.example/send?to=13800000000&n=n1");
        assert_eq!(request.headers()["x-to"], "13800000000");
        assert_eq!(request.headers()["x-password"], "0pen");
        let body: Value = serde_json::from_slice(request.body()).expect("JSON");
        assert_eq!(body["to"], "13800000000");
        assert_eq!(body["text"], message().text);
        assert_eq!(body["open"], "{other}");
        assert!(!format!("{request:?}").contains("0pen"), "secrets are not printed");
    }

    #[test]
    fn a_form_and_a_url_get_percent_signs() {
        let gateway = gateway(
            r#"{"url": "http://sms.example/", "format": "form", "body": "to={to}&text={text}"}"#,
        )
        .expect("usable");
        let request = gateway.request(&message()).expect("made");
        let pairs: Vec<_> = form_urlencoded::parse(request.body()).into_owned().collect();
        assert_eq!(pairs[0], ("to".to_owned(), "8613800000000".to_owned()));
        assert_eq!(pairs[1], ("text".to_owned(), message().text));
    }

    #[test]
    fn the_url_of_receipts_goes_along_and_needs_words_that_mean_something() {
        let with = |receipts: &str, header: &str| {
            gateway(&format!(
                r#"{{"url": "http://sms.example/", "body": "{{to}}{{text}}"{receipts},
                    "headers": {{"x-dlr": "{header}"}}}}"#
            ))
        };
        let receipts = r#", "receipts": {"url": "https://t.example", "parameter": "status",
            "delivered": ["1"], "failed": ["2"]}"#;
        let usable = with(receipts, "{receipt_url}?status=%d").expect("usable");
        let request = usable.request(&message()).expect("made");
        assert_eq!(request.headers()["x-dlr"], "https://t.example/v1/receipts/t0k?status=%d");
        let refused = |made: Result<GatewayChannel, _>| made.map(drop).expect_err("refused");
        assert_eq!(refused(with("", "{receipt_url}")), GatewayError::Receipts);
        assert_eq!(refused(with(receipts, "none")), GatewayError::Unsaid("{receipt_url}"));
        let both = receipts.replace("[\"2\"]", "[\"1\"]");
        assert_eq!(refused(with(&both, "{receipt_url}")), GatewayError::Receipts);
    }

    #[test]
    fn an_answer_means_what_the_site_says_that_it_means() {
        let gateway = gateway(
            r#"{"url": "http://sms.example/", "body": "{to}{text}",
                "accepted": {"pointer": "/code", "value": "0"},
                "delivered": {"pointer": "/state", "value": "DELIVRD"}}"#,
        )
        .expect("usable");
        let judge = |status, body| match gateway.judge(status, body) {
            Answer::Accepted { grade, .. } => Some(grade),
            Answer::Failed { .. } => None,
        };
        assert_eq!(judge(StatusCode::OK, r#"{"code": 0}"#), Some(Grade::E1));
        assert_eq!(judge(StatusCode::OK, r#"{"code": "0"}"#), Some(Grade::E1));
        assert_eq!(judge(StatusCode::OK, r#"{"code":0,"state":"DELIVRD"}"#), Some(Grade::E2));
        assert_eq!(judge(StatusCode::OK, r#"{"code":7,"state":"DELIVRD"}"#), None);
        assert_eq!(judge(StatusCode::OK, "0"), None);
        assert_eq!(judge(StatusCode::BAD_GATEWAY, r#"{"code": 0}"#), None);
    }

    #[test]
    fn a_gateway_that_would_not_get_number_or_text_is_refused() {
        let wrong = |settings: &str| gateway(settings).map(drop).expect_err("refused");
        let url = r#""url": "https://sms.example/""#;
        assert_eq!(
            wrong(&format!(r#"{{{url}, "body": "{{text}}"}}"#)).to_string(),
            "{to} stands nowhere in url, headers and body: the gateway would not get it"
        );
        assert_eq!(
            wrong(&format!(r#"{{{url}, "body": "{{to}}"}}"#)),
            GatewayError::Unsaid("{text}")
        );
        assert_eq!(wrong(r#"{"url": "sms.example", "body": "{to}{text}"}"#), GatewayError::Url);
        assert_eq!(
            wrong(&format!(r#"{{{url}, "method": "PO ST", "body": "{{to}}{{text}}"}}"#)),
            GatewayError::Method("PO ST".to_owned())
        );
        assert_eq!(
            wrong(&format!(r#"{{{url}, "body": "{{to}}{{text}}", "headers": {{"a b": ""}}}}"#)),
            GatewayError::Header("a b".to_owned())
        );
    }
}
