//! An issuer on loopback that signs what a test wants it to, and answers as it wants.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tenure_protocol::time::Timestamp;

/// Our secret there.
pub(crate) const SECRET: &str = "a-secret-of-tenure";

/// What an issuer does that an honest one does not.
#[derive(Clone, Default)]
pub(crate) struct Malice {
    /// Members of the claims; null takes one away.
    pub(crate) claims: Value,
    /// Members of the metadata.
    pub(crate) metadata: Value,
    /// How the ID token is signed.
    pub(crate) signing: Signing,
    /// What is answered for the code instead.
    pub(crate) answer: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Signing {
    /// By the key that the issuer publishes.
    #[default]
    Honest,
    /// By another key under the same name.
    OtherKey,
    /// Not at all: `alg: none`.
    Not,
    /// By a MAC under the client's secret: `alg: HS256`.
    Mac,
    /// By the key, and the claims changed after that.
    Tampered,
}

/// The issuer; it ends with the test's process.
pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) malice: Malice,
    pub(crate) now: i64,
    /// Of the last authorization: nonce and PKCE challenge.
    pub(crate) nonce: String,
    pub(crate) challenge: String,
    /// Heads and bodies of requests.
    pub(crate) seen: Vec<String>,
    url: String,
}

impl Issuer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let shared = Arc::new(Mutex::new(Shared { url: url.clone(), ..Shared::default() }));
        let of_thread = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is its own affair.
                let _ = serve(stream, &of_thread);
            }
        });
        Self { url, shared }
    }

    /// Of a controller that trusts it.
    pub(crate) fn config(&self, secret_file: &std::path::Path, more: &str) -> String {
        format!(
            "[[api.oidc]]\nname = \"portal\"\nissuer = {:?}\nclient_id = \"tenure\"\n\
             client_secret_file = {secret_file:?}\n{more}",
            self.url
        )
    }

    /// What the person's browser brings along from here: it notes what the address asks for.
    pub(crate) fn authorize(&self, url: &str, now: Timestamp, malice: Malice) {
        let member = |name: &str| {
            let (_, rest) = url.split_once(&format!("{name}=")).expect("it is there");
            rest.split('&').next().unwrap_or_default().to_owned()
        };
        let mut shared = self.shared.lock().expect("no panic");
        shared.nonce = member("nonce");
        shared.challenge = member("code_challenge");
        assert_eq!(member("code_challenge_method"), "S256");
        assert_eq!(member("response_type"), "code");
        assert_eq!(member("scope"), "openid");
        shared.now = now.unix_ms() / 1000;
        shared.malice = malice;
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8(body).expect("a form");
    let answer = {
        let mut shared = shared.lock().expect("no panic");
        shared.seen.push(format!("{head}{body}"));
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        shared.answer(&path, &body)
    };
    reader.get_mut().write_all(answer.as_bytes())
}

fn ok(json: &Value) -> String {
    let body = json.to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().into_iter().flatten() {
        if value.is_null() {
            into.as_object_mut().expect("an object").remove(name);
        } else {
            into[name] = value.clone();
        }
    }
}

impl Shared {
    fn answer(&self, path: &str, body: &str) -> String {
        match path {
            "/.well-known/openid-configuration" => {
                let at = |path: &str| format!("{}{path}", self.url);
                let mut metadata = json!({
                    "issuer": self.url, "authorization_endpoint": at("/authorize"),
                    "token_endpoint": at("/token"), "jwks_uri": at("/jwks"),
                    "response_types_supported": ["code"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["EdDSA"],
                });
                merge(&mut metadata, &self.malice.metadata);
                ok(&metadata)
            }
            "/jwks" => ok(&json!({ "keys": [{
                "kty": "OKP", "crv": "Ed25519", "kid": "one", "use": "sig", "alg": "EdDSA",
                "x": URL_SAFE_NO_PAD.encode(key(1).verifying_key().as_bytes()),
            }] })),
            "/token" => self.malice.answer.clone().unwrap_or_else(|| self.token(body)),
            _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        }
    }

    /// What an honest issuer gives for the code, but for the malice.
    fn token(&self, body: &str) -> String {
        let verifier = body.split_once("code_verifier=").expect("PKCE").1;
        let verifier = verifier.split('&').next().unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        assert_eq!(challenge, self.challenge, "the verifier is of the challenge");
        let mut claims = json!({
            "iss": self.url, "sub": "248289761001", "aud": "tenure", "nonce": self.nonce,
            "iat": self.now, "exp": self.now + 300,
        });
        merge(&mut claims, &self.malice.claims);
        ok(&json!({
            "access_token": "an-access-token", "token_type": "Bearer", "expires_in": 300,
            "id_token": sign(&claims, self.malice.signing),
        }))
    }
}

fn sign(claims: &Value, signing: Signing) -> String {
    let algorithm = match signing {
        Signing::Honest | Signing::OtherKey | Signing::Tampered => "EdDSA",
        Signing::Not => "none",
        Signing::Mac => "HS256",
    };
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(&json!({ "alg": algorithm, "kid": "one" }));
    let text = format!("{header}.{}", part(claims));
    let signature = match signing {
        Signing::Honest | Signing::Tampered => key(1).sign(text.as_bytes()).to_bytes().to_vec(),
        Signing::OtherKey => key(2).sign(text.as_bytes()).to_bytes().to_vec(),
        Signing::Not => Vec::new(),
        Signing::Mac => {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
    };
    let text = if signing == Signing::Tampered {
        let mut other = claims.clone();
        other["sub"] = json!("administrator");
        format!("{header}.{}", part(&other))
    } else {
        text
    };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
