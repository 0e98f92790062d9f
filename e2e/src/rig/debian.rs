//! Debian packages, unpacked without being installed.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use super::{command::run, host::debian_mirror};

/// The only suite with MySQL 9.7 and a containerd of version 2.
const SUITE: &str = "sid";

/// Package files that were used when this was written, with their checksums.
const RECORD: &str = include_str!("../../tools/debian.lock");

const LEFT_OUT: &[&str] =
    &["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"];

/// Unpacks `packages` and all they depend on into the new folder `root`.
///
/// A package of another version than the recorded one is taken with a note, as the archive keeps only its newest; one of
/// the recorded version must be the same file. apt checks the archive's signatures in either case. Checksums of all that
/// was unpacked stay in a file beside `root`.
///
/// # Errors
/// When the archive cannot be read or a file is not what was recorded.
pub(super) fn extract(packages: &[&str], root: &Path) -> Result<()> {
    let sums = root.with_extension("sums");
    let hook = format!("cd \"$1\"/var/cache/apt/archives && sha256sum *.deb > '{}'", sums.display());
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--variant=extract"])
        // The index of this suite is often older than it promises to be.
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg(format!("--include={}", packages.join(",")))
        .args(LEFT_OUT.iter().map(|pattern| format!("--dpkgopt=path-exclude={pattern}")))
        .arg(format!("--extract-hook={hook}"))
        .arg(SUITE)
        .arg(root)
        .arg(debian_mirror()?);
    run(&mut command)?;
    let found = fs::read_to_string(&sums).context("read the packages' checksums")?;
    compare(&parse(&found), &parse(RECORD))
}

fn parse(text: &str) -> BTreeMap<&str, &str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, file)| (file, sum))
        .collect()
}

fn compare(found: &BTreeMap<&str, &str>, recorded: &BTreeMap<&str, &str>) -> Result<()> {
    let mut unknown = Vec::new();
    for (file, sum) in found {
        match recorded.get(file) {
            Some(known) if known == sum => {}
            Some(_) => bail!("{file} from the Debian archive is not the file that tools/debian.lock records"),
            None => unknown.push(*file),
        }
    }
    if !unknown.is_empty() {
        eprintln!(
            "  note: {} packages are newer than tools/debian.lock records: {}",
            unknown.len(),
            shorten(&unknown.join(" "))
        );
    }
    Ok(())
}

fn shorten(text: &str) -> String {
    const LIMIT: usize = 300;
    if text.len() <= LIMIT {
        text.to_owned()
    } else {
        format!("{} ...", &text[..text.floor_char_boundary(LIMIT)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_refused_and_a_new_version_is_not() {
        let recorded = parse("# comment\naa  x_1.deb\n");
        assert!(compare(&parse("aa  x_1.deb\n"), &recorded).is_ok());
        assert!(compare(&parse("bb  x_2.deb\n"), &recorded).is_ok());
        assert!(compare(&parse("bb  x_1.deb\n"), &recorded).is_err());
    }

    #[test]
    fn the_record_holds_checksums() {
        assert!(parse(RECORD).values().all(|sum| sum.len() == 64));
    }
}
