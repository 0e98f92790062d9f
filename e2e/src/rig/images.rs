//! Container images, made without Docker: one layer, one configuration, one manifest in a tar (docker-archive).

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::{
    state,
    tools::{fingerprint, hex},
};

/// One thing in an image's file system; paths are without a leading slash.
pub enum Entry {
    /// A file of the host.
    File {
        /// Where it is on the host.
        from: PathBuf,
        /// Where it will be.
        to: String,
    },
    /// A folder of the host with all that is in it, as the image's root.
    Tree {
        /// Where it is on the host.
        from: PathBuf,
    },
    /// A file with this text.
    Text {
        /// Where it will be.
        to: String,
        /// What is in it.
        text: String,
    },
    /// An empty folder.
    Folder {
        /// Where it will be.
        to: String,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it will be.
        to: String,
        /// What it points to.
        target: String,
    },
}

/// An image to make.
pub struct Image {
    /// Name and tag.
    pub reference: String,
    /// Its file system.
    pub entries: Vec<Entry>,
    /// What runs in it.
    pub entrypoint: Vec<String>,
    /// Its search path.
    pub path: String,
}

impl Image {
    /// An image that runs `entrypoint`, with the usual search path.
    pub fn new(reference: &str, entries: Vec<Entry>, entrypoint: &[&str]) -> Self {
        Self {
            reference: reference.to_owned(),
            entries,
            entrypoint: entrypoint.iter().map(|part| (*part).to_owned()).collect(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
        }
    }

    /// The image's tar; made if the cache has none for `key`.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn tar(&self, key: &str) -> Result<PathBuf> {
        let folder = state::cache().join("images");
        fs::create_dir_all(&folder)?;
        let name = self.reference.rsplit('/').next().unwrap_or_default().replace(':', "_");
        let file = folder.join(format!("{name}-{key}.tar"));
        if !file.exists() {
            let partial = tempfile::NamedTempFile::new_in(&folder)?;
            self.write(&folder, partial.as_file())?;
            partial.persist(&file)?;
        }
        Ok(file)
    }

    fn write(&self, scratch: &Path, to: &File) -> Result<()> {
        let layer = tempfile::NamedTempFile::new_in(scratch)?;
        let mut hashed = Hashed { inner: io::BufWriter::new(layer.as_file()), hash: Sha256::new() };
        let mut builder = Builder::new(&mut hashed);
        builder.follow_symlinks(false);
        self.entries.iter().try_for_each(|entry| append(&mut builder, entry))?;
        builder.into_inner()?.flush()?;
        let digest = hex(&hashed.hash.finalize());

        let config = self.config(&digest);
        let config_name = format!("{}.json", hex(&Sha256::digest(&config)));
        let manifest =
            json!([{ "Config": config_name, "RepoTags": [self.reference], "Layers": ["layer.tar"] }]);
        let mut archive = Builder::new(io::BufWriter::new(to));
        append_bytes(&mut archive, "manifest.json", manifest.to_string().as_bytes(), 0o644)?;
        append_bytes(&mut archive, &config_name, config.as_bytes(), 0o644)?;
        archive.append_path_with_name(layer.path(), "layer.tar")?;
        Ok(archive.into_inner()?.flush()?)
    }

    fn config(&self, layer: &str) -> String {
        json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": { "Entrypoint": self.entrypoint, "Env": [format!("PATH={}", self.path)] },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
        })
        .to_string()
    }
}

/// A FROM-scratch image of static programs; each pair is a file of the host and its name in the image's root.
///
/// # Errors
/// When a program cannot be read.
pub fn operator_image(binaries: &[(&Path, &str)], reference: &str) -> Result<PathBuf> {
    let mut contents = vec![reference.as_bytes().to_vec()];
    for (from, name) in binaries {
        contents.push(name.as_bytes().to_vec());
        contents.push(fs::read(from).with_context(|| format!("read {}", from.display()))?);
    }
    let key = fingerprint(&contents);
    let first = binaries.first().map(|(_, name)| format!("/{name}")).context("an image needs a program")?;
    let entries = binaries
        .iter()
        .map(|(from, name)| Entry::File { from: (*from).to_path_buf(), to: (*name).to_owned() });
    Image::new(reference, entries.collect(), &[&first]).tar(&key)
}

