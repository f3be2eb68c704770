//! The wipe of an instance's memory, and of what else its process left.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tenure_protocol::evidence::predicate::{Ending, NotMeasured, memory_wipe::Residue};

use super::{CLOCKS, RealHost, erase::far};
use crate::{
    clock,
    core::{
        step::{HostFailure, MemoryWipe, Performed, StepProgress, WipeFacts},
        wipe::Seed,
    },
    host::{
        leftovers,
        memory::{self, MemoryFailure, MemoryProgress},
    },
};

/// What the wipe of a memory keeps between two runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// What was found of the guest in its run directory, which is gone by then.
    residue: Vec<Residue>,
    /// How far the memory is.
    memory: Option<MemoryProgress>,
}

impl RealHost {
    pub(super) fn wipe_memory(
        &self,
        wipe: &MemoryWipe,
        watch: &mut dyn FnMut(StepProgress),
    ) -> Result<Performed, HostFailure> {
        let mut note: Note = wipe
            .resume
            .as_deref()
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default();
        let seed = Seed::new(&wipe.nonce, wipe.instance.as_uuid().as_bytes());
        let vmm_dead = self.is_dead(wipe.instance)?;
        if vmm_dead && note.memory.is_none() {
            note.residue = self.wipe_leftovers(wipe, seed)?;
        }
        let residue = note.residue.clone();
        let request = memory::MemoryWipe {
            path: self.vmm.ram_path(wipe.instance),
            seed,
            vmm_dead,
            left_out_of_dumps: true,
            residue: residue.clone(),
            resume: note.memory.take(),
            clocks: CLOCKS,
        };
        let measured = memory::wipe(&request, &mut |progress| {
            let (done_bytes, total_bytes) = far(progress.course());
            let note = Note { residue: residue.clone(), memory: Some(progress.clone()) };
            let resume = serde_json::to_vec(&note).unwrap_or_default();
            watch(StepProgress { done_bytes, total_bytes, resume });
            ControlFlow::Continue(())
        });
        let facts = match measured {
            Ok(found) => {
                WipeFacts::Memory { memory: found.measured, not_measured: found.not_measured }
            }
            Err(failure) => {
                let ending = match &failure {
                    MemoryFailure::Absent { .. } => Ending::Absent,
                    MemoryFailure::Refused { .. }
                    | MemoryFailure::Replaced { .. }
                    | MemoryFailure::Stopped { .. }
                    | MemoryFailure::Io { .. } => Ending::Aborted,
                };
                let reason = HostFailure::of(failure.code(), &failure).sentence;
                tracing::error!(instance = %wipe.instance, code = failure.code(), "{reason}");
                let what = "the instance's memory".to_owned();
                WipeFacts::Memory {
                    memory: memory::unmeasured(ending, clock::now()),
                    not_measured: vec![NotMeasured { what, reason }],
                }
            }
        };
        Ok(Performed::Wiped(Box::new(facts)))
    }

    fn wipe_leftovers(&self, wipe: &MemoryWipe, seed: Seed) -> Result<Vec<Residue>, HostFailure> {
        let console = self.vmm.console_path(wipe.instance);
        let Some(dir) = console.parent() else { return Ok(Vec::new()) };
        leftovers::wipe(dir, seed, CLOCKS).map_err(|error| HostFailure::of("leftovers", &error))
    }
}
