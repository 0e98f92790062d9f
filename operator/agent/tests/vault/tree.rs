//! Directories like those of mysqld, and the comparison of two.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// More than three chunks, of bytes that do not shrink.
pub const BIG: usize = 70 << 20;

/// Bytes that look random and are the same each time.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn write(root: &Path, name: impl AsRef<Path>, content: &[u8]) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A data directory with everything that may occur in one.
pub fn everything(root: &Path) {
    write(root, "ibdata1", &noise(BIG, 1));
    write(root, "undo_001", &vec![0; 5 << 20]);
    write(root, "mysql.ibd", &noise(1 << 20, 2));
    write(root, "shop/empty.ibd", b"");
    write(root, "shop/one.ibd", &[7]);
    write(root, "#innodb_redo/#ib_redo7", &noise(4096, 3));
    write(root, "shop/@00e4 with spaces \"and' quotes\n.ibd", b"odd");
    write(root, Path::new(OsStr::from_bytes(b"shop/not-unicode-\xff.ibd")), b"odd too");
    write(root, format!("shop/{}.ibd", "long".repeat(60)), b"long");
    // Tables and tablespaces that are named like what is left out.
    write(root, "shop/relay.ibd", b"table");
    write(root, "shop/binlog.000001", b"table");
    write(root, "relay.ibd", b"tablespace");
    write(root, "relay_shop/t.ibd", b"database");
    fs::create_dir(root.join("empty_database")).unwrap();
    symlink("shop/one.ibd", root.join("link")).unwrap();
    fs::set_permissions(root.join("shop/one.ibd"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(root.join("shop"), fs::Permissions::from_mode(0o750)).unwrap();
}

/// Names at the top that must not be stored.
pub const LEFT_OUT: &[&str] = &[
    "auto.cnf",
    "ca-key.pem",
    "binlog.000001",
    "binlog.index",
    "relay.000002",
    "relay.index",
    "host.pid",
    "slow.log",
    "#innodb_temp/temp_1.ibt",
    "#clone/#view_status",
    "ibtmp1",
];

/// What a directory holds: kind, mode and content by path.
pub fn content(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let bytes = if metadata.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            let mode = metadata.permissions().mode();
            all.insert(path.strip_prefix(root).unwrap().to_owned(), (mode, bytes));
        }
    }
    all
}

/// Compares without printing megabytes.
pub fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (content(one), content(other));
    let names = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for (name, (mode, bytes)) in &one {
        let (found_mode, found) = &other[name];
        assert!(bytes == found, "{} differs", name.display());
        assert_eq!(mode, found_mode, "mode of {}", name.display());
    }
}
