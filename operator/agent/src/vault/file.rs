//! A file of statements that others stored: read part by part, decompressed by what it begins with, and handed on as text.

use super::chunks::{Cutter, UNDER_WAY, WAITING};
use super::objects::{Found, Objects};
use super::unpack::Chunks;
use super::{Vault, VaultError};
use flate2::bufread::MultiGzDecoder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use std::io::{self, BufRead as _, Read};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::{JoinError, spawn_blocking};
use zstd::stream::read::Decoder;

/// Bytes of one request.
const PART: u64 = 16 << 20;
/// Bytes that tell what a file is.
const BEGINNING: usize = 1 << 10;
/// Bytes at the end that are kept to see whether it is the end.
const END: usize = 4 << 10;

/// How the first line of a dump begins that says at its end that it is complete.
const FIRST_WORDS: [&str; 2] = ["-- MySQL dump ", "-- MariaDB dump "];
/// And how that last line begins. Source: MySQL Reference Manual, "mysqldump", `--dump-date` and `--comments`.
const LAST_WORDS: &str = "-- Dump completed";

/// Files that are no statements, by what they begin with, and what to do about them.
const NO_STATEMENTS: [(&[u8], &str); 7] = [
    (b"BZh", "it is compressed by bzip2; use gzip or zstd"),
    (b"\xfd7zXZ", "it is compressed by xz; use gzip or zstd"),
    (b"PK\x03\x04", "it is a zip archive; store what is in it, compressed by gzip or zstd if you like"),
    (
        b"\xff\xfe",
        "it is UTF-16 text, as a redirection in PowerShell writes it; use --result-file of mysqldump",
    ),
    (b"\xfe\xff", "it is UTF-16 text; use --result-file of mysqldump"),
    (b"PGDMP", "it is a dump of PostgreSQL"),
    (b"SQLite format 3", "it is a database of SQLite"),
];

/// How far reading is, in percent.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);

/// Sends on the text of the file. When nobody takes it any more it ends, without an error.
pub(super) async fn send_on(
    vault: &Vault,
    name: &str,
    next: Sender<Vec<u8>>,
    progress: Progress<'_>,
) -> Result<(), VaultError> {
    let refused = |reason: String| VaultError::UseFile { file: name.to_owned(), reason };
    let path = Path::parse(name).map_err(|error| refused(format!("its name cannot be one: {error}")))?;
    let absent = || refused("the store has none of this name; correct the path".to_owned());
    let found = vault.objects.look(&path).await?.ok_or_else(absent)?;
    let (sender, coming) = mpsc::channel(WAITING);
    let opening = spawn_blocking(move || open(Chunks::new(coming), next));
    let reading = Arc::new(Reading { objects: vault.objects.clone(), path, found, file: name.to_owned() });
    reading.check_end().await?;
    let read = reading.everything(sender, progress).await;
    // It ends soon either way: nothing more is sent. What failed first is what the other failed by.
    let opened = opening.await.map_err(|_| VaultError::AwaitStep { step: "decompress the file" })?;
    read.and(opened.map_err(refused))
}

struct Reading {
    objects: Objects,
    path: Path,
    found: Found,
    /// Its name, as people gave it.
    file: String,
}

impl Reading {
    async fn get(self: Arc<Self>, part: Range<u64>) -> Result<Vec<u8>, VaultError> {
        self.objects.get_part(&self.path, part, &self.found).await
    }

    /// Looks at both ends of a plain text, so that nobody loads for hours what was cut off.
    async fn check_end(self: &Arc<Self>) -> Result<(), VaultError> {
        let bytes = self.found.bytes;
        let first = self.clone().get(0..bytes.min(BEGINNING as u64)).await?;
        if compression(&first) != Compressed::Not || !promises_an_end(&first) {
            return Ok(());
        }
        let last = self.clone().get(bytes.saturating_sub(END as u64)..bytes).await?;
        let refused = |reason| VaultError::UseFile { file: self.file.clone(), reason };
        if is_an_end(&last) { Ok(()) } else { Err(refused(cut_off())) }
    }

