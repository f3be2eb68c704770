//! The state of a new controller, and the persons who let everybody else in.

use std::path::Path;

use tenure_protocol::wire::watch::Routes;
use zeroize::Zeroizing;

use super::{StartError, anchors, engine, opened};
use crate::{
    clock::Clock,
    config::Config,
    core::{
        access::Scope,
        anomaly::SiteThresholds,
        form::Forms,
        group::Zones,
        lifecycle::{Actor, Provider, Role},
        quota::Quotas,
        rules::Rules,
        watch::Watching,
    },
    engine::NewToken,
    state::{self, State},
};

/// How long the first tokens live, days: time enough to make accounts.
const INIT_TOKEN_DAYS: u32 = 30;

/// Makes the state of a new controller: keys, certificate authority, anchors, the tokens of the two
/// persons who let everybody else in.
///
/// # Errors
/// [`StartError`]; an existing state is left alone.
pub async fn init(path: &Path, ledger_name: &str, clock: Clock) -> Result<(), StartError> {
    state::create(path, ledger_name, clock.now())?;
    let state = state::open(path)?;
    let anchors = anchors(&state)?.to_json();
    state::write_new(path, state::ANCHORS, 0o644, format!("{anchors}\n").as_bytes())?;
    let administrator = (Role::Administrator.as_str(), Role::Administrator);
    let security = (Role::Security.as_str(), Role::Security);
    let [administrator, security] = first_tokens(state, [administrator, security], clock).await?;
    state::write_new(path, state::ADMINISTRATOR_TOKEN, 0o600, administrator.as_bytes())?;
    state::write_new(path, state::SECURITY_TOKEN, 0o600, security.as_bytes())?;
    Ok(())
}

/// Makes a token on a controller that does not run, for when nobody can come in any more, or nobody
/// can confirm who may: the first ones have expired, or every authenticator is lost. Writes it to a
/// new file.
///
/// # Errors
/// [`StartError`]; the file is not there then.
pub async fn recover(
    config: &Config,
    first: (&str, Role),
    file: &Path,
    clock: Clock,
) -> Result<(), StartError> {
    let [token] = first_tokens(opened(&config.state_dir)?, [first], clock).await?;
    let (dir, name) = (file.parent().unwrap_or(Path::new("")), file.file_name());
    let name = name.unwrap_or_default().to_string_lossy();
    Ok(state::write_new(dir, &name, 0o600, token.as_bytes())?)
}

/// Tokens, each with a line's end, for these persons. It takes no more of the site than its state.
async fn first_tokens<const N: usize>(
    state: State,
    persons: [(&str, Role); N],
    clock: Clock,
) -> Result<[Zeroizing<String>; N], StartError> {
    let texts = (Rules::shipped()?, Forms::new(None)?, Provider::default());
    let known = (Vec::new(), Zones::default(), SiteThresholds::default());
    // Nothing is cut by it.
    let watching = Watching { fallback_after_ms: 0, routes: Routes::default() };
    let site = (None, Quotas::default(), watching);
    let (engine, _lock) = engine(state, known, site, texts, clock).await?;
    let init = Actor { name: "init".to_owned(), role: Role::Administrator, customer: None };
    let mut tokens = persons.map(|_| Zeroizing::default());
    for ((owner, role), token) in persons.into_iter().zip(&mut tokens) {
        let new = NewToken {
            name: owner.to_owned(),
            owner: owner.to_owned(),
            role,
            customer: None,
            scope: Scope::Everything,
            days: Some(INIT_TOKEN_DAYS),
        };
        let secret = engine.create_first_token(init.clone(), new).await?;
        *token = Zeroizing::new(format!("{}\n", secret.as_str()));
    }
    Ok(tokens)
}
