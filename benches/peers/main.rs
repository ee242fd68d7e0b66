//! What gander costs, beside its peers, in one run on one machine:
//!
//! ```sh
//! cargo bench --bench peers
//! ```
//!
//! 50 connections send a POST of 200 bytes to a fast server on loopback, as fast as they can; the
//! CPU time of the whole generator process (start, recording and report included) is divided by the
//! requests that it sent. Generator and server have a core each, where there are two. The order of
//! the tools changes from round to round; ratios are taken within a round. Then 10,000 users are
//! held on a service that takes 50 ms.

#![allow(clippy::panic, reason = "a bench that cannot go on ends")]

mod server;
mod tools;

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use tools::{Cost, Tool};

const ROUNDS: usize = 7;
const GOAL_OF_WRK: f64 = 1.3;
const GOAL_OF_OHA: f64 = 1.0;
const GOAL_MEMORY_MB: f64 = 350.0;
const GOAL_START_CPU_S: f64 = 5.0;

fn main() -> ExitCode {
    // Cargo hands `--bench` to every bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [serve, delay_ms] = arguments.as_slice()
        && serve == "serve"
    {
        server::serve(delay_ms.parse().expect("a delay in milliseconds"));
        return ExitCode::SUCCESS;
    }
    install_missing();
    let cheap = side_by_side();
    let small = ten_thousand_users();
    if cheap && small { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Installs wrk and oha where they are missing and can be had.
fn install_missing() {
    if Tool::PEERS.iter().all(|tool| tool.is_there()) {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/install-peers");
    match Command::new(script).status() {
        Ok(status) if status.success() => {}
        other => {
            say(&format!("could not install the missing peers ({other:?}); what needs them fails"))
        }
    }
}

fn side_by_side() -> bool {
    let server = server::Server::start(0);
    let tools: Vec<Tool> =
        [Tool::Gander].into_iter().chain(Tool::PEERS).filter(|tool| tool.is_there()).collect();
    let mut rounds: Vec<Vec<Cost>> = Vec::new();
    for round in 0..ROUNDS {
        let mut costs = vec![Cost::default(); tools.len()];
        for turn in 0..tools.len() {
            let which = (turn + round) % tools.len();
            costs[which] = tools[which].run(server.port);
        }
        let line: Vec<String> = tools
            .iter()
            .zip(&costs)
            .map(|(tool, cost)| format!("{} {:.2} us ({:.0} RPS)", tool.name(), cost.us, cost.rps))
            .collect();
        say(&format!("round {}: {}", round + 1, line.join(", ")));
        rounds.push(costs);
    }
    say(
        "\n| generator | us of CPU a request (median) | gander / it (median of rounds) |\n|---|--:|--:|",
    );
    let mut met = true;
    for (which, tool) in tools.iter().enumerate() {
        let own = median(rounds.iter().map(|costs| costs[which].us));
        let ratio = median(rounds.iter().map(|costs| costs[0].us / costs[which].us));
        say(&format!("| {} | {own:.2} | {ratio:.2} |", tool.name()));
        met &= match tool {
            Tool::Wrk => ratio <= GOAL_OF_WRK,
            Tool::Oha => ratio <= GOAL_OF_OHA,
            Tool::Gander => true,
        };
    }
    let missing: Vec<&str> =
        Tool::PEERS.iter().filter(|peer| !tools.contains(peer)).map(|peer| peer.name()).collect();
    let ruling = match (missing.as_slice(), met) {
        (_, false) => "MISSED".to_owned(),
        ([], true) => "met".to_owned(),
        (missing, true) => format!("NOT MEASURED, without {}", missing.join(" and ")),
    };
    let goals = format!("at most {GOAL_OF_WRK} of wrk, at most {GOAL_OF_OHA} of oha");
    say(&format!("goal ({goals}): {ruling}\n"));
    met && missing.is_empty()
}

fn ten_thousand_users() -> bool {
    let server = server::Server::start(50);
    let crowd = tools::crowd(server.port, 10_000);
    say(&format!(
        "10,000 users on a service of 50 ms: {} users active at most, peak memory {:.0} MB, {:.2} s of \
         CPU until all had started, {} requests, {} failed",
        crowd.users, crowd.peak_mb, crowd.start_cpu_s, crowd.requests, crowd.failed
    ));
    let met = crowd.users == 10_000
        && crowd.failed == 0
        && crowd.peak_mb < GOAL_MEMORY_MB
        && crowd.start_cpu_s < GOAL_START_CPU_S;
    let goals = format!("under {GOAL_MEMORY_MB} MB, started within {GOAL_START_CPU_S} s of CPU");
    say(&format!("goal ({goals}): {}", if met { "met" } else { "MISSED" }));
    met
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}
