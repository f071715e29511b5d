use brizo_backend::{LimitFact, Phase, Reason, Usage, WallFact};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How the algorithm's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

/// What it was ended for, by the runner or the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedFor {
    /// Somebody asked for its end.
    Stop,
    /// It was deleted.
    Delete,
    /// The runner itself was told to end, by its host.
    Interrupt,
    /// It ran longer than this many seconds.
    WallTime(u64),
    /// It took more than this many bytes of memory.
    Memory(u64),
    /// It wrote more than this many bytes.
    Disk(u64),
    /// It made more than this many files.
    Files(u64),
}

/// The end of the algorithm, as only the runner can know it. Written where the algorithm can't reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndRecord {
    /// When nothing of it ran any more.
    pub at: Timestamp,
    /// How it ended; none if the sandbox vanished with it.
    pub status: Option<Status>,
    /// What it was ended for, if it did not end by itself.
    pub ended_for: Option<EndedFor>,
    /// The walls that stood.
    pub walls: Vec<WallFact>,
    /// How each limit was enforced.
    pub limits: Vec<LimitFact>,
    /// What it used.
    pub usage: Usage,
}

/// Of a file that grew to its limit; the kernel's own end for it.
const SIGXFSZ: i32 = 25;

impl EndRecord {
    /// The record of an algorithm whose runner was killed, so that there is no other.
    pub fn interrupted(at: Timestamp) -> Self {
        Self {
            at,
            status: None,
            ended_for: None,
            walls: Vec::new(),
            limits: Vec::new(),
            usage: Usage { peak_memory_bytes: None, cpu_seconds: None },
        }
    }

    /// The end of the job, if its outputs can be published.
    pub fn outcome(&self) -> (Phase, Option<Reason>) {
        let failed = |reason| (Phase::Failed, Some(reason));
        match (self.ended_for, self.status) {
            (Some(EndedFor::Stop | EndedFor::Delete), _) => (Phase::Stopped, None),
            (Some(EndedFor::WallTime(seconds)), _) => failed(Reason::WallTime {
                message: format!("The algorithm ran longer than the {seconds} seconds that it may."),
            }),
            (Some(EndedFor::Memory(bytes)), _) => failed(Reason::OutOfMemory {
                message: format!("The algorithm took more than the {bytes} bytes of memory that it may."),
            }),
            (Some(EndedFor::Disk(bytes)), _) => failed(Reason::Disk {
                message: format!("The algorithm wrote more than the {bytes} bytes that it may."),
            }),
            (Some(EndedFor::Files(files)), _) => failed(Reason::Disk {
                message: format!("The algorithm made more than the {files} files and folders that it may."),
            }),
            (None, Some(Status::Signaled(SIGXFSZ))) => failed(Reason::Disk {
                message: "The algorithm wrote a file that is larger than all that it may write.".to_owned(),
            }),
            (None, Some(Status::Exited(0))) => (Phase::Succeeded, None),
            (None, Some(Status::Exited(code))) => failed(Reason::exit_code(code)),
            (None, Some(Status::Signaled(signal))) => failed(Reason::signal(signal)),
            (Some(EndedFor::Interrupt), _) | (None, None) => failed(interrupted()),
        }
    }
}

/// The reason of a job whose running step was destroyed.
pub fn interrupted() -> Reason {
    Reason::Interrupted { message: "The host ended the algorithm: it may have been restarted.".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: Option<Status>, ended_for: Option<EndedFor>) -> (Phase, Option<&'static str>) {
        let record = EndRecord {
            at: Timestamp::UNIX_EPOCH,
            status,
            ended_for,
            walls: Vec::new(),
            limits: Vec::new(),
            usage: Usage { peak_memory_bytes: None, cpu_seconds: None },
        };
        let (phase, reason) = record.outcome();
        (phase, reason.map(|reason| reason.kind()))
    }

    #[test]
    fn each_way_to_end_has_its_own_reason() {
        use EndedFor::{Delete, Disk, Files, Interrupt, Memory, Stop, WallTime};
        use Status::{Exited, Signaled};
        let failed = |kind| (Phase::Failed, Some(kind));
        let table = [
            (Some(Exited(0)), None, (Phase::Succeeded, None)),
            (Some(Exited(3)), None, failed("exit_code")),
            (Some(Exited(137)), None, failed("exit_code")),
            (Some(Signaled(6)), None, failed("signal")),
            (Some(Signaled(25)), None, failed("disk")),
            (Some(Signaled(9)), Some(Memory(1)), failed("out_of_memory")),
            (Some(Exited(0)), Some(WallTime(1)), failed("wall_time")),
            (Some(Signaled(9)), Some(Disk(1)), failed("disk")),
            (Some(Signaled(9)), Some(Files(1)), failed("disk")),
            (Some(Exited(0)), Some(Stop), (Phase::Stopped, None)),
            (None, Some(Delete), (Phase::Stopped, None)),
            (Some(Exited(0)), Some(Interrupt), failed("interrupted")),
            (None, None, failed("interrupted")),
        ];
        for (status, ended_for, expected) in table {
            assert_eq!(kind(status, ended_for), expected, "{status:?} {ended_for:?}");
        }
    }
}
