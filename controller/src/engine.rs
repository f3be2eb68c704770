//! The one way in: load the tenant, let `core` decide, commit state, journal, orders and notices in
//! one transaction, then wake the senders. It keeps no state of its own but the wake-up channels
//! and hints ([`presence`]), so that several engines can share one database.
//!
//! [`act`] is that transaction; [`report`] and [`alarms`] take in what hosts say, [`outbox`] hands
//! out what customers are told, [`hosts`] admits hosts, [`accounts`], [`identity`], [`tokens`] and
//! [`certificate`] people, [`platform`]
//! blocks hosts and records what happens to the platform, [`attachments`] and [`records`] keep what
//! people hand in, [`calendar`] puts notices of holidays in force, [`drain`] brings the journal
//! into the ledger, [`exit`] makes exit bundles, [`yearly`] watches the platform's assessments,
//! [`watches`] speaks with hosts that keep notices, [`standing`] has them keep some for cuts to
//! come, [`read`] is what is looked at, [`drill`] is rehearsed cuts, and [`duty`] what needs a
//! person now. [`sealing`] keeps the secrets of contacts' channels, [`receipt`] takes
//! in what comes back on short messages. [`call`] says how a change is asked for.

mod accounts;
mod act;
mod adopt;
mod alarms;
mod attachments;
mod calendar;
mod call;
mod certificate;
mod drain;
mod drill;
mod duty;
mod effects;
mod error;
mod exit;
mod hosts;
mod identity;
mod joint;
mod order;
mod outbox;
mod platform;
mod presence;
mod read;
mod receipt;
mod records;
mod report;
mod room;
mod sealing;
mod standing;
mod together;
mod tokens;
mod watches;
mod yearly;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::civil::Date;
use tenure_protocol::{
    digest::Digest,
    evidence::{key::PublicKey, note::LedgerKey},
    id::{HostId, TenantId},
    time::Timestamp,
    wire::v1::{IntentReceipt, IntentRefusal, ReportReceipt},
};
use tokio::sync::watch;

pub use self::{
    accounts::{Entered, Session, SignIn},
    attachments::Filed,
    call::{Call, Expected, KEY_KEPT_MS},
    duty::Desk,
    error::EngineError,
    hosts::{JoinGrant, NAME_LIMIT},
    tokens::NewToken,
    watches::WatchWord,
};
use crate::{
    acquainted::Acquainted,
    chance::Chance,
    clock::Clock,
    core::{
        anomaly::SiteThresholds,
        calendar::legal_day,
        fleet::Image,
        form::Forms,
        group::Zones,
        letter::Letters,
        lifecycle::{Actor, Event, Provider, Role},
        quota::Quotas,
        rules::Rules,
        watch::Watching,
    },
    files::Files,
    keys::Keys,
    ledger::{Ledger, LedgerError},
    secrets::Secrets,
    store::{self, Store},
};
pub use crate::{
    files::{FilesError, UPLOAD_LIMIT, UPLOADS},
    store::{
        AccountRecord, Certificate, ChangeKey, NoticeRow, Owner, Standing, TokenRecord, TotpRecord,
        WatchRow,
        page::{MAX_PAGE, Page, Slice, TenantFilter},
        row,
    },
};

/// Name of the demo clock's offset among the settings.
const DEMO_OFFSET: &str = "demo_offset_ms";
/// Name of the salt of persons' digests among the settings.
const PERSON_SALT: &str = "person_salt";
/// What the digest of an edition of the rules is kept by among the settings, before its name.
const RULES: &str = "rules_sha256:";

/// Lanes in which uploads get their names; the bytes' digest says which.
const KEEPING: usize = 16;
/// How long after a start hosts may take to come back and say whom they told, ms: an agent tries
/// every 30 s at least.
const HEAR_MS: i64 = 40_000;
/// Tenants whose deadlines are handled in one transaction: a cut waits for no more than that.
const TOGETHER: usize = 32;

/// What a report is answered with, once it is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The report need not be sent again.
    pub receipt: Option<ReportReceipt>,
    /// The wipe's intent is in the ledger: destruction may begin.
    pub intent: Option<IntentReceipt>,
    /// The wipe's intent is not taken: nothing is to be destroyed.
    pub refusal: Option<IntentRefusal>,
}

