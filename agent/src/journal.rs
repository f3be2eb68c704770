//! The agent's durable state: one redb file per lane, so that a cut never waits for a commit of the
//! work lane. A commit is on the disk when it returns. The journal is the audit record and the only
//! memory across a restart; one that cannot be written ends the process.

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    backends::FileBackend,
};
use serde::{Serialize, de::DeserializeOwned};
use tenure_protocol::wire::{frame, v1::Report};

use crate::core::record::{Change, Records};

/// Version of the tables below. Another one is refused.
pub const SCHEMA: u64 = 1;

/// Bytes that redb may keep in memory; the records themselves are few.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const ORDERS: Table = TableDefinition::new("orders");
const TENANTS: Table = TableDefinition::new("tenants");
const ISOLATIONS: Table = TableDefinition::new("isolations");
const LOCALS: Table = TableDefinition::new("locals");
const WIPES: Table = TableDefinition::new("wipes");
const QUEUE: Table = TableDefinition::new("queue");

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFailure {
    /// The file cannot be opened.
    #[error("cannot open the journal {path}: is another tenure-hostd running?")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Made by another version.
    #[error(
        "the journal {path} has schema {got}, this build knows {SCHEMA}: install the build \
         that wrote it"
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u64,
    },
    /// A record cannot be read.
    #[error("the journal {path} has a record that cannot be read in {table}: {reason}")]
    Record {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A commit did not reach the disk.
    #[error("cannot write the journal {path}")]
    Commit {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// One lane's journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    database: Database,
    records: Records,
    starts: u64,
    #[cfg(test)]
    fault: Fault,
}

/// For tests: the process ends at a commit, before or after it reached the disk.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fault {
    /// Commits that still go well, if there is a limit.
    pub(crate) after: Option<u32>,
    /// Whether the fatal commit reaches the disk.
    pub(crate) durable: bool,
}

impl Journal {
    /// Opens or makes a journal (mode 0600), and counts this start.
    ///
    /// # Errors
    /// [`JournalFailure`].
    pub fn open(path: &Path) -> Result<Self, JournalFailure> {
        let open = |source| JournalFailure::Open { path: path.to_owned(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| open(error.into()))?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| open(error.into()))?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(FileBackend::new(file).map_err(|error| open(error.into()))?)
            .map_err(|error| open(error.into()))?;
        let mut journal = Self {
            path: path.to_owned(),
            database,
            records: Records::default(),
            starts: 0,
            #[cfg(test)]
            fault: Fault::default(),
        };
        journal.begin()?;
        journal.load()?;
        Ok(journal)
    }

    /// What the journal holds.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// How often it was opened, this time included: 1 or more.
    #[must_use]
    pub const fn starts(&self) -> u64 {
        self.starts
    }

    /// Makes changes durable, all or none, and then visible in [`Self::records`].
    ///
    /// # Errors
    /// [`JournalFailure::Commit`]: the process must end, since nobody knows what is on the disk.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), JournalFailure> {
        #[cfg(test)]
        self.fault_before()?;
        self.write(|transaction| {
            for change in &changes {
                record(transaction, change)?;
            }
            Ok(())
        })?;
        #[cfg(test)]
        self.fault_after()?;
        for change in changes {
            self.records.apply(change);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), JournalFailure> {
        let mut meta = (SCHEMA, 0);
        self.write(|transaction| {
            let mut table = transaction.open_table(META)?;
            let schema = table.get("schema")?.map(|value| value.value());
            let starts = table.get("starts")?.map_or(0, |value| value.value());
            meta = (schema.unwrap_or(SCHEMA), starts + 1);
            table.insert("schema", schema.unwrap_or(SCHEMA))?;
            table.insert("starts", starts + 1)?;
            for name in [ORDERS, TENANTS, ISOLATIONS, LOCALS, WIPES, QUEUE] {
                transaction.open_table(name)?;
            }
            Ok(())
        })?;
        self.starts = meta.1;
        if meta.0 == SCHEMA {
            Ok(())
        } else {
            Err(JournalFailure::Schema { path: self.path.clone(), got: meta.0 })
        }
    }

