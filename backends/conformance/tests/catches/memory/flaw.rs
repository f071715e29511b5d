/// What is wrong with a broken variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A stop is answered, and nothing comes of it.
    ForgetsStop,
    /// A gateway that starts drops what has not ended.
    LosesJobsAtRestart,
    /// A retried submit starts the algorithm again.
    RunsRetriesAgain,
    /// A submit under a known id is answered with its job, whatever it asks for.
    AnswersAnyRequest,
    /// Delete and retention leave outputs and log.
    ForgetsDebris,
    /// The end of a deleted job writes the job anew.
    LateEndRevives,
    /// Submit answers before the job is durable.
    CommitsLater,
    /// Each gateway starts each job.
    EachGatewayRuns,
    /// Delete leaves no tombstone.
    ForgetsTombstones,
    /// A range leaves out its last byte.
    WrongRange,
    /// The next page begins one too late.
    MissesPageEdges,
    /// A log that is read from an offset begins one too late.
    LosesALogByte,
    /// What a job has entered is forgotten now and then.
    GoesBack,
    /// All jobs run at once, however many.
    IgnoresQuotas,
    /// The message of a failed input says where it lies.
    TellsSources,
    /// The stored specification holds where its inputs lie.
    StoresSources,
    /// What an algorithm started goes on after its end.
    LeavesChildren,
    /// Retention does not ask whether it may.
    SweepsAlways,
    /// There is no retention.
    NeverSweeps,
    /// Jobs of newer versions are driven like others.
    DrivesNewer,
    /// Stopping a job that ended makes it Stopped.
    StopsWhatEnded,
    /// A stop kills without SIGTERM.
    StopsAtOnce,
    /// An end by a signal is told as an exit code.
    SignalsAreCodes,
    /// An exit code over 128 is told as a signal.
    CodesAreSignals,
    /// A link in the outputs is published as what it leads to.
    FollowsLinks,
    /// A followed log does not end with the job.
    FollowNeverEnds,
    /// Neither time, memory nor disk is limited.
    NoLimits,
    /// Jobs wait for ever.
    NoDeadlines,
    /// Watch yields the job as it is and ends.
    WatchesOnce,
    /// Inputs can be written.
    WritesInputs,
    /// Checksums and sizes of what is fetched are not looked at.
    TrustsChecksums,
    /// A store that does not answer fails the job at once.
    GivesUpAtOnce,
    /// A consumer's URL may lead anywhere.
    IgnoresTheGuard,
    /// Outputs have no limit.
    PublishesAll,
    /// What a fault destroyed is run again.
    RunsAgainAfterFaults,
    /// It says that it can do nothing.
    DeclaresNothing,
}
