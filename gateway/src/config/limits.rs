use std::time::Duration;

use brizo_backend::{Deadlines, Limits, Quotas};
use serde::Deserialize;

use super::units::{Size, Span};

/// `[limits]`: what a job may use at most (and gets, if it asks for nothing), and how many there may be.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Cores.
    pub cpu: f64,
    /// Memory of all its processes.
    pub memory: Size,
    /// What it may write, outputs included.
    pub disk: Size,
    /// What of that may be published.
    pub outputs: Size,
    /// How long the algorithm may run.
    pub wall_time: Span,
    /// Whole GPUs.
    pub gpu: u32,
    /// How long it may wait.
    pub queue: Span,
    /// How long it may take until the algorithm starts.
    pub provisioning: Span,
    /// How long publishing may take.
    pub publishing: Span,
    /// How many run at once.
    pub jobs: usize,
    /// How many of one consumer run at once.
    pub jobs_per_consumer: usize,
    /// How many of one consumer wait.
    pub queued_per_consumer: usize,
    /// What is kept of one consumer's outputs and logs.
    pub kept_per_consumer: Size,
    /// What stays free on the disk.
    pub disk_reserve: Size,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            cpu: 1.0,
            memory: Size(GIB / 2),
            disk: Size(GIB),
            outputs: Size(GIB),
            wall_time: Span(Duration::from_hours(1)),
            gpu: 0,
            queue: Span(Duration::from_hours(24)),
            provisioning: Span(Duration::from_mins(10)),
            publishing: Span(Duration::from_hours(1)),
            jobs: 8,
            jobs_per_consumer: 4,
            queued_per_consumer: 100,
            kept_per_consumer: Size(10 * GIB),
            disk_reserve: Size(GIB),
        }
    }
}

impl LimitsConfig {
    /// The most that a job may use.
    pub fn limits(&self) -> Limits {
        Limits {
            cpu_millis: (self.cpu * 1_000.0).round() as u64,
            memory_bytes: self.memory.0,
            disk_bytes: self.disk.0,
            outputs_bytes: self.outputs.0,
            wall_time_s: self.wall_time.seconds(),
            gpu: self.gpu,
        }
    }

    /// How long its phases may take.
    pub fn deadlines(&self) -> Deadlines {
        Deadlines {
            queue_s: self.queue.seconds(),
            provisioning_s: self.provisioning.seconds(),
            publishing_s: self.publishing.seconds(),
        }
    }

    /// How many jobs, and how much of them.
    pub fn quotas(&self) -> Quotas {
        Quotas {
            jobs: self.jobs,
            jobs_per_consumer: self.jobs_per_consumer,
            queued_per_consumer: self.queued_per_consumer,
            kept_per_consumer_bytes: self.kept_per_consumer.0,
            disk_reserve_bytes: self.disk_reserve.0,
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(0.001..=100_000.0).contains(&self.cpu) {
            faults.push(format!("limits.cpu is {}; a number of cores of at least 0.001 would be right.", self.cpu));
        }
        let zero = [
            ("memory", self.memory.0 == 0),
            ("disk", self.disk.0 == 0),
            ("wall_time", self.wall_time.seconds() == 0),
            ("queue", self.queue.seconds() == 0),
            ("provisioning", self.provisioning.seconds() == 0),
            ("publishing", self.publishing.seconds() == 0),
            ("jobs", self.jobs == 0),
            ("jobs_per_consumer", self.jobs_per_consumer == 0),
        ];
        let zero = zero.into_iter().filter(|(_, is_zero)| *is_zero);
        faults.extend(zero.map(|(name, _)| format!("limits.{name} is 0, so that no job could run.")));
        faults
    }
}
