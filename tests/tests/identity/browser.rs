//! As much of a browser as it takes to sign in: it follows redirects, keeps cookies, and fills in
//! the provider's forms.

use std::collections::BTreeMap;

use ureq::{
    Agent,
    http::{HeaderMap, header},
};

/// Pages that one sign-in takes at most.
const PAGES: usize = 20;

pub(crate) struct Browser {
    agent: Agent,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: u16,
    location: Option<String>,
    body: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder().max_redirects(0).http_status_as_error(false);
        let config = config.max_redirects_will_error(false).proxy(None);
        Self { agent: config.build().new_agent(), cookies: BTreeMap::new() }
    }

    /// Signs in as `login` at the provider of this address. Returns where the provider sends the
    /// browser in the end, which is on loopback and not visited.
    pub(crate) fn sign_in(&mut self, url: &str, login: &str) -> String {
        let origin = origin(url);
        let mut url = url.to_owned();
        for _ in 0..PAGES {
            let mut page = self.get(&url);
            if page.location.is_none() {
                let action = between(&page.body, "action=\"", "\"");
                let prompt = between(&page.body, "name=\"prompt\" value=\"", "\"");
                let form = format!("prompt={prompt}&login={login}&password=any");
                page = self.post(&absolute(&origin, &action), &form);
            }
            let location =
                page.location.unwrap_or_else(|| panic!("{}: {}", page.status, page.body));
            url = absolute(&origin, &location);
            if !url.starts_with(&origin) {
                return url;
            }
        }
        panic!("no end: {url}")
    }

    /// Visits an address that answers without more.
    pub(crate) fn get_text(&mut self, url: &str) -> (u16, String) {
        let page = self.get(url);
        (page.status, page.body)
    }

    fn cookie(&self) -> String {
        let all: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.join("; ")
    }

    fn get(&mut self, url: &str) -> Page {
        let request = self.agent.get(url).header("cookie", self.cookie());
        let (head, mut body) = request.call().expect("an answer").into_parts();
        let body = body.read_to_string().expect("a page");
        self.page(head.status.as_u16(), &head.headers, body)
    }

    fn post(&mut self, url: &str, form: &str) -> Page {
        let request = self.agent.post(url).header("cookie", self.cookie());
        let request = request.content_type("application/x-www-form-urlencoded");
        let (head, mut body) = request.send(form).expect("an answer").into_parts();
        let body = body.read_to_string().expect("a page");
        self.page(head.status.as_u16(), &head.headers, body)
    }

    fn page(&mut self, status: u16, headers: &HeaderMap, body: String) -> Page {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
            let (name, value) = cookie.split_once('=').expect("a cookie");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = headers.get(header::LOCATION).and_then(|at| at.to_str().ok());
        Page { status, location: location.map(str::to_owned), body }
    }
}

fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    format!("{scheme}://{}", rest.split('/').next().unwrap_or_default())
}

fn absolute(origin: &str, at: &str) -> String {
    if at.contains("://") { at.to_owned() } else { format!("{origin}{at}") }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let found = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    found.unwrap_or_else(|| panic!("no {before}: {text}")).0.to_owned()
}
