//! A containerd store with every image unpacked, made once and planted into each new node.
//!
//! Importing takes seconds per node and image; planting takes a moment: layers and blobs never change, so nodes share them
//! by hard links, and only the databases are copied.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use super::{
    command::run,
    progress::{step, wait_for},
    tools::{self, Tools},
};

const START_LIMIT: Duration = Duration::from_secs(30);

/// The store with all of `images`.
///
/// # Errors
/// When an image cannot be imported.
pub(super) fn get(tools: &Tools, images: &[PathBuf]) -> Result<PathBuf> {
    let _lock = super::state::lock("seed")?;
    let names: Vec<String> = images.iter().map(|image| image.display().to_string()).collect();
    let sources: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = tools::place("seed", &sources);
    tools::once(&folder, |folder| step("unpack images", || grow(tools, images, folder)))?;
    remove_older(&folder)?;
    Ok(folder.join("root"))
}

/// A running rig loses nothing by it: its nodes hold links of their own to what they use.
fn remove_older(seed: &Path) -> Result<()> {
    let tools = seed.parent().context("the folder of tools")?;
    for entry in fs::read_dir(tools)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("seed-") && entry.path() != seed {
            fs::remove_dir_all(entry.path()).context("remove an older store of images")?;
        }
    }
    Ok(())
}

fn grow(tools: &Tools, images: &[PathBuf], folder: &Path) -> Result<()> {
    let state = tempfile::tempdir()?;
    let socket = state.path().join("containerd.sock");
    let config = state.path().join("config.toml");
    fs::write(&config, config_text(&folder.join("root"), state.path(), &socket))?;
    let mut daemon = Command::new(tools.path("containerd")?)
        .args(["--log-level", "error", "--config"])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("containerd.log"))?)
        .spawn()
        .context("start containerd")?;
    let result = import_all(tools, images, &socket);
    end(&mut daemon)?;
    result
}

fn config_text(root: &Path, state: &Path, socket: &Path) -> String {
    format!(
        "version = 3\nroot = {}\nstate = {}\ndisabled_plugins = ['io.containerd.grpc.v1.cri', \
         'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime']\n[grpc]\naddress = {}\n",
        json!(root),
        json!(state.join("state")),
        json!(socket)
    )
}

fn import_all(tools: &Tools, images: &[PathBuf], socket: &Path) -> Result<()> {
    let ctr = |arguments: &[&str]| {
        let mut command = Command::new(tools.path("ctr")?);
        run(command.arg("--address").arg(socket).args(["--namespace", "k8s.io"]).args(arguments))
    };
    wait_for("containerd answers", START_LIMIT, || ctr(&["version"]))?;
    for image in images {
        ctr(&["images", "import", &image.display().to_string()])?;
    }
    Ok(())
}

fn end(daemon: &mut Child) -> Result<()> {
    kill(Pid::from_raw(daemon.id().cast_signed()), Signal::SIGTERM)?;
    daemon.wait().map(drop).context("end containerd")
}

/// Copies the store `seed` to the new folder `store`.
///
/// # Errors
/// When the two are not on one file system or something cannot be written.
pub(super) fn plant(seed: &Path, store: &Path) -> Result<()> {
    run(Command::new("cp").args(["--archive", "--link"]).arg(seed).arg(store))?;
    for database in databases(store)? {
        let copy = database.with_extension("copy");
        fs::copy(&database, &copy)?;
        fs::rename(&copy, &database)?;
    }
    Ok(())
}

fn databases(store: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for plugin in fs::read_dir(store)? {
        for entry in fs::read_dir(plugin?.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "db") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_shared_and_databases_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let (seed, store) = (folder.path().join("seed"), folder.path().join("store"));
        fs::create_dir_all(seed.join("plugin/blobs")).unwrap();
        fs::write(seed.join("plugin/meta.db"), "empty").unwrap();
        fs::write(seed.join("plugin/blobs/layer"), "layer").unwrap();
        plant(&seed, &store).unwrap();
        fs::write(store.join("plugin/meta.db"), "filled").unwrap();
        assert_eq!(fs::read_to_string(seed.join("plugin/meta.db")).unwrap(), "empty");
        assert_eq!(fs::read_to_string(store.join("plugin/blobs/layer")).unwrap(), "layer");
    }
}
