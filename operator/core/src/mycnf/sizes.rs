//! Settings derived from the size of a member.

use super::{Inputs, Setting};

const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;

/// Memory that the agent and the rest of the container may use.
pub const AGENT_RESERVE_BYTES: u64 = 64 * MI;

/// Size of the `InnoDB` buffer pool for a memory limit: half of a small member, up to 70 % of a large one.
///
/// mysqld itself needs about 250 MiB at rest (9.7.4, measured), whatever the limit; hence the steps. Always a whole
/// multiple of 128 MiB, the chunk size: mysqld rounds *up*, and would then go over what was meant.
pub fn buffer_pool_bytes(memory_bytes: u64) -> u64 {
    let memory = memory_bytes.saturating_sub(AGENT_RESERVE_BYTES);
    let share = match memory_bytes {
        0..GI => memory.saturating_sub(192 * MI) / 2,
        GI..=GI => memory / 100 * 54,
        _ if memory_bytes <= 4 * GI => memory / 100 * 60,
        _ => memory / 100 * 70,
    };
    let step = 128 * MI * pool_instances(share);
    (share / step * step).max(128 * MI)
}

/// One per GiB, at most 8. Set, because the server's own choice follows the CPUs of the node, not of the container.
fn pool_instances(pool_bytes: u64) -> u64 {
    (pool_bytes / GI).clamp(1, 8)
}

/// Defaults that follow memory, CPU and volume; users may change them.
pub(super) fn derived(inputs: &Inputs<'_>) -> Vec<Setting> {
    let pool = buffer_pool_bytes(inputs.memory_bytes);
    let mut settings = vec![
        ("innodb_buffer_pool_size", bytes(pool)),
        ("innodb_buffer_pool_instances", pool_instances(pool).to_string()),
        ("innodb_redo_log_capacity", bytes(redo_log_bytes(inputs))),
        ("max_binlog_size", bytes((inputs.storage_bytes / 32).clamp(32 * MI, GI))),
        ("max_connections", max_connections(inputs.memory_bytes).to_string()),
        ("replica_parallel_workers", workers(inputs.cpu_millis).to_string()),
        // The server's own default follows the memory of the node, at least 1 GiB.
        ("temptable_max_ram", bytes((inputs.memory_bytes / 16).max(32 * MI))),
    ];
    if inputs.memory_bytes <= 2 * GI {
        settings.extend(small());
    }
    settings
}

/// A small member rests in a few hundred MiB: the performance schema sizes itself by the table caches.
fn small() -> Vec<Setting> {
    vec![
        ("innodb_log_buffer_size", bytes(16 * MI)),
        ("table_open_cache", "1000".to_owned()),
        ("table_definition_cache", "1000".to_owned()),
        ("performance_schema_digests_size", "1000".to_owned()),
        ("performance_schema_max_table_instances", "2000".to_owned()),
    ]
}

/// A quarter of the memory, at most an eighth of the volume.
fn redo_log_bytes(inputs: &Inputs<'_>) -> u64 {
    let ceiling = (inputs.storage_bytes / 8).clamp(128 * MI, 8 * GI);
    (inputs.memory_bytes / 4).clamp(128 * MI, ceiling)
}

/// One for each 16 MiB, not below the server's own default.
fn max_connections(memory_bytes: u64) -> u64 {
    (memory_bytes / (16 * MI)).clamp(151, 5000)
}

/// Two per CPU, 4 to 32: enough that a replica keeps up with a primary of the same size.
fn workers(cpu_millis: u64) -> u64 {
    (cpu_millis * 2 / 1000).clamp(4, 32)
}

/// Whole MiB, so that the file can be read.
fn bytes(bytes: u64) -> String {
    format!("{}M", bytes / MI)
}
