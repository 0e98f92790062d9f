//! `rig`: a real Kubernetes on this machine, from the command line.

use std::path::PathBuf;
use std::{fs, io::Write};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use porpoise_e2e::{
    fault::Cut,
    programs::{Profile, Programs},
    rig::{NodeLoss, OPERATOR, Options, Rig, ServiceSync, process, tools},
};

#[derive(Parser)]
#[command(about = "A real Kubernetes on this machine", long_about = None)]
struct Arguments {
    /// The rig's name; several may run at once.
    #[arg(long, global = true, default_value = "porpoise")]
    name: String,
    #[command(subcommand)]
    order: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Start it, or see that it runs
    Up {
        /// How many nodes; 0 for an API server alone
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        /// How quickly kube-proxy follows endpoints
        #[arg(long, value_enum, default_value = "quick")]
        service_sync: ServiceSync,
        /// How quickly a lost node is noticed
        #[arg(long, value_enum, default_value = "quick")]
        node_loss: NodeLoss,
    },
    /// Take it away
    Down,
    /// Say what runs
    Status,
    /// Print shell commands that point kubectl and helm at it
    Env,
    /// Load an image's tar into every node
    LoadImage {
        /// docker-archive or OCI layout
        file: PathBuf,
    },
    /// Add the storage class `snapshots`, whose volumes snapshots can be taken of
    Snapshots,
    /// Build the operator's image from this checkout and load it into every node
    BuildOperatorImage,
    /// Print the folder of MySQL's root file system, for tests of the agent; fetches it when it is not there
    MysqlRoot,
    /// Print the path of an S3 server, for tests of the agent; builds it when it is not there
    StoreProgram,
    /// Where the emulator of Azure Blob Storage is.
    AzureProgram,
    /// Where the emulator of Google Cloud Storage is.
    GcsProgram,
    /// Print the folder of the storage driver for snapshots and what runs beside it; builds them when they are not there
    SnapshotPrograms,
    /// Print a component's log, or the components that have one
    Logs {
        /// For example kube-apiserver or kubelet-n1
        component: Option<String>,
    },
    /// Cut a node off
    Cut {
        /// n1, n2, ...
        node: String,
        /// What no longer gets through
        #[arg(value_enum, default_value = "both")]
        cut: Cut,
    },
    /// Take back every cut of a node
    Heal {
        /// n1, n2, ...
        node: String,
    },
    /// End everything on a node at one instant
    Crash {
        /// n1, n2, ...
        node: String,
    },
    /// Start a crashed node again
    Boot {
        /// n1, n2, ...
        node: String,
    },
    /// Take back every fault
    Repair,
    /// Run a command in a node's network
    ExecNode {
        /// n1, n2, ...
        node: String,
        /// Program and arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> Result<()> {
    let Arguments { name, order } = Arguments::parse();
    match order {
        Order::Up { nodes, service_sync, node_loss } => up(&Options { name, nodes, service_sync, node_loss }),
        Order::Down => down(&name),
        Order::Status => status(&Rig::attach(&name)?),
        Order::Env => environment(&Rig::attach(&name)?),
        Order::LoadImage { file } => Rig::attach(&name)?.load_image(&file),
        Order::Snapshots => Rig::attach(&name)?.with_snapshots(),
        Order::BuildOperatorImage => build_operator_image(&Rig::attach(&name)?),
        Order::MysqlRoot => mysql_root(),
        Order::StoreProgram => print(tools::store_program),
        Order::AzureProgram => print(tools::azure_program),
        Order::GcsProgram => print(tools::gcs_program),
        Order::SnapshotPrograms => print(tools::snapshot_programs),
        Order::Logs { component } => logs(&Rig::attach(&name)?, component.as_deref()),
        Order::Cut { node, cut } => Rig::attach(&name)?.cut_node(&node, cut),
        Order::Heal { node } => Rig::attach(&name)?.heal_node(&node),
        Order::Crash { node } => Rig::attach(&name)?.crash_node(&node),
        Order::Boot { node } => Rig::attach(&name)?.boot_node(&node),
        Order::Repair => Rig::attach(&name)?.repair(),
        Order::ExecNode { node, command } => execute(&Rig::attach(&name)?, &node, &command),
    }
}

fn up(options: &Options) -> Result<()> {
    let rig = Rig::up_blocking(options)?;
    println!("rig {} is up: export KUBECONFIG={}", options.name, rig.kubeconfig().display());
    Ok(())
}

fn down(name: &str) -> Result<()> {
    match Rig::attach(name) {
        Ok(rig) => rig.down(),
        Err(reason) => {
            println!("{reason}");
            Ok(())
        }
    }
}

fn status(rig: &Rig) -> Result<()> {
    for (name, process) in process::all(rig.site()) {
        println!("{name:<28} {:>8}  {}", process.pid, if process.is_alive() { "runs" } else { "ENDED" });
    }
    print!("{}", rig.kubectl(["get", "nodes", "--output=wide"])?);
    Ok(())
}

fn environment(rig: &Rig) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "export KUBECONFIG='{}'", rig.kubeconfig().display())?;
    Ok(writeln!(out, "export PATH='{}':\"$PATH\"", tools::bin().display())?)
}

fn mysql_root() -> Result<()> {
    porpoise_e2e::rig::prepare_host()?;
    println!("{}", porpoise_e2e::rig::mysql_root()?.display());
    Ok(())
}

fn print(program: fn() -> Result<PathBuf>) -> Result<()> {
    println!("{}", program()?.display());
    Ok(())
}

fn logs(rig: &Rig, component: Option<&str>) -> Result<()> {
    let Some(component) = component else {
        for (name, _) in process::all(rig.site()) {
            println!("{name}");
        }
        return Ok(());
    };
    let file = rig.log(component);
    let mut log = fs::File::open(&file).with_context(|| format!("open {}", file.display()))?;
    std::io::copy(&mut log, &mut std::io::stdout()).map(drop).context("print the log")
}

fn execute(rig: &Rig, node: &str, command: &[String]) -> Result<()> {
    let node = rig.node_named(node)?;
    let (program, arguments) = command.split_first().context("a command")?;
    let status = porpoise_e2e::rig::network::enter(&node, program).args(arguments).status()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn build_operator_image(rig: &Rig) -> Result<()> {
    rig.load_image(&Programs::build(Profile::Dev)?.image(OPERATOR)?)
}
