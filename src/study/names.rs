//! What expressions may name of a run, with what each is: the one list that `figures` fills, `check`
//! holds expressions against, and the documentation shows.

/// A figure of a run.
pub struct Name {
    /// Name.
    pub name: &'static str,
    /// What is below it.
    pub below: Below,
    /// What it is, with its unit.
    pub about: &'static str,
}

/// What may follow a name, after a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// Nothing.
    Nothing,
    /// These.
    These(&'static [&'static str]),
    /// Whatever the target or the scenario has.
    Anything,
}

/// Figures of a time.
pub const TIMES: &[&str] = &["count", "mean", "min", "p50", "p90", "p95", "p99", "p999", "max"];

/// What a soak watches.
pub const RESOURCES: &[&str] = &["memory", "files", "sockets", "threads"];

const fn name(name: &'static str, below: Below, about: &'static str) -> Name {
    Name { name, below, about }
}

use Below::{Anything, Nothing, These};

/// All of them.
pub const NAMES: &[Name] = &[
    name("count", Nothing, "requests of the measured part that succeeded or failed"),
    name("ok", Nothing, "those that succeeded"),
    name("failed", Nothing, "those that failed"),
    name("failure_share", Nothing, "failures, from 0 to 1"),
    name("rps", Nothing, "requests that ended, a second"),
    name("ok_rps", Nothing, "successes that ended, a second"),
    name("mean", Nothing, "mean response time of successes, milliseconds; so are the next"),
    name("min", Nothing, "the shortest"),
    name("p50", Nothing, "percentile; `p90`, `p95`, `p99`, `p999` likewise"),
    name("p90", Nothing, ""),
    name("p95", Nothing, ""),
    name("p99", Nothing, ""),
    name("p999", Nothing, ""),
    name("max", Nothing, "the longest"),
    name("service", These(TIMES), "service time"),
    name("first_byte", These(TIMES), "from the send to the first byte"),
    name("connect", These(TIMES), "opening a connection"),
    name("ttft", These(TIMES), "time to the first token of streams"),
    name("inter_chunk", These(TIMES), "time between chunks of streams"),
    name("tpot", These(TIMES), "time per output token of streams"),
    name("connections", Nothing, "connections that were opened"),
    name("seconds", Nothing, "length of the measured part, all slices together"),
    name(
        "elapsed",
        Nothing,
        "from the begin of a slice to its last request, seconds, the mean over slices",
    ),
    name("slices", Nothing, "slices that were made"),
    name("valid", Nothing, "whether every slice is a valid run"),
    name(
        "steps",
        Anything,
        "each step by its name, what is no letter or digit as `_`: figures as above",
    ),
    name(
        "rows",
        These(&[
            "count",
            "ok",
            "partial",
            "failed",
            "per_s",
            "mean",
            "min",
            "p50",
            "p90",
            "p95",
            "p99",
            "p999",
            "max",
            "requests",
            "wasted_requests",
        ]),
        "rows, or iterations: how they ended, how many a second, their time in milliseconds",
    ),
    name(
        "tokens",
        These(&["input", "output", "per_s", "cost"]),
        "tokens that responses reported, output tokens a second, and what all of them cost",
    ),
    name("cpu", Nothing, "CPU of the target, percent of one processor"),
    name("cpu_per_request", Nothing, "CPU time of the target, milliseconds a request"),
    name("rss", Nothing, "the most resident memory of the target, bytes"),
    name("rss_growth", Nothing, "its growth over a slice, bytes, the largest"),
    name("threads", Nothing, "the most threads of the target"),
    name("sockets", Nothing, "the most sockets of the target"),
    name("files", Nothing, "the most open files of the target"),
    name("generator_cpu", Nothing, "CPU of gander, percent of one processor"),
    name(
        "alerts",
        Anything,
        "alerts of the scenario by name, in the last slice: `none`, `warn`, `critical` or `not judged`",
    ),
    name(
        "ledger",
        Anything,
        "the ledger of a reference service, as `/control/ledger` shows it, of the last slice",
    ),
    name(
        "diagnosis",
        Anything,
        "what the last slice suffers from, by the names of causes (docs/diagnosis.md): true where it was found, false where the figures speak against it, as `diagnosis.serialised`",
    ),
    name(
        "behind",
        Anything,
        "the ledger of the llm service that gander started behind a multi-query or ensemble service, of the last slice",
    ),
    name(
        "leaks",
        Anything,
        "verdicts of a soak by resource: `memory`, `files`, `sockets`, `threads`",
    ),
    name(
        "growth",
        These(RESOURCES),
        "steady growth of the target's resources after the burn-in, a minute, in the last slice; memory in bytes",
    ),
    name(
        "growth_seen",
        These(RESOURCES),
        "the slowest growth, a minute, that would have been called a leak",
    ),
    name(
        "profile",
        These(&[
            "wait_share",
            "bound",
            "sound",
            "samples",
            "cpu_per_request",
            "top",
            "top_share",
            "self",
            "cumulative",
        ]),
        "share of a request's time that is waiting; what binds the service (`io`, `cpu`, `one_thread`, `mixed`, `unclear`), both from processor time alone; of a profiled run whether its profile is sound, its samples and, only of a sound one, CPU milliseconds a request; the function with most samples of its own, by the last part of its name, and its share; shares of all functions by the last parts of their names, as `profile.self.embed`",
    ),
];
