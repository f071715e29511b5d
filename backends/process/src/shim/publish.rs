use brizo_backend::facts::Started;
use brizo_backend::now;
use brizo_runner::collect::{Caps, MAX_FILES, collect};
use brizo_runner::log::log_totals;
use brizo_runner::run::{self, EndRecord};

use super::{Shim, Step};
use crate::end;
use crate::folder::Mark;

impl Shim {
    /// Lists what the algorithm left, and ends the job. Without a record of the algorithm's end, its runner was killed
    /// while it ran: then it never runs again, and what it wrote until then is published all the same.
    pub(super) fn publish(&mut self) -> Step<()> {
        let layout = self.folder.layout();
        run::prepare(layout, self.spec.uid)?;
        let record = run::end_record(layout).unwrap_or_else(|| EndRecord::interrupted(now()));
        let publishing = record.at.max(now());
        self.folder.mark(Mark::Publishing, publishing)?;
        if self.facts.started.is_none() {
            // The fact that stands; this one only asks for it.
            let asked = Started::Run { at: record.at, image_digest: None };
            self.facts.started = Some(self.journal.start(&asked)?.fact);
        }
        let seen = self.folder.seen();
        self.folder.remove_inputs();
        let limits = &self.spec.job.limits;
        let caps = Caps { bytes: limits.outputs_bytes, files: MAX_FILES };
        let collected = collect(layout, caps);
        let collected = collected
            .as_ref()
            .map_err(|error| format!("What the algorithm wrote could not be published: {}.", error.kind()));
        let log = log_totals(&layout.log())?;
        let ended = end::of_run(&self.facts, &seen, &record, collected, log, now());
        self.journal.end(&ended)?;
        Ok(())
    }
}
