//! `crdgen write` renews the generated files, `crdgen check` fails when one of them is stale.

use porpoise_crdgen::{check, root, write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("write") => write(&root()).map(|written| {
            for path in &written {
                println!("wrote {}", path.display());
            }
            println!("{} files changed", written.len());
            ExitCode::SUCCESS
        }),
        Some("check") => check(&root()).map(|stale| {
            for path in &stale {
                eprintln!("stale: {}", path.display());
            }
            if stale.is_empty() {
                ExitCode::SUCCESS
            } else {
                eprintln!("run `make generate` and commit the result");
                ExitCode::FAILURE
            }
        }),
        _ => {
            eprintln!("usage: crdgen write | check");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}
