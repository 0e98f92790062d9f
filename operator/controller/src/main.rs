//! `porpoise-operator`: wiring only.

use clap::Parser;
use porpoise_controller::arguments::{Arguments, BackupOptions, Command, Format, Role};
use porpoise_controller::backup_hook;
use porpoise_controller::kubernetes::{Clients, chain};
use porpoise_controller::permissions::{PERMISSIONS, Reach, rules};
use porpoise_controller::run::run;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // First of all: whoever uses rustls without naming a provider must find this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Backup(options)) => back_up(&options),
        Some(Command::Permissions { format, role }) => print(format, role),
        None => operate(arguments.options),
    }
}

fn operate(options: porpoise_controller::arguments::Options) -> ExitCode {
    let filter = EnvFilter::try_from_env("PORPOISE_LOG").unwrap_or_else(|_| EnvFilter::new("info,kube=warn"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let configuration = match options.complete() {
        Ok(configuration) => configuration,
        Err(error) => return refuse(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let ended = runtime.block_on(run(configuration, terminated()));
    // Passes in flight are not waited for: each of their steps may be the last one.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// For people who read the log of a hook's Job: sentences, on lines of their own.
#[allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is how a command answers")]
fn back_up(options: &BackupOptions) -> ExitCode {
    let answer = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        runtime.block_on(async {
            let clients = Clients::connect().await.map_err(|error| chain(&error))?;
            backup_hook::run(clients.general, options).await.map_err(|error| chain(&error))
        })
    });
    match answer.unwrap_or_else(|error| Err(chain(&error))) {
        Ok(sentence) => {
            println!("{sentence}");
            ExitCode::SUCCESS
        }
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    tracing::error!(error = chain(error), "the operator ends");
    ExitCode::FAILURE
}

/// SIGTERM or SIGINT.
async fn terminated() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

#[allow(clippy::print_stdout, reason = "printing is what this command is for")]
fn print(format: Format, role: Role) -> ExitCode {
    let reach = match role {
        Role::Clusters => Reach::Clusters,
        Role::Operator => Reach::Operator,
        Role::Everywhere => Reach::Everywhere,
    };
    match format {
        Format::Yaml => match serde_norway::to_string(&rules(reach)) {
            Ok(text) => print!("{text}"),
            Err(error) => return refuse(&error),
        },
        Format::Markdown => {
            println!("| group | resource | verbs | for |\n|---|---|---|---|");
            for p in PERMISSIONS.iter().filter(|permission| permission.reach == reach) {
                println!("| {} | {} | {} | {} |", p.group, p.resource, p.verbs.join(", "), p.reason);
            }
        }
    }
    ExitCode::SUCCESS
}
