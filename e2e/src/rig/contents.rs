//! The images every node has from the start.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    command::call,
    debian,
    images::{Entry, Image},
    progress::step,
    state,
    tools::{self, Tools, fingerprint},
};

/// MySQL as users run it: the server, its clients and a shell.
pub const MYSQL: &str = "porpoise.local/mysql:9.7.4";
/// A shell and the small tools.
pub const BUSYBOX: &str = "porpoise.local/busybox:1";
/// What keeps a Pod's namespaces open.
pub(super) const PAUSE: &str = "porpoise.local/pause:1";
/// Cluster DNS.
pub(super) const COREDNS: &str = "porpoise.local/coredns:1.14.6";
/// Volumes for claims.
pub(super) const LOCAL_PATH: &str = "porpoise.local/local-path-provisioner:0.0.30";

const MYSQL_PACKAGES: &[&str] =
    &["mysql-server-core", "mysql-client-core", "bash", "coreutils", "libc-bin", "base-files", "grep", "sed"];

/// Large parts that no MySQL Pod uses; perl only serves scripts we do not ship.
const MYSQL_LEFT_OUT: &[&str] = &[
    "dev",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/bin/mysql_migrate_keyring",
    "usr/bin/perror",
    "usr/bin/myisamchk",
    "usr/bin/myisampack",
    "usr/bin/myisamlog",
    "usr/bin/myisam_ftdump",
    "usr/bin/mysqlslap",
    "usr/bin/ibd2sdi",
    "usr/bin/innochecksum",
    "usr/lib/mysql/plugin/telemetry_client.so",
    "usr/lib/mysql/plugin/authentication_oci_client.so",
    "usr/lib/mysql/plugin/authentication_kerberos_client.so",
    "usr/lib/mysql/plugin/authentication_webauthn_client.so",
    "usr/lib/mysql/plugin/authentication_openid_connect_client.so",
];

/// Kept beside the root file system: no MySQL Pod uses it, but benches compare with it.
const GROUP_REPLICATION: &str = "usr/lib/mysql/plugin/group_replication.so";

const MYSQL_NEEDED: &[&str] = &[
    "usr/sbin/mysqld",
    "usr/bin/mysql",
    "usr/bin/mysqldump",
    "usr/bin/mysqlbinlog",
    "usr/bin/bash",
    "usr/bin/cat",
    "usr/lib/mysql/plugin/semisync_source.so",
    "usr/lib/mysql/plugin/semisync_replica.so",
    "usr/lib/mysql/plugin/mysql_clone.so",
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nmysql:x:27:27:MySQL:/var/lib/mysql:/bin/false\nnobody:x:65534:65534::/:/bin/false\n";
const GROUP: &str = "root:x:0:\nmysql:x:27:\nnogroup:x:65534:\n";
/// Without it, glibc asks DNS for `localhost`.
const NAME_SWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// Every image of a node that runs Pods, as tar files.
///
/// # Errors
/// When one cannot be made.
pub(super) fn all(tools: &Tools) -> Result<Vec<PathBuf>> {
    let busybox = fs::read("/bin/busybox").context("read the static busybox")?;
    let busybox_key = fingerprint(&[busybox]);
    let mut found = vec![
        pause().tar(&busybox_key)?,
        busybox_image()?.tar(&busybox_key)?,
        program(tools, COREDNS, "coredns")?,
        program(tools, LOCAL_PATH, "local-path-provisioner")?,
    ];
    found.push(mysql()?);
    Ok(found)
}

/// MySQL's root file system on the host, to run it in a `chroot`: it needs a newer libc than the host may have.
///
/// `mysqld` is `/usr/sbin/mysqld` in it and its plugins are in `/usr/lib/mysql/plugin`.
///
/// # Errors
/// When the packages cannot be fetched.
pub fn mysql_root() -> Result<PathBuf> {
    let _lock = state::lock("mysql")?;
    let mut sources = MYSQL_PACKAGES.to_vec();
    sources.extend([PASSWD, GROUP, NAME_SWITCH, GROUP_REPLICATION]);
    sources.extend(MYSQL_LEFT_OUT);
    let folder = tools::place("mysql", &sources);
    tools::once(&folder, |folder| {
        step("fetch MySQL from Debian", || {
            let root = folder.join("root");
            debian::extract(MYSQL_PACKAGES, &root)?;
            let plugin = group_replication(&root);
            fs::create_dir(plugin.parent().context("the plugin's folder")?)?;
            fs::rename(root.join(GROUP_REPLICATION), plugin).context("take Group Replication")?;
            finish(&root)
        })
    })?;
    Ok(folder.join("root"))
}

/// The plugin for Group Replication that belongs to the servers in `root`, the folder of [`mysql_root`].
pub fn group_replication(root: &Path) -> PathBuf {
    root.with_file_name("plugin").join("group_replication.so")
}

fn finish(root: &Path) -> Result<()> {
    for left_out in MYSQL_LEFT_OUT {
        let path = root.join(left_out);
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path).or_else(absent)? }
    }
    for (file, text) in [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/nsswitch.conf", NAME_SWITCH)] {
        fs::write(root.join(file), text)?;
    }
    for folder in ["dev", "var/lib/mysql", "run/mysqld", "etc/mysql"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for needed in MYSQL_NEEDED {
        ensure!(root.join(needed).exists(), "Debian's MySQL packages have no {needed}");
    }
    Ok(())
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn mysql() -> Result<PathBuf> {
    let root = mysql_root()?;
    let key = root
        .parent()
        .and_then(|folder| folder.to_str()?.rsplit('-').next())
        .context("key of MySQL's folder")?;
    step("MySQL image", || {
        Image::new(MYSQL, vec![Entry::Tree { from: root.clone() }], &["/usr/sbin/mysqld"]).tar(key)
    })
}

fn pause() -> Image {
    let entries = vec![Entry::File { from: "/bin/busybox".into(), to: "busybox".into() }];
    Image::new(PAUSE, entries, &["/busybox", "sleep", "2147483647"])
}

fn busybox_image() -> Result<Image> {
    let mut entries = vec![
        Entry::File { from: "/bin/busybox".into(), to: "bin/busybox".into() },
        Entry::Folder { to: "tmp".into(), mode: 0o1777 },
        Entry::Text { to: "etc/passwd".into(), text: PASSWD.into() },
        Entry::Text { to: "etc/group".into(), text: GROUP.into() },
    ];
    for applet in call("/bin/busybox", &["--list"])?.lines().filter(|applet| *applet != "busybox") {
        entries.push(Entry::Link { to: format!("bin/{applet}"), target: "busybox".into() });
    }
    Ok(Image::new(BUSYBOX, entries, &["/bin/sh"]))
}

fn program(tools: &Tools, reference: &str, name: &str) -> Result<PathBuf> {
    let from = tools.path(name)?;
    let key = fingerprint(&[from.display().to_string()]);
    let entries =
        vec![Entry::File { from, to: name.into() }, Entry::Folder { to: "tmp".into(), mode: 0o1777 }];
    Image::new(reference, entries, &[&format!("/{name}")]).tar(&key)
}
