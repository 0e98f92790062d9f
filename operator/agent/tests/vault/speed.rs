//! How fast it is, next to `cp`. With the build that users get:
//! `cargo test --release -p porpoise-agent --test vault speed -- --ignored --nocapture`

use crate::server::{FOLDER, Server, cargo};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const FILES: usize = 16;
const FILE: usize = 64 << 20;
const PAGE: usize = 16 << 10;
/// InnoDB leaves pages that were filled in random order about two thirds full.
const FILLED: usize = PAGE * 2 / 3;
const WORDS: [&str; 8] =
    ["order ", "customer ", "Berlin ", "shipped ", "2026-11-21 ", "pending ", "invoice ", "0.00 "];

/// A gigabyte of pages with rows of numbers, words and hashes.
fn tables(root: &Path) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..FILES {
        let mut file = BufWriter::new(File::create(root.join(format!("table{number}.ibd"))).unwrap());
        for _ in 0..FILE / PAGE {
            let mut page = Vec::with_capacity(PAGE + 64);
            while page.len() < FILLED {
                page.extend_from_slice(&next().to_le_bytes());
                for _ in 0..4 {
                    page.extend_from_slice(WORDS[usize::try_from(next() % 8).unwrap()].as_bytes());
                }
                page.extend_from_slice(&next().to_le_bytes());
            }
            page.resize(PAGE, 0);
            file.write_all(&page).unwrap();
        }
        file.into_inner().unwrap().sync_all().unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn tell(what: &str, took: Duration) {
    let megabytes = (FILES * FILE) as f64 / 1e6;
    println!("{what:<22} {:>6.1} s {:>7.0} MB/s", took.as_secs_f64(), megabytes / took.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, of a minute"]
async fn speed_next_to_cp() {
    let server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tables(from.path());

    let begun = Instant::now();
    let copied = Command::new("cp").arg("-r").arg(from.path()).arg(to.path().join("copy")).status().unwrap();
    let synced = Command::new("sync").arg("-f").arg(to.path()).status().unwrap();
    assert!(copied.success() && synced.success());
    tell("cp and sync", begun.elapsed());
    std::fs::remove_dir_all(to.path().join("copy")).unwrap();

    let vault = server.vault();
    for (key_name, name) in [(None, "plain"), (Some("first"), "encrypted")] {
        let begun = Instant::now();
        let stored = vault.store(FOLDER, from.path(), &cargo(key_name)).await.unwrap();
        tell(&format!("store, {name}"), begun.elapsed());
        let begun = Instant::now();
        vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
        tell(&format!("fetch, {name}"), begun.elapsed());
        println!("{} of {} bytes stored", stored.summary.stored_bytes, stored.summary.data_bytes);
        let same =
            Command::new("diff").arg("-r").arg(from.path()).arg(to.path().join("data")).status().unwrap();
        assert!(same.success());
        std::fs::remove_dir_all(to.path().join("data")).unwrap();
        vault.remove(FOLDER).await.unwrap();
    }
    if let Some(peak) = peak_memory() {
        println!("peak memory of the process: {peak}");
    }
}

fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|text| text.trim().to_owned())
}