/// What an engine is made of.
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The transparency log.
    pub ledger: Ledger,
    /// The bytes of attachments.
    pub files: Files,
    /// The signing keys.
    pub keys: Keys,
    /// Passwords and second factors.
    pub secrets: Secrets,
    /// Both clocks.
    pub clock: Clock,
    /// Where ids, nonces, salts and secrets come from.
    pub chance: Chance,
    /// The image catalogue.
    pub images: Vec<Image>,
    /// Which addresses the site calls what.
    pub zones: Zones,
    /// From when on the site takes what hosts count for an anomaly.
    pub thresholds: SiteThresholds,
    /// The application forms.
    pub forms: Forms,
    /// The legal rules.
    pub rules: Rules,
    /// Whom the provider has told.
    pub provider: Provider,
    /// How much one customer may take.
    pub quotas: Quotas,
    /// What hosts do for a controller that is silent.
    pub watching: Watching,
}

/// The engine. Clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    ledger: Mutex<Ledger>,
    files: Files,
    draining: tokio::sync::Mutex<()>,
    keys: Keys,
    secrets: Secrets,
    clock: Clock,
    chance: Chance,
    images: Vec<Image>,
    zones: Zones,
    thresholds: SiteThresholds,
    forms: Forms,
    calendar: Mutex<calendar::Known>,
    /// The day on which the platform's own deadlines were last looked at.
    looked_on: Mutex<Option<Date>>,
    rules: Rules,
    provider: Provider,
    letters: Letters,
    quotas: Quotas,
    watching: Watching,
    /// Tenants whose hosts may have told their customers, and until when they are waited for.
    unheard: Mutex<BTreeMap<TenantId, Timestamp>>,
    /// Who gives a file its name: those of the same bytes one after another.
    keeping: [tokio::sync::Mutex<()>; KEEPING],
    /// Where persons and hosts came in from.
    acquainted: Acquainted,
    person_salt: String,
    notices_wake: watch::Sender<u64>,
    deadlines_wake: watch::Sender<u64>,
    events_wake: watch::Sender<u64>,
    ledger_wake: watch::Sender<u64>,
    access_wake: watch::Sender<u64>,
    host_wakes: Mutex<HashMap<HostId, watch::Sender<u64>>>,
}

impl Engine {
    /// Puts an engine together: brings the ledger up to the journal, and holds every host for down
    /// until it is heard of.
    ///
    /// # Errors
    /// [`EngineError::Letters`], [`EngineError::Store`], [`EngineError::Ledger`].
    pub async fn open(parts: Parts) -> Result<Self, EngineError> {
        let Parts {
            store,
            ledger,
            files,
            keys,
            secrets,
            clock,
            chance,
            images,
            zones,
            thresholds,
            forms,
            rules,
            provider,
            quotas,
            watching,
        } = parts;
        let letters = Letters::shipped()?;
        let mut tx = store.write().await?;
        let person_salt = person_salt(&mut tx, &chance).await?;
        sealing::know_key(&mut tx, &secrets).await?;
        pin_rules(&mut tx, &rules).await?;
        duty::write_down(&mut tx, &rules).await?;
        if let Some(offset) = store::meta(&mut tx, DEMO_OFFSET).await? {
            clock.resume_offset(offset.parse().unwrap_or(0));
        }
        yearly::begin(&mut tx, legal_day(clock.legal(clock.now()))).await?;
        store::sweep_changes(&mut tx, clock.now()).await?;
        hold_all_down(&mut tx).await?;
        let provider = sealing::sealed_provider(provider, &secrets)?;
        let (watched, until) =
            (store::watched_tenants(&mut tx).await?, clock.now().plus_ms(HEAR_MS));
        let unheard = Mutex::new(watched.into_iter().map(|tenant| (tenant, until)).collect());
        let acquainted = presence::acquainted(&mut tx, clock.now()).await?;
        store::commit(tx).await?;
        let inner = Inner {
            store,
            ledger: Mutex::new(ledger),
            files,
            draining: tokio::sync::Mutex::new(()),
            keys,
            secrets,
            clock,
            chance,
            images,
            zones,
            thresholds,
            forms,
            calendar: Mutex::default(),
            looked_on: Mutex::default(),
            rules,
            provider,
            letters,
            quotas,
            watching,
            unheard,
            keeping: Default::default(),
            acquainted,
            person_salt,
            notices_wake: watch::Sender::new(0),
            deadlines_wake: watch::Sender::new(0),
            events_wake: watch::Sender::new(0),
            ledger_wake: watch::Sender::new(0),
            access_wake: watch::Sender::new(0),
            host_wakes: Mutex::default(),
        };
        let engine = Self { inner: Arc::new(inner) };
        engine.calendar().await?;
        engine.drain().await?;
        Ok(engine)
    }