    /// Sends all parts on, in order. Ends early, without an error, when nobody takes them any more.
    async fn everything(
        self: &Arc<Self>,
        next: Sender<Vec<u8>>,
        progress: Progress<'_>,
    ) -> Result<(), VaultError> {
        // Each on its own: whoever takes the text may be busy for longer than a store waits for its client.
        let part = |part: Range<u64>| tokio::spawn(self.clone().get(part));
        let mut arriving = stream::iter(parts(self.found.bytes)).map(part).buffered(UNDER_WAY).map(arrived);
        let mut read = 0;
        while let Some(part) = arriving.try_next().await? {
            read += part.len() as u64;
            if next.send(part).await.is_err() {
                break;
            }
            progress(read.saturating_mul(100) / self.found.bytes.max(1));
        }
        Ok(())
    }
}

/// What a task of its own brought.
pub(super) fn arrived<A>(ended: Result<Result<A, VaultError>, JoinError>) -> Result<A, VaultError> {
    ended.unwrap_or(Err(VaultError::AwaitStep { step: "fetch" }))
}

fn parts(bytes: u64) -> impl Iterator<Item = Range<u64>> {
    (0..bytes.div_ceil(PART)).map(move |number| number * PART..bytes.min((number + 1) * PART))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compressed {
    Gzip,
    Zstd,
    Not,
}

fn compression(begins: &[u8]) -> Compressed {
    if begins.starts_with(b"\x1f\x8b") {
        Compressed::Gzip
    } else if begins.starts_with(b"\x28\xb5\x2f\xfd") {
        Compressed::Zstd
    } else {
        Compressed::Not
    }
}

/// Whether a text says at its end that it is whole, by how it begins.
fn promises_an_end(first: &[u8]) -> bool {
    let first = String::from_utf8_lossy(first);
    FIRST_WORDS.iter().any(|words| first.contains(words))
}

fn is_an_end(last: &[u8]) -> bool {
    String::from_utf8_lossy(last).contains(LAST_WORDS)
}

fn cut_off() -> String {
    format!("its last line, `{LAST_WORDS}`, is missing, so it was cut off; make it again")
}

/// Decompresses what comes, and hands on the text. On a thread that may block.
fn open(mut file: Chunks, next: Sender<Vec<u8>>) -> Result<(), String> {
    let begins = file.fill_buf().map_err(|error| error.to_string())?;
    let stream: Box<dyn Read> = match compression(begins) {
        Compressed::Gzip => Box::new(MultiGzDecoder::new(file)),
        Compressed::Zstd => Box::new(Decoder::with_buffer(file).map_err(|error| error.to_string())?),
        Compressed::Not => Box::new(file),
    };
    let mut text = Watched { stream, first: Vec::new(), last: Vec::new() };
    let mut cutter = Cutter::new(next);
    let taken = take(&mut text, &mut cutter);
    if cutter.is_closed() {
        return Ok(());
    }
    taken?;
    text.fault().map_or(Ok(()), Err)?;
    // Nobody takes the rest: whoever loads it says why.
    let _ = cutter.finish();
    Ok(())
}

/// All of it, after a look at how it begins: what is no text shall reach no server.
fn take(text: &mut Watched, cutter: &mut Cutter) -> Result<(), String> {
    let damaged = |error: io::Error| {
        format!("it cannot be decompressed, so it was damaged or cut off: {error}; store it again")
    };
    cutter.take_from(text, BEGINNING as u64).map_err(damaged)?;
    text.strangeness().map_or(Ok(()), Err)?;
    cutter.take_from(text, u64::MAX).map_err(damaged).map(drop)
}

/// Keeps how a text begins and ends.
struct Watched {
    stream: Box<dyn Read>,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        let room = BEGINNING.saturating_sub(self.first.len());
        self.first.extend_from_slice(bytes.get(..room.min(count)).unwrap_or(bytes));
        self.last.extend_from_slice(bytes.get(count.saturating_sub(END)..).unwrap_or(bytes));
        self.last.drain(..self.last.len().saturating_sub(END));
        Ok(count)
    }
}