    fn load(&mut self) -> Result<(), JournalFailure> {
        for order in self.read("orders", ORDERS)? {
            self.records.apply(Change::Order(order));
        }
        for tenant in self.read("tenants", TENANTS)? {
            self.records.apply(Change::Tenant(tenant));
        }
        for isolation in self.read("isolations", ISOLATIONS)? {
            self.records.apply(Change::Isolation(isolation));
        }
        for local in self.read("locals", LOCALS)? {
            self.records.apply(Change::Local(local));
        }
        for wipe in self.read("wipes", WIPES)? {
            self.records.apply(Change::Wipe(wipe));
        }
        for report in self.read::<Report>("queue", QUEUE)? {
            self.records.apply(Change::Queue(report));
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(
        &self,
        name: &'static str,
        table: Table,
    ) -> Result<Vec<T>, JournalFailure> {
        let failure = |reason: String| JournalFailure::Record {
            path: self.path.clone(),
            table: name,
            reason,
        };
        let read = || -> Result<Vec<Vec<u8>>, redb::Error> {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(table)?;
            let mut rows = Vec::new();
            for row in table.iter()? {
                rows.push(row?.1.value().to_vec());
            }
            Ok(rows)
        };
        let rows = read().map_err(|error| failure(error.to_string()))?;
        rows.iter().map(|row| frame::decode(row).map_err(failure)).collect()
    }

    fn write(
        &self,
        fill: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), JournalFailure> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction
                .set_durability(Durability::Immediate)
                .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            fill(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        write().map_err(|error| JournalFailure::Commit {
            path: self.path.clone(),
            source: error.into(),
        })
    }

    #[cfg(test)]
    pub(crate) fn fail(&mut self, fault: Fault) {
        self.fault = fault;
    }

    #[cfg(test)]
    fn fault_before(&self) -> Result<(), JournalFailure> {
        if self.fault.after == Some(0) && !self.fault.durable { Err(self.dead()) } else { Ok(()) }
    }

    #[cfg(test)]
    fn fault_after(&mut self) -> Result<(), JournalFailure> {
        match self.fault.after {
            Some(0) => Err(self.dead()),
            Some(left) => {
                self.fault.after = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    #[cfg(test)]
    fn dead(&self) -> JournalFailure {
        JournalFailure::Commit { path: self.path.clone(), source: "the test ends it here".into() }
    }
}

fn record(transaction: &redb::WriteTransaction, change: &Change) -> Result<(), redb::Error> {
    match change {
        Change::Order(order) => put(transaction, ORDERS, order.id.as_uuid().as_bytes(), order),
        Change::Forget(id) => remove(transaction, ORDERS, id.as_uuid().as_bytes()),
        Change::Tenant(tenant) => {
            put(transaction, TENANTS, tenant.tenant.as_uuid().as_bytes(), tenant)
        }
        Change::Isolation(isolation) => {
            put(transaction, ISOLATIONS, isolation.tenant.as_uuid().as_bytes(), isolation)
        }
        Change::Local(local) => put(transaction, LOCALS, local.id.as_uuid().as_bytes(), local),
        Change::ForgetLocal(id) => remove(transaction, LOCALS, id.as_uuid().as_bytes()),
        Change::Wipe(wipe) => put(transaction, WIPES, wipe.order.as_uuid().as_bytes(), wipe),
        Change::ForgetWipe(id) => remove(transaction, WIPES, id.as_uuid().as_bytes()),
        Change::Queue(report) => put(transaction, QUEUE, &report.sequence.to_be_bytes(), report),
        Change::Dequeue(sequence) => remove(transaction, QUEUE, &sequence.to_be_bytes()),
    }
}

fn put<T: Serialize>(
    transaction: &redb::WriteTransaction,
    table: Table,
    key: &[u8],
    value: &T,
) -> Result<(), redb::Error> {
    let bytes = frame::encode(value).map_err(redb::Error::Corrupted)?;
    transaction.open_table(table)?.insert(key, bytes.as_slice())?;
    Ok(())
}

fn remove(
    transaction: &redb::WriteTransaction,
    table: Table,
    key: &[u8],
) -> Result<(), redb::Error> {
    transaction.open_table(table)?.remove(key)?;
    Ok(())
}
