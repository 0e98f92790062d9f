//! Operator and agent, built from this checkout.

use crate::rig::operator_image;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How they are built.
#[derive(Clone, Copy, Debug)]
pub enum Profile {
    /// Quick to build: for tests.
    Dev,
    /// As users get them: for figures.
    Release,
}

impl Profile {
    /// That of `PORPOISE_PROFILE`.
    ///
    /// # Errors
    /// When it names another one.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("PORPOISE_PROFILE").as_deref() {
            Err(_) | Ok("dev") => Ok(Self::Dev),
            Ok("release") => Ok(Self::Release),
            Ok(other) => bail!("PORPOISE_PROFILE is `dev` or `release`, not {other:?}"),
        }
    }
}

/// The programs of the operator's image.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The operator.
    pub operator: PathBuf,
    /// The agent.
    pub agent: PathBuf,
}

impl Programs {
    /// Builds both.
    ///
    /// # Errors
    /// When they do not build; Cargo says why.
    pub fn build(profile: Profile) -> Result<Self> {
        let mut command = cargo();
        command.args(["build", "--quiet", "--package=porpoise-controller", "--package=porpoise-agent"]);
        if matches!(profile, Profile::Release) {
            command.arg("--release");
        }
        ensure!(command.status().context("run cargo")?.success(), "build the operator and the agent");
        let folder = folder(profile)?;
        Ok(Self { operator: folder.join("porpoise-operator"), agent: folder.join("porpoise-agent") })
    }

    /// The image with both, as a tar.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn image(&self, reference: &str) -> Result<PathBuf> {
        let Self { operator, agent } = self;
        operator_image(&[(operator, "porpoise-operator"), (agent, "porpoise-agent")], reference)
    }
}

/// Cargo, as people call it in the checkout. Without what it tells this program about its package: build scripts that look at
/// such variables would run again, and all that depends on them would be built anew, each time.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    for name in told {
        command.env_remove(name);
    }
    command.current_dir(checkout());
    command
}

/// The checkout that Cargo runs this program from; without Cargo, the one it was built from. Checkouts share a folder of
/// builds, so that the two may differ.
pub fn checkout() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The folder of the workspace's programs: that of this one, or its parent for tests; or its sibling of another profile.
fn folder(profile: Profile) -> Result<PathBuf> {
    let own = std::env::current_exe().context("find our own program")?;
    let folder = own.parent().context("our own folder")?;
    let folder =
        if folder.ends_with("deps") { folder.parent().context("the target folder")? } else { folder };
    Ok(match profile {
        Profile::Dev => folder.to_path_buf(),
        Profile::Release => folder.with_file_name("release"),
    })
}
