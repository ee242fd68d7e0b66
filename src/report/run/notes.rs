//! Footnotes: how each figure is made, said once.

use crate::measure::metric::Metric;
use crate::measure::summary::samples_needed;
use crate::report::model::Note;

/// The footnotes of a report, numbered in the order of their first mention.
#[derive(Debug, Default)]
pub struct Notes(Vec<String>);

impl Notes {
    /// The number of this footnote; a text that is known keeps its number.
    pub fn refer(&mut self, text: impl Into<String>) -> Note {
        let text = text.into();
        let known = self.0.iter().position(|seen| *seen == text);
        let index = known.unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        });
        Note(index + 1)
    }

    /// The number of the footnote that says how `metric` is taken.
    pub fn metric(&mut self, metric: Metric) -> Note {
        self.refer(format!("{}: {}.", metric.label(), metric.formula()))
    }

    /// The number of the footnote for percentiles from too few values.
    pub fn few_samples(&mut self) -> Note {
        self.refer(few_samples())
    }

    /// The texts, in order.
    pub fn into_texts(self) -> Vec<String> {
        self.0
    }
}

/// The note on percentiles from too few values.
pub fn few_samples() -> String {
    let [p50, p95, p99] = [0.50, 0.95, 0.99].map(samples_needed);
    format!(
        "From so few values that the slowest alone sets it: p50 needs at least {p50}, p95 {p95}, p99 {p99}."
    )
}

/// What is counted.
pub const COUNT: &str = "Count: requests that were due in the measured part and ended by themselves, successes and failures. What the stop of the run cancelled is not in it.";
/// Mean, minimum and maximum.
pub const EXACT: &str =
    "Mean, min and max are exact, over successes only: a failed request has no latency here.";
/// Percentiles.
pub const PERCENTILE: &str = "Percentile p: the smallest recorded value with at least p% of the successes at or below it, from an HDR histogram with three significant digits (an error of at most 0.05%).";
/// Failures.
pub const FAIL: &str = "Fail %: failed requests, of whatever kind, over count.";
/// Throughput.
pub const RPS: &str = "RPS: requests that ended by themselves in the measured part, successes and failures, over its length in seconds. A request that was due in it and ended later is in Count, and not in RPS.";
/// CPU.
pub const CPU: &str = "CPU: processor time (user and system) of the whole process tree in the measured part; 100% is one processor. Looks are about a second apart; what was used between the two around an edge of the measured part counts by the share of that time inside. Mean is over the whole part, peak is the largest between two looks.";
/// CPU of a request.
pub const CPU_PER_REQUEST: &str =
    "CPU per request: CPU seconds a second over requests a second (RPS), in milliseconds.";
/// Memory.
pub const MEMORY: &str = "Memory: resident memory of the whole process tree in the measured part; pages that processes share count for each. Start is the nearest look before it, growth the nearest look after it less that one, where they are within 1.5 s of it; else the first and last look inside.";
/// Counts of a process tree.
pub const HIGHEST: &str =
    "The most at any look in the measured part, the nearest before and after it included.";
/// Proportional memory.
pub const PSS: &str = "Proportional memory (PSS): a page that n processes share counts 1/n for each, so that the sum over a tree counts it once. Looked at once a second at most.";
/// Sockets by state.
pub const TCP: &str = "The most TCP sockets in each state, not all of them at the same look; close-wait: the other side has closed, and this side has not. A socket in TIME_WAIT belongs to no process any more and is not counted.";
/// Waiting for a processor.
pub const WAITING: &str = "Time in which threads were ready to run and waited for a processor, over the time between the first and the last look: 1 is one thread that always waits. Of the system's schedstat, all threads.";
/// The busiest thread.
pub const BUSIEST: &str = "CPU of the busiest thread between two looks, the largest: near 100%, one thread holds the rest up.";
/// Context switches.
pub const SWITCHES: &str = "Voluntary: a thread gave its processor up, to wait; involuntary: it was taken from it. All threads that were there at two looks.";
/// Throttling.
pub const THROTTLED: &str = "Time in which the control group had used up its share of processor time and was not let run, from the first to the last look.";
/// What looking costs.
pub const COST_OF_LOOKING: &str =
    "CPU time of gander that looking at these processes took, of one processor.";
