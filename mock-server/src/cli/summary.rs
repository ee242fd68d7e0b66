//! What is said at the end: the ledger of each service, in short.

use std::io::{self, Write};

use crate::ledger::Snapshot;

pub(super) fn summary(out: &mut dyn Write, ledger: &Snapshot) -> io::Result<()> {
    let requests = ledger.requests;
    write!(
        out,
        "\n{}: {} requests answered and {} abandoned in {:.1} s; at most {} in flight; \
         {} items; {} connections",
        ledger.service,
        requests.answered,
        requests.abandoned,
        ledger.elapsed_s,
        ledger.peak_in_flight,
        ledger.items,
        ledger.sockets.accepted,
    )?;
    if requests.broken > 0 {
        write!(out, "; {} answers cut short by faults", requests.broken)?;
    }
    writeln!(out)?;
    if !ledger.faults.is_empty() {
        let kinds: Vec<String> =
            ledger.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(out, "faults injected: {}", kinds.join(", "))?;
    }
    let tokens = ledger.tokens;
    if tokens.prompt + tokens.completion > 0 {
        writeln!(out, "tokens: {} of prompts, {} of answers", tokens.prompt, tokens.completion)?;
    }
    let calls = &ledger.upstream;
    if calls.begun > 0 {
        let outcomes: Vec<String> =
            calls.outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        writeln!(
            out,
            "upstream: {} calls ({}); {} cancelled; at most {} in flight; {} clients; mean {:.3} ms",
            calls.begun,
            outcomes.join(", "),
            calls.cancelled,
            calls.peak_in_flight,
            calls.clients,
            calls.times.mean_ms,
        )?;
    }
    routes(out, ledger)?;
    out.flush()
}

fn routes(out: &mut dyn Write, ledger: &Snapshot) -> io::Result<()> {
    if ledger.requests.answered == 0 {
        return Ok(());
    }
    let width = ledger.routes.keys().map(|name| name.chars().count()).max().unwrap_or(0).max(24);
    writeln!(
        out,
        "{:<width$} {:>6} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "route", "status", "count", "mean ms", "p50 ms", "p95 ms", "p99 ms", "max ms"
    )?;
    for (name, route) in &ledger.routes {
        for (status, f) in &route.statuses {
            writeln!(
                out,
                "{name:<width$} {status:>6} {:>9} {:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                f.count, f.mean_ms, f.p50_ms, f.p95_ms, f.p99_ms, f.max_ms
            )?;
        }
    }
    Ok(())
}