fn append(builder: &mut Builder<impl Write>, entry: &Entry) -> Result<()> {
    match entry {
        Entry::File { from, to } => append_file(builder, from, to),
        Entry::Tree { from } => append_tree(builder, from, Path::new("")),
        Entry::Text { to, text } => append_bytes(builder, to, text.as_bytes(), 0o644),
        Entry::Folder { to, mode } => {
            let mut header = header(EntryType::Directory, *mode, 0);
            Ok(builder.append_data(&mut header, format!("{to}/"), io::empty())?)
        }
        Entry::Link { to, target } => {
            let mut header = header(EntryType::Symlink, 0o777, 0);
            Ok(builder.append_link(&mut header, to, target)?)
        }
    }
}

fn append_tree(builder: &mut Builder<impl Write>, root: &Path, below: &Path) -> Result<()> {
    let mut entries = fs::read_dir(root.join(below))?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = below.join(entry.file_name());
        let (kind, to) = (entry.file_type()?, name.display().to_string());
        if kind.is_symlink() {
            append(builder, &Entry::Link { to, target: fs::read_link(entry.path())?.display().to_string() })?;
        } else if kind.is_dir() {
            append(builder, &Entry::Folder { to, mode: entry.metadata()?.permissions().mode() & 0o7777 })?;
            append_tree(builder, root, &name)?;
        } else if kind.is_file() {
            append_file(builder, &entry.path(), &to)?;
        }
    }
    Ok(())
}

fn append_file(builder: &mut Builder<impl Write>, from: &Path, to: &str) -> Result<()> {
    let mut file = File::open(from).with_context(|| format!("open {}", from.display()))?;
    let metadata = file.metadata()?;
    let mut header = header(EntryType::Regular, metadata.permissions().mode() & 0o7777, metadata.len());
    Ok(builder.append_data(&mut header, to, &mut file)?)
}

fn append_bytes(builder: &mut Builder<impl Write>, to: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
    Ok(builder.append_data(&mut header, to, bytes)?)
}

/// Owned by root and without a time, so that equal inputs give equal images.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Image {
        let entries = vec![
            Entry::Text { to: "etc/motd".into(), text: text.into() },
            Entry::Folder { to: "tmp".into(), mode: 0o1777 },
            Entry::Link { to: "bin/sh".into(), target: "busybox".into() },
        ];
        Image::new("porpoise.local/sample:1", entries, &["/bin/sh"])
    }

    impl Image {
        fn config_of_layer(&self) -> Vec<u8> {
            let (_folder, file) = written(self);
            let mut archive = tar::Archive::new(File::open(file).unwrap());
            let config = archive.entries().unwrap().nth(1).unwrap().unwrap();
            io::Read::bytes(config).map(Result::unwrap).collect()
        }
    }

    fn written(image: &Image) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("image.tar");
        image.write(folder.path(), &File::create(&file).unwrap()).unwrap();
        (folder, file)
    }

    #[test]
    fn manifest_config_and_layer_agree() {
        let (_folder, file) = written(&sample("hello"));
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(File::open(file).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        let config: serde_json::Value =
            serde_json::from_slice(&files[manifest[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "porpoise.local/sample:1");
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", hex(&Sha256::digest(&files["layer.tar"])))
        );
    }

    #[test]
    fn equal_inputs_give_equal_layers() {
        let layer = |text: &str| sample(text).config_of_layer();
        assert_eq!(layer("a"), layer("a"));
        assert_ne!(layer("a"), layer("b"));
    }
}
