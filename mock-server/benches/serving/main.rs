//! What the reference services cost, in one run on one machine:
//!
//! ```sh
//! cargo bench -p mock-server --bench serving
//! ```
//!
//! Three questions. What does the ledger take from a request? How many requests does the llm service
//! answer per second of its own CPU time, beside a bare hyper server that returns the same bytes to
//! the same requests (wrk drives both, in turns; ratios are taken within a round)? And how much
//! memory do 10,000 streams take that wait for their next token?

#![allow(clippy::panic, clippy::unwrap_used, reason = "a bench that cannot go on ends")]

mod bare;
mod idle;
mod ledger;
mod process;
mod wrk;

use std::io::Write;
use std::process::ExitCode;

use process::Server;

const ROUNDS: usize = 5;
const GOAL_SHARE: f64 = 0.6;
const GOAL_MEMORY_MB: f64 = 300.0;
const GOAL_LEDGER_US: f64 = 2.0;

/// What is asked in every request of the comparison.
const ASKED: &str = r#"{"model":"gpt-4o","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"Assess the treatment of this patient in one sentence."}],"temperature":0.0}"#;

fn main() -> ExitCode {
    // Cargo hands `--bench` to every bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [serve, head, body] = arguments.as_slice()
        && serve == "serve-bare"
    {
        bare::serve(head, body);
        return ExitCode::SUCCESS;
    }
    let cheap = ledger_cost();
    let fast = beside_bare_hyper();
    let small = idle_streams();
    if cheap && fast && small { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ledger_cost() -> bool {
    let mut worst: f64 = 0.0;
    for threads in [1, 2] {
        let ns = ledger::cost_ns(threads);
        worst = worst.max(ns);
        say(&format!("ledger, {threads} threads: {ns:.0} ns of a thread's time a request"));
    }
    judge("ledger, us a request", worst / 1e3, GOAL_LEDGER_US, worst / 1e3 <= GOAL_LEDGER_US)
}

fn beside_bare_hyper() -> bool {
    let llm = Server::llm(&["--set", "llm.latency=0"]);
    let (head, body) = wrk::answer(&llm.address, ASKED);
    say(&format!("\nboth return a head of {} and a body of {} bytes", head.len(), body.len()));
    let bare = Server::bare(&head, &body);
    let mut shares = Vec::new();
    for round in 0..ROUNDS {
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let which = (turn + round) % 2;
            rates[which] = wrk::requests_per_cpu_second([&llm, &bare][which], ASKED);
        }
        let share = rates[0] / rates[1];
        say(&format!(
            "round {}: llm {:.0}, bare hyper {:.0} requests per second of CPU: {share:.2}",
            round + 1,
            rates[0],
            rates[1]
        ));
        shares.push(share);
    }
    shares.sort_by(f64::total_cmp);
    let median = shares[shares.len() / 2];
    judge("llm / bare hyper, requests per core", median, GOAL_SHARE, median >= GOAL_SHARE)
}

fn idle_streams() -> bool {
    let latency = "llm.latency={ base = \"0\", per_token = \"1h\" }";
    let llm = Server::llm(&["--set", latency]);
    let before = llm.memory_mb();
    let held = idle::streams(&llm.address, 10_000);
    let memory = llm.memory_mb();
    say(&format!(
        "\n{} streams wait for their next token: {memory:.0} MB, {before:.0} before",
        held
    ));
    judge("10,000 idle streams, MB", memory, GOAL_MEMORY_MB, memory < GOAL_MEMORY_MB)
}

fn judge(what: &str, measured: f64, goal: f64, is_met: bool) -> bool {
    let verdict = if is_met { "met" } else { "MISSED" };
    say(&format!("{what}: {measured:.2} (goal {goal}): {verdict}"));
    is_met
}

fn say(line: &str) {
    // Whoever closed the output does not want to read on.
    let _ = writeln!(std::io::stdout(), "{line}");
}
