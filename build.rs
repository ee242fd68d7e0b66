//! Notes the commit that gander is built from, for the provenance in its reports.

use std::process::Command;

fn main() {
    // Whatever makes a commit or a changed tree of it: a report must not name another one.
    for path in
        [".git/HEAD", ".git/refs/heads", "src", "mock-server/src", "scenarios", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={path}");
    }
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    if let Ok(output) = described
        && output.status.success()
    {
        println!(
            "cargo::rustc-env=GANDER_COMMIT={}",
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
}