/// Limits.
pub const LIMITS: &str = "Limits of the process's control groups (the tightest on the way up) and of open files, as they were at the first look. Peaks are those of the table above, the memory of several processes the proportional one; a limit of a group counts all processes in it.";
/// Leak verdicts.
pub const LEAKS: &str = "Of the measured part without its first quarter, in 40 bins with their medians: slope of Theil and Sen with its 95% interval. A leak: the lower end is above the threshold for this length (0.2 MB/min of memory, one file, socket or thread in two minutes; (600 s / length)^1.5 times as much in runs below 10 minutes), Mann and Kendall's deviate is above 2.58, and the second half grows at least half as fast as the first. No leak: the upper end is below that of 10 minutes, for the whole, for the second half, or for the floor (the troughs between 5 or more teeth of at least 6 looks, by least squares, else the least values of 8 equal parts). Under load that grew there is no leak yet, under load that fell no plateau: then it is too early to say.";
/// What would be found.
pub const DETECTABLE: &str = "The slowest steady growth that a run of this length and noise would have been called a leak for.";
/// Growth for rows.
pub const PER_1000_ROWS: &str =
    "The slope over the rows, or iterations, that ended by themselves in the measured part.";
/// The generator's own lateness.
pub const TIMER_LAG: &str = "Timer lag: how late the latest of the timers fired that gander sets every 10 ms on the threads that make the load, up to a second around the measured part included. Up to about 1 ms is the timers' own resolution and is not subtracted; more means that gander or its machine was too busy to act in time, and response times may hold as much of gander's own.";
/// The ledger.
pub const LEDGER: &str = "Ledger: the whole run, warm-up and cool-down included. It must hold in every second that scheduled = sent + dropped, and sent = ended + in flight.";
/// How rows are counted.
pub const ROWS: &str = "Rows and iterations count by when they were due: here those due in the measured part. A row is an iteration, or a row of a response where responses carry rows; where the scenario says how many rows an iteration stands for, those that no response had count as failed.";
/// Rate of rows.
pub const ROW_RATE: &str = "Ended by themselves in the measured part, over its length in seconds.";
/// Time of rows.
pub const ROW_TIME: &str = "From the moment it was due to the end of its last request, of successful ones only; of a row in a response: the response time of its request.";
/// The slowest request of a row.
pub const SLOWEST: &str = "Response times of the slowest request of each over the times of all of them, where they have several requests. The rest is other requests that were waited for, and gander itself.";
/// Wasted requests.
pub const WASTED: &str = "Requests that succeeded, and their tokens, where the whole failed and its results were discarded.";
/// What budgets say.
pub const BUDGET: &str = "Of the whole run. Requests are attempts, and never exceed their budget; tokens and cost are known when a response has ended, so that what is in flight then comes on top.";
/// Error-adjusted percentiles.
pub const ADJUSTED: &str = "Adjusted: percentiles over successes and failures together, a failure of whatever kind (what was due and never sent included) counting as infinitely slow. A percentile that falls among failures is infinite.";
/// Tokens.
pub const TOKENS: &str = "Reported: responses whose requests were due in the measured part and that said how many tokens they used. Not reported: the other requests counted there, failures included; their tokens are not known and never estimated. Input, cached, output and reasoning are sums over the responses that reported that kind.";
/// Tokens per second.
pub const TOKEN_RATE: &str = "Tokens/s: tokens that responses reported which ended in the measured part, whatever their outcome, over its length in seconds.";
/// Cost.
pub const COST: &str = "Cost: tokens of the responses that reported them, at the scenario's prices; per 1000 requests that have a price.";
/// Goodput.
pub const GOODPUT: &str = "Goodput: requests that succeeded and kept every limit of their step, over the requests due in the measured part that ended by themselves; per second: those that ended in it, over its length. A request without the time for a limit did not keep it.";
/// Times in a run.
pub const MOMENT: &str = "Seconds since the start of the run.";
/// Examples.
pub const EXAMPLES: &str =
    "A few different messages of each kind, with secrets left out and long ones cut.";
