//! What may be wrong with a service, each by a name that never changes.

use serde::{Deserialize, Serialize};

/// A cause that a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// gander, not the target, set the figures.
    GeneratorBound,
    /// The service has no model.
    ModelNotLoaded,
    /// A circuit breaker refuses calls.
    BreakerOpen,
    /// The target, or what stands behind it, asks for less load.
    RateLimited,
    /// Failed requests are made again, and are much of the load.
    RetryStorm,
    /// Connections are refused.
    Refused,
    /// Requests get no answer in time.
    Hanging,
    /// Connections are closed after a fixed time without traffic.
    IdleTimeout,
    /// Connections break before the answer is whole.
    BrokenConnections,
    /// Answers with status 200 are not what they should be.
    BadAnswers,
    /// The service answers with errors of its own.
    ServerErrors,
    /// The service does not take the requests as they are.
    Rejected,
    /// One request at a time, the health check included.
    Serialised,
    /// Requests wait for one of too few places.
    PoolTooSmall,
    /// More arrives than is served.
    Queueing,
    /// Processor time bounds the service.
    CpuBound,
    /// Requests wait for something outside of the service.
    IoBound,
    /// Requests open connections that they could share.
    ConnectionChurn,
    /// Each item of a batch takes its own time.
    BatchNotVectorised,
    /// Everything stands still now and then.
    Pauses,
    /// A resource grows and is not given back.
    Leak,
    /// Processor time goes into waiting for locks.
    LockContention,
    /// Processor time goes into a log.
    Logging,
    /// Processor time goes into forms such as JSON.
    Serialisation,
    /// A cache is asked, and seldom has the answer.
    CacheUseless,
}

impl Cause {
    /// Every cause, in the order in which reports list them: what makes other findings void first.
    pub const ALL: [Cause; 25] = [
        Cause::GeneratorBound,
        Cause::ModelNotLoaded,
        Cause::BreakerOpen,
        Cause::RateLimited,
        Cause::RetryStorm,
        Cause::Refused,
        Cause::Hanging,
        Cause::IdleTimeout,
        Cause::BrokenConnections,
        Cause::BadAnswers,
        Cause::ServerErrors,
        Cause::Rejected,
        Cause::Serialised,
        Cause::PoolTooSmall,
        Cause::Queueing,
        Cause::CpuBound,
        Cause::IoBound,
        Cause::ConnectionChurn,
        Cause::BatchNotVectorised,
        Cause::Pauses,
        Cause::Leak,
        Cause::LockContention,
        Cause::Logging,
        Cause::Serialisation,
        Cause::CacheUseless,
    ];

    /// The name in files and expressions; it is never given to another cause.
    pub fn name(self) -> &'static str {
        match self {
            Cause::GeneratorBound => "generator_bound",
            Cause::ModelNotLoaded => "model_not_loaded",
            Cause::BreakerOpen => "breaker_open",
            Cause::RateLimited => "rate_limited",
            Cause::RetryStorm => "retry_storm",
            Cause::Refused => "refused",
            Cause::Hanging => "hanging",
            Cause::IdleTimeout => "idle_timeout",
            Cause::BrokenConnections => "broken_connections",
            Cause::BadAnswers => "bad_answers",
            Cause::ServerErrors => "server_errors",
            Cause::Rejected => "rejected",
            Cause::Serialised => "serialised",
            Cause::PoolTooSmall => "pool_too_small",
            Cause::Queueing => "queueing",
            Cause::CpuBound => "cpu_bound",
            Cause::IoBound => "io_bound",
            Cause::ConnectionChurn => "connection_churn",
            Cause::BatchNotVectorised => "batch_not_vectorised",
            Cause::Pauses => "pauses",
            Cause::Leak => "leak",
            Cause::LockContention => "lock_contention",
            Cause::Logging => "logging",
            Cause::Serialisation => "serialisation",
            Cause::CacheUseless => "cache_useless",
        }
    }

    /// In reports.
    pub fn label(self) -> &'static str {
        match self {
            Cause::GeneratorBound => "The generator is the bottleneck",
            Cause::ModelNotLoaded => "The model is not loaded",
            Cause::BreakerOpen => "A circuit breaker is open",
            Cause::RateLimited => "A rate limit is hit",
            Cause::RetryStorm => "Retries are much of the load",
            Cause::Refused => "Connections are refused",
            Cause::Hanging => "Requests get no answer",
            Cause::IdleTimeout => "Connections are closed after a fixed idle time",
            Cause::BrokenConnections => "Connections break",
            Cause::BadAnswers => "Answers are wrong",
            Cause::ServerErrors => "The service fails",
            Cause::Rejected => "Requests are rejected",
            Cause::Serialised => "Requests are serialised",
            Cause::PoolTooSmall => "A pool is too small",
            Cause::Queueing => "More arrives than is served",
            Cause::CpuBound => "CPU-bound",
            Cause::IoBound => "I/O-bound",
            Cause::ConnectionChurn => "Connections are not reused",
            Cause::BatchNotVectorised => "Batches are worked on item by item",
            Cause::Pauses => "Everything pauses",
            Cause::Leak => "A resource leaks",
            Cause::LockContention => "Threads contend for locks",
            Cause::Logging => "Logging costs CPU time",
            Cause::Serialisation => "Serialisation costs CPU time",
            Cause::CacheUseless => "The cache does not help",
        }
    }

    /// Whether it is something to mend. Where a service spends its time is no fault by itself.
    pub fn is_fault(self) -> bool {
        self != Cause::IoBound
    }
}
