//! `porpoise-agent`: process 1 of the mysql container.

use clap::{Parser, Subcommand};
use porpoise_agent::backup::job::{self, JobSettings};
use porpoise_agent::blackbox::{self, ProbeSettings};
use porpoise_agent::settings::Settings;
use porpoise_agent::volume::{self, VolumeSettings};
use porpoise_agent::{install, local, logging, run};
use porpoise_core::names;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "The agent: parent of mysqld in every MySQL Pod")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copy this program into a directory.
    Copy {
        /// The directory.
        directory: PathBuf,
    },
    /// Keep mysqld and take orders.
    Run(Box<Settings>),
    /// Write and read through the Services as an application does, and serve how it goes as metrics.
    Probe(ProbeSettings),
    /// Do what a backup Job is for: store a member's data, or remove a stored backup.
    Backup(Box<JobSettings>),
    /// Serve a volume claim as an object store to the members of a cluster.
    Volume(VolumeSettings),
    /// Prepare for the end of the Pod.
    Prestop(Local),
    /// Print what the agent knows.
    State(Local),
}

#[derive(clap::Args)]
struct Local {
    /// Directory of the agent's socket.
    #[arg(long, default_value = names::RUN_PATH)]
    run_path: PathBuf,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Two providers would make rustls panic when none is chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome: Result<String, Box<dyn std::error::Error>> = match Arguments::parse().command {
        Command::Copy { directory } => {
            install::copy_self(&directory).map(|()| String::new()).map_err(Into::into)
        }
        Command::Run(settings) => {
            logging::start();
            run::run(*settings).await.map(|()| String::new()).map_err(Into::into)
        }
        Command::Probe(settings) => {
            logging::start();
            blackbox::run(settings).await.map(|()| String::new()).map_err(Into::into)
        }
        Command::Backup(settings) => {
            logging::start();
            job::run(*settings).await.map_err(Into::into)
        }
        Command::Volume(settings) => {
            logging::start();
            volume::run(settings).await.map(|()| String::new()).map_err(Into::into)
        }
        Command::Prestop(Local { run_path }) => local::ask_to_drain(&run_path).await.map_err(Into::into),
        Command::State(Local { run_path }) => local::ask_for_state(&run_path).await.map_err(Into::into),
    };
    match outcome {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("porpoise-agent: {}", logging::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