impl Watched {
    /// Why it is no file of statements, by how it begins.
    fn strangeness(&self) -> Option<String> {
        let known = NO_STATEMENTS.iter().find(|(begins, _)| self.first.starts_with(begins));
        let is_blank = self.first.iter().all(u8::is_ascii_whitespace);
        let binary = self.first.contains(&0).then_some("it is no text");
        let empty = is_blank.then_some("it is empty");
        known.map(|(_, words)| *words).or(empty).or(binary).map(str::to_owned)
    }

    /// What is wrong with the whole, by how it ends.
    fn fault(&self) -> Option<String> {
        (promises_an_end(&self.first) && !is_an_end(&self.last)).then(cut_off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const DUMP: &[u8] =
        b"-- MySQL dump 10.13  Distrib 9.7.4\nCREATE TABLE a (id INT);\n-- Dump completed on 2026-11-22\n";

    /// What is handed on of a file that comes in pieces of this many bytes.
    fn opened(file: &[u8], piece: usize) -> Result<Vec<u8>, String> {
        let (sender, coming) = mpsc::channel(file.len() / piece + 1);
        for part in file.chunks(piece) {
            sender.blocking_send(part.to_vec()).unwrap();
        }
        drop(sender);
        let (next, mut text) = mpsc::channel(file.len() + 1);
        open(Chunks::new(coming), next)?;
        Ok(std::iter::from_fn(|| text.blocking_recv()).flatten().collect())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a29_a_file_is_read_whichever_way_it_is_compressed() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        let (begin, end) = DUMP.split_at(40);
        for file in [
            DUMP.to_vec(),
            gzip(DUMP),
            zstd(DUMP),
            [gzip(begin), gzip(end)].concat(),
            [zstd(begin), zstd(end)].concat(),
        ] {
            for piece in [7, 1 << 20] {
                assert_eq!(opened(&file, piece).unwrap(), DUMP);
            }
        }
        let plain = b"INSERT INTO a VALUES (1);";
        assert_eq!(opened(plain, 3).unwrap(), plain, "not every file has a last line");
    }

    #[test]
    fn a29_a_file_that_was_cut_off_is_refused() {
        let cut = |file: &[u8], bytes: usize| file[..file.len() - bytes].to_vec();
        for file in [
            cut(DUMP, 40),
            gzip(&cut(DUMP, 40)),
            cut(&gzip(DUMP), 10),
            cut(&zstd::encode_all(DUMP, 1).unwrap(), 10),
        ] {
            let error = opened(&file, 1 << 20).unwrap_err();
            assert!(error.contains("cut off"), "{error}");
        }
    }

    #[test]
    fn a29_what_is_no_file_of_statements_is_refused_with_what_it_is() {
        for (file, words) in [
            (&b"PK\x03\x04 and more"[..], "zip archive"),
            (b"\xff\xfe-\0-\0", "--result-file"),
            (b"\x7fELF\0\0", "it is no text"),
            (b" \n", "it is empty"),
            (b"", "it is empty"),
            (&gzip(b"PGDMP"), "PostgreSQL"),
        ] {
            let error = opened(file, 1 << 20).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn parts_are_all_of_it_and_overlap_nowhere() {
        for bytes in [0, 1, PART - 1, PART, PART + 1, 3 * PART] {
            let parts: Vec<Range<u64>> = parts(bytes).collect();
            assert_eq!(parts.first().map_or(0, |first| first.start), 0);
            assert_eq!(parts.last().map_or(0, |last| last.end), bytes);
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
    }
}
