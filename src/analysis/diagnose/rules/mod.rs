//! The rules: pure functions from measured facts to a judgement.

mod failures;
mod profiles;
mod server;
mod time;
mod waiting;

use super::Confidence;
use super::cause::Cause;
use super::evidence::Facts;

/// What a rule says.
pub enum Judgement {
    /// Its cause is there.
    Found(Found),
    /// It is not.
    Clear,
    /// The evidence is missing, and why.
    NotJudged(String),
}

/// A finding before its confidence is measured.
pub struct Found {
    /// Sentences with the measured figures.
    pub evidence: Vec<String>,
    /// What to change.
    pub advice: String,
    /// What to expect of the change, with the formula.
    pub gain: String,
    /// What looks the same in this evidence.
    pub or_else: Vec<Cause>,
    /// What would tell them apart.
    pub tell_apart: Option<String>,
    /// Where it does not come from time that is drawn again.
    pub confidence: Option<Confidence>,
}

impl Found {
    /// One with this evidence, and nothing else yet.
    fn with(evidence: Vec<String>) -> Found {
        Found {
            evidence,
            advice: String::new(),
            gain: String::new(),
            or_else: Vec::new(),
            tell_apart: None,
            confidence: None,
        }
    }
}

/// What the rule for `cause` says of `facts`.
pub fn judge(cause: Cause, facts: &Facts<'_, '_>) -> Judgement {
    let rule: fn(&Facts<'_, '_>) -> Judgement = match cause {
        Cause::GeneratorBound => time::generator_bound,
        Cause::ModelNotLoaded => failures::model_not_loaded,
        Cause::BreakerOpen => server::breaker_open,
        Cause::RateLimited => failures::rate_limited,
        Cause::RetryStorm => failures::retry_storm,
        Cause::Refused => failures::refused,
        Cause::Hanging => failures::hanging,
        Cause::IdleTimeout => failures::idle_timeout,
        Cause::BrokenConnections => failures::broken_connections,
        Cause::BadAnswers => failures::bad_answers,
        Cause::ServerErrors => failures::server_errors,
        Cause::Rejected => failures::rejected,
        Cause::Serialised => waiting::serialised,
        Cause::PoolTooSmall => waiting::pool_too_small,
        Cause::Queueing => waiting::queueing,
        Cause::CpuBound => waiting::cpu_bound,
        Cause::IoBound => waiting::io_bound,
        Cause::ConnectionChurn => time::connection_churn,
        Cause::BatchNotVectorised => time::batch_not_vectorised,
        Cause::Pauses => time::pauses,
        Cause::Leak => time::leak,
        Cause::LockContention => profiles::lock_contention,
        Cause::Logging => profiles::logging,
        Cause::Serialisation => profiles::serialisation,
        Cause::CacheUseless => server::cache_useless,
    };
    rule(facts)
}
