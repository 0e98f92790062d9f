//! Copying the agent's own binary to where the mysql container finds it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Copies this very program into `directory`: beside first, then renamed, so nobody ever sees half of it. Doing it again
/// is fine: an init container runs once more when its Pod's sandbox is renewed.
pub fn copy_self(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let target = directory.join("porpoise-agent");
    let temporary = directory.join(format!(".porpoise-agent.{}", std::process::id()));
    fs::copy("/proc/self/exe", &temporary)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
    fs::File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, &target)
}
