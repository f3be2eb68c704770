//! What the parties put on paper, in stories. The contents are those of `tenurectl record example`.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tenure_controller::{
    core::{
        lifecycle::Actor,
        record::{Content, NewRecord, Record, RecordStanding},
    },
    engine::Page,
};

use super::{Story, legal, same};

const EXAMPLES: &str = include_str!("../../../cli/src/record.examples.json");

impl Story {
    /// `records KIND [sealed] [of ASSESSMENT] [as of DAY TIME] [with its [second] document]`.
    pub(super) async fn put_down(
        &mut self,
        actor: &Actor,
        kind: &str,
        how: &[&str],
    ) -> anyhow::Result<()> {
        let examples: Value = serde_json::from_str(EXAMPLES)?;
        let mut content = examples.get(kind).context("no such kind")?.clone();
        let (mut effective_at, mut document) = (None, None);
        let mut words = how;
        loop {
            words = match words {
                ["sealed", rest @ ..] => {
                    content["sealed"] = json!(true);
                    rest
                }
                ["of", assessment, rest @ ..] => {
                    content["assessment"] = json!(assessment);
                    rest
                }
                ["as", "of", day, time, rest @ ..] => {
                    effective_at = Some(legal(day, time)?);
                    rest
                }
                ["with", "its", "document", rest @ ..] => {
                    document = Some(format!("{kind}.pdf"));
                    rest
                }
                ["with", "its", "second", "document", rest @ ..] => {
                    document = Some(format!("{kind} 2.pdf"));
                    rest
                }
                [] => break,
                _ => bail!("not understood: {words:?}"),
            };
        }
        if content.get("access").is_some() {
            content["access"] = json!(self.last_of("lawful-access").await?.id);
        }
        let content: Content = serde_json::from_value(content)?;
        let tenant = self.tenant.filter(|_| !content.kind().is_platform());
        let shelf = tenant.filter(|_| !content.is_sealed(None));
        let mut documents = Vec::new();
        if let Some(document) = document {
            documents.push(self.fleet.file(actor, shelf, &document).await?);
        }
        let new = NewRecord { content, effective_at, documents };
        let record = self.fleet.controller.add_record(actor.clone(), tenant, new).await?;
        self.record = Some(record);
        Ok(())
    }

    /// `confirms` or `rejects the record`.
    pub(super) async fn confirm(&mut self, actor: &Actor, agreed: bool) -> anyhow::Result<()> {
        let record = self.record.as_ref().context("nothing was recorded yet")?;
        let (tenant, id) = (record.tenant, record.id);
        let controller = &self.fleet.controller;
        let opinion = "as the paper says";
        let confirmed = controller.confirm_record(actor.clone(), tenant, id, agreed, opinion);
        self.record = Some(confirmed.await?);
        Ok(())
    }

    /// `expect the record waits`, `counts` or `is rejected`.
    pub(super) fn expect_record(&self, wanted: &str) -> anyhow::Result<()> {
        let record = self.record.as_ref().context("nothing was recorded yet")?;
        let found = match record.standing() {
            RecordStanding::Waits { .. } => "waits",
            RecordStanding::Counts { .. } => "counts",
            RecordStanding::Rejected { .. } => "is rejected",
        };
        same(found, wanted)
    }

    /// `expect the platform owes ASSESSMENT by DAY`, `missed ASSESSMENT`, `entered KIND N times`.
    pub(super) async fn expect_of_platform(&self, what: &str) -> anyhow::Result<()> {
        let controller = &self.fleet.controller;
        let owed = async |assessment: &str| {
            let all = controller.assessments_owed().await?;
            let mut of_it = all.into_iter().filter(|one| one.assessment.as_str() == assessment);
            of_it.next().context("no such assessment")
        };
        let words: Vec<&str> = what.split_whitespace().collect();
        match words.as_slice() {
            ["owes", assessment, "by", day] => {
                let last_day = owed(assessment).await?.obligation.due.last_day();
                same(&last_day.context("it has no day")?.to_string(), day)
            }
            ["missed", assessment] => {
                ensure!(owed(assessment).await?.is_missed(), "it is not past");
                Ok(())
            }
            ["entered", kind, count, "times"] => {
                let acts = controller.platform_acts().await?;
                let of_kind = acts.iter().filter(|act| act.kind == *kind);
                same(&of_kind.count().to_string(), count)
            }
            _ => bail!("not understood"),
        }
    }

    /// `expect customer li sees 2 records`.
    pub(super) async fn expect_seen(&self, actor: &Actor, count: &str) -> anyhow::Result<()> {
        let seen = self.fleet.controller.records(actor, self.tenant, &Page::default()).await?;
        same(&seen.items.len().to_string(), count)
    }

    /// `expect the journal says nothing of WORD`: the tenant's rows, which the customer reads.
    pub(super) async fn expect_silence(&self, word: &str) -> anyhow::Result<()> {
        let tenant = self.tenant.context("nobody has applied yet")?;
        let journal = self.fleet.controller.journal(tenant, &Page::default()).await?;
        let rows = serde_json::to_string(&journal.items)?;
        ensure!(!rows.contains(word), "it does: {rows}");
        Ok(())
    }

    async fn last_of(&self, kind: &str) -> anyhow::Result<Record> {
        let everything = Actor::controller();
        let records =
            self.fleet.controller.records(&everything, self.tenant, &Page::default()).await?;
        let mut of_kind =
            records.items.into_iter().filter(|one| one.content.kind().as_str() == kind);
        of_kind.next_back().with_context(|| format!("there is no {kind} yet"))
    }
}