    /// Both clocks.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The signing keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// The image catalogue.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.inner.images
    }

    /// Which addresses the site calls what.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.inner.zones
    }

    /// The site's thresholds of anomalies.
    #[must_use]
    pub fn thresholds(&self) -> &SiteThresholds {
        &self.inner.thresholds
    }

    /// The application forms.
    #[must_use]
    pub fn forms(&self) -> &Forms {
        &self.inner.forms
    }

    /// The legal rules.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// The key that the ledger's checkpoints are checked with.
    #[must_use]
    pub fn ledger_key(&self) -> LedgerKey {
        self.ledger().verifier().clone()
    }

    /// The key that the controller's statements are checked with.
    #[must_use]
    pub fn attestation_key(&self) -> PublicKey {
        self.inner.keys.attestation.verifying_key().into()
    }

    /// The ledger's present checkpoint, a signed note. It covers all that was committed before.
    ///
    /// # Errors
    /// None: without a ledger that can be written, it is the last one.
    pub async fn ledger_checkpoint(&self) -> Result<String, EngineError> {
        self.catch_up().await;
        Ok(self.ledger().checkpoint().to_owned())
    }

    /// A tile of the ledger, by its path (C2SP tlog-tiles).
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Ledger`].
    pub async fn ledger_tile(&self, path: String) -> Result<Vec<u8>, EngineError> {
        let mut tile = self.ledger().tile(&path);
        if matches!(tile, Err(LedgerError::NoTile { .. })) {
            self.catch_up().await;
            tile = self.ledger().tile(&path);
        }
        tile.map_err(|error| match error {
            LedgerError::NoTile { .. } => EngineError::NotFound("tile"),
            error => error.into(),
        })
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.inner.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires when notices became due, or may have.
    #[must_use]
    pub fn notices_wake(&self) -> watch::Receiver<u64> {
        self.inner.notices_wake.subscribe()
    }

    /// Fires when [`Engine::next_wake`] may have changed.
    #[must_use]
    pub fn deadlines_wake(&self) -> watch::Receiver<u64> {
        self.inner.deadlines_wake.subscribe()
    }

    /// Fires when something was added to the journal.
    #[must_use]
    pub fn events_wake(&self) -> watch::Receiver<u64> {
        self.inner.events_wake.subscribe()
    }

    /// Fires when orders to this host were added.
    #[must_use]
    pub fn wake_of(&self, host: HostId) -> watch::Receiver<u64> {
        self.host_wake(host, watch::Sender::subscribe)
    }

    fn host_wake<T>(&self, host: HostId, with: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        let mut wakes = self.inner.host_wakes.lock().unwrap_or_else(PoisonError::into_inner);
        with(wakes.entry(host).or_insert_with(|| watch::Sender::new(0)))
    }

    /// Handles every deadline and wake-up that has come, and forgets keys whose time is over.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the tenants cannot be read. What fails for one of them is logged,
    /// and handled at the next call.
    pub async fn tick(&self) -> Result<(), EngineError> {
        let new_day = self.look_once_a_day().await?;
        if let Err(error) = self.count_anew().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "deadlines are not all counted by the new notice yet");
        }
        let now = self.inner.clock.legal(self.inner.clock.now());
        let mut conn = self.inner.store.read().await?;
        let mut tenants = store::tenants_to_wake(&mut conn, now).await?;
        drop(conn);
        let mut waiting = Vec::new();
        for tenant in &tenants {
            if self.waits_for_hosts(*tenant).await? {
                waiting.push(*tenant);
            }
        }
        tenants.retain(|tenant| !waiting.contains(tenant));
        for together in tenants.chunks(TOGETHER) {
            if self.tick_together(together).await.is_ok() {
                continue;
            }
            for tenant in together {
                // One tenant that cannot be handled must not hold up the others' deadlines.
                if let Err(error) = self.act(Actor::controller(), *tenant, Event::Tick).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%tenant, error, "a tenant's deadlines could not be handled");
                }
            }
        }
        if new_day {
            Box::pin(self.stand_all()).await?;
        }
        Ok(())
    }

    /// Looks at what the platform itself owes, once on each legal day; says whether it did.
    async fn look_once_a_day(&self) -> Result<bool, EngineError> {
        let today = self.legal_today();
        let looked = *self.inner.looked_on.lock().unwrap_or_else(PoisonError::into_inner);
        if looked == Some(today) {
            return Ok(false);
        }
        self.warn_of_calendar(today).await?;
        self.tell_of_assessments(today).await?;
        *self.inner.looked_on.lock().unwrap_or_else(PoisonError::into_inner) = Some(today);
        Ok(true)
    }

    /// When [`Engine::tick`] has something to do next; real clock.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn next_wake(&self) -> Result<Option<Timestamp>, EngineError> {
        let at = store::next_wake(&mut *self.inner.store.read().await?).await?;
        Ok(at.map(|at| at.plus_ms(-self.inner.clock.offset_ms())))
    }

    /// Moves the demo clock forward and returns the new offset, ms. It survives a restart.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] if this is no demo or the step is out of bounds;
    /// [`EngineError::Refused`] if the actor is neither administrator nor operator; those of keys.
    pub async fn advance_clock(&self, call: Call, days: u32) -> Result<i64, EngineError> {
        let roles = [Role::Administrator, Role::Operator];
        hosts::need(&call.actor, &roles, "moving the demo clock")?;
        let mut tx = self.inner.store.write().await?;
        if let Some(offset) = self.recall(&mut tx, call.key.as_ref()).await? {
            return Ok(offset);
        }
        let moved = self.inner.clock.advance_days(days);
        let offset = moved.map_err(|error| EngineError::Invalid(error.to_string()))?;
        store::set_meta(&mut tx, DEMO_OFFSET, &offset.to_string()).await?;
        self.keep(&mut tx, call.key.as_ref(), Some(&offset)).await?;
        store::commit(tx).await?;
        self.inner.deadlines_wake.send_modify(|count| *count = count.wrapping_add(1));
        tracing::warn!(days, offset_ms = offset, "the demo clock was moved forward");
        Ok(offset)
    }
}

/// No host is up before it is heard of.
async fn hold_all_down(tx: &mut store::Tx) -> Result<(), EngineError> {
    for mut host in store::hosts(tx).await?.into_iter().filter(|host| host.up) {
        host.up = false;
        store::save_host(tx, &host).await?;
    }
    Ok(())
}

/// The salt of persons' digests, drawn at the first start.
async fn person_salt(tx: &mut store::Tx, chance: &Chance) -> Result<String, EngineError> {
    if let Some(salt) = store::meta(tx, PERSON_SALT).await? {
        return Ok(salt);
    }
    let salt = Digest(chance.draw()?).to_string();
    store::set_meta(tx, PERSON_SALT, &salt).await?;
    Ok(salt)
}

/// One edition of the rules is one text: deadlines name the edition that they were counted by.
async fn pin_rules(tx: &mut store::Tx, rules: &Rules) -> Result<(), EngineError> {
    let (name, digest) = (format!("{RULES}{}", rules.edition()), rules.digest().to_string());
    match store::meta(tx, &name).await? {
        Some(known) if known != digest => Err(EngineError::Invalid(format!(
            "the text of the legal rules has changed, but its edition is still {:?}: give it a new \
             one, since deadlines were counted by the old text",
            rules.edition()
        ))),
        Some(_) => Ok(()),
        None => Ok(store::set_meta(tx, &name, &digest).await?),
    }
}
