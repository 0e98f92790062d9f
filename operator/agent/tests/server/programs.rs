//! MySQL's programs, run through their own loader: their libc is newer than this machine's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The words that run a program of this path in the package.
fn words(path: &str) -> [String; 4] {
    let root = mysql_root();
    let root = root.display();
    let library = format!("{root}/usr/lib/x86_64-linux-gnu");
    [
        format!("{library}/ld-linux-x86-64.so.2"),
        "--library-path".to_owned(),
        library,
        format!("{root}/usr/{path}"),
    ]
}

/// One of MySQL's client programs, without any option file.
pub fn program(name: &str) -> Command {
    let [loader, words @ ..] = words(&format!("bin/{name}"));
    let mut command = Command::new(loader);
    command.args(words).arg("--no-defaults");
    command
}

/// A file that runs such a program.
pub fn write_client(path: &Path, name: &str) {
    write(path, &format!("#!/bin/sh\nexec {} \"$@\"\n", words(&format!("bin/{name}")).join(" ")));
}

/// A file that runs mysqld with what it would find elsewhere if it were installed.
pub fn write_server(path: &Path) {
    let (words, root) = (words("sbin/mysqld").join(" "), mysql_root());
    let root = root.display();
    let script = format!(
        "#!/bin/sh\n[ -e \"$0.orphan\" ] && (sleep 0.2 &)\nexec {words} \"$@\" --basedir={root}/usr \
         --plugin-dir={root}/usr/lib/mysql/plugin --lc-messages-dir={root}/usr/share/mysql \
         --character-sets-dir={root}/usr/share/mysql/charsets --user=root\n"
    );
    write(path, &script);
}

/// From now on the program of this path fails once, with these words, after it wrote something.
pub fn break_once(path: &Path, words: &str) {
    fs::rename(path, path.with_extension("real")).unwrap();
    fs::write(path.with_extension("words"), words).unwrap();
    let broken = "echo 'half of it'; cat \"$0.words\" >&2; exit 2";
    write(
        path,
        &format!("#!/bin/sh\nmkdir \"$0.broke\" 2>/dev/null && {{ {broken}; }}\nexec \"$0.real\" \"$@\"\n"),
    );
}

fn write(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn mysql_root() -> PathBuf {
    let root = std::env::var_os("PORPOISE_MYSQL_ROOT").map(PathBuf::from);
    let root = root.expect(
        "these tests need a real MySQL: set PORPOISE_MYSQL_ROOT to what `cargo run -p porpoise-e2e --bin rig -- \
         mysql-root` prints",
    );
    assert!(
        root.join("usr/sbin/mysqld").exists(),
        "PORPOISE_MYSQL_ROOT={} has no usr/sbin/mysqld",
        root.display()
    );
    root
}
