//! What is said at the start: where each service listens, and what to try.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::config::ServiceName;

/// One line for each service, at once visible to whoever waits for it.
pub(super) fn addresses(
    out: &mut dyn Write,
    services: &[(ServiceName, SocketAddr)],
) -> io::Result<()> {
    for (service, address) in services {
        writeln!(out, "{service} listening on http://{address}")?;
        out.flush()?;
    }
    Ok(())
}

/// Commands that work as they are.
pub(super) fn examples(
    out: &mut dyn Write,
    services: &[(ServiceName, SocketAddr)],
) -> io::Result<()> {
    const JSON: &str = "-H 'content-type: application/json' -d";
    for (service, address) in services {
        let (path, body) = match service {
            ServiceName::Inference => ("/predict", r#"{"text": "A great product"}"#),
            ServiceName::Llm => (
                "/v1/chat/completions",
                r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}"#,
            ),
            ServiceName::MultiQuery => (
                "/rows",
                r#"{"state_id": "try", "rows": [{"cs1_bg": "A fever", "cs2_bg": "A rash"}]}"#,
            ),
            ServiceName::Ensemble => {
                ("/api/time-travel", r#"{"question": "How good is GPT-4 at coding?"}"#)
            }
        };
        writeln!(out, "try: curl -s http://{address}{path} {JSON} '{body}'")?;
    }
    for (_, address) in services {
        writeln!(out, "control: curl -s http://{address}/control/ledger")?;
    }
    if let Some((_, address)) = services.first() {
        let faults = r#"[{"kind": 503, "rate": 0.1}]"#;
        writeln!(out, "control: curl -s -X PUT http://{address}/control/faults {JSON} '{faults}'")?;
    }
    out.flush()
}
