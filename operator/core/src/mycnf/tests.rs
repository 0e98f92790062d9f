use super::*;
use crate::fixture;
use porpoise_crds::TlsMode;

const GI: u64 = 1 << 30;

fn rendered(memory_bytes: u64, cpu_millis: u64, settings: &[(&str, &str)]) -> String {
    let object = fixture::object();
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    render(&Inputs {
        spec: &object.spec,
        settings: &settings,
        memory_bytes,
        cpu_millis,
        storage_bytes: 20 * GI,
    })
}

#[test]
fn small_member_is_exactly_this() {
    assert_eq!(
        rendered(GI, 1000, &[("max_connections", "500"), ("sql_mode", "")]),
        include_str!("snapshot/small.cnf")
    );
}

#[test]
fn large_member_is_exactly_this() {
    assert_eq!(rendered(32 * GI, 8000, &[]), include_str!("snapshot/large.cnf"));
}

#[test]
fn decided_settings_come_after_the_users() {
    let text = rendered(GI, 1000, &[("zzz", "1")]);
    assert!(text.find("zzz=1") < text.find("sync_binlog=1"));
    assert!(text.find("innodb_buffer_pool_size") < text.find("zzz=1"));
}

#[test]
fn certificates_follow_the_mode() {
    let mut object = fixture::object();
    object.spec.tls.mode = TlsMode::Secret;
    object.spec.tls.require_clients = true;
    let settings = BTreeMap::new();
    let text = render(&Inputs {
        spec: &object.spec,
        settings: &settings,
        memory_bytes: GI,
        cpu_millis: 1000,
        storage_bytes: GI,
    });
    for line in [
        "ssl_cert=/porpoise/client-tls/tls.crt",
        "ssl_ca=/porpoise/client-tls/ca.crt",
        "require_secure_transport=ON",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn buffer_pool_table() {
    const MI: u64 = 1 << 20;
    for (memory_mi, want_mi) in [
        (512, 128),
        (768, 256),
        (1024, 512),
        (1536, 768),
        (2048, 1152),
        (4096, 2304),
        (8192, 5120),
        (16384, 11264),
        (65536, 45056),
    ] {
        assert_eq!(buffer_pool_bytes(memory_mi * MI) / MI, want_mi, "{memory_mi} MiB");
    }
}

#[test]
fn buffer_pool_leaves_room_and_grows() {
    let mut before = 0;
    for memory_mi in (512..100_000).step_by(64) {
        let memory = memory_mi << 20;
        let pool = buffer_pool_bytes(memory);
        assert!(pool >= before, "{memory_mi} MiB");
        assert!(memory - pool >= 256 << 20, "{memory_mi} MiB");
        assert_eq!(pool % (128 << 20), 0);
        before = pool;
    }
}

#[test]
fn c12_a_rendered_file_tells_what_the_user_said() {
    let said = [("innodb_page_size", "16K"), ("max_connections", "500"), ("sql_mode", "")];
    let text = rendered(GI, 1000, &said);
    assert_eq!(user_settings(&text), said.into());
    assert_eq!(value_of(&text, "max_connections"), Some("500"));
    assert_eq!(value_of(&text, "gtid_mode"), Some("ON"));
    assert_eq!(value_of(&text, "max_heap_table_size"), None);
    let fixed = without_variables(&text);
    assert_eq!(user_settings(&fixed), [said[0]].into());
    assert_eq!(value_of(&fixed, "gtid_mode"), Some("ON"));
    assert_eq!(user_settings(&without_words(&text)), said[..2].iter().copied().collect());
    let plain = rendered(GI, 1000, &[]);
    assert_eq!(value_of(&plain, "max_connections"), Some("151"));
    assert_eq!(without_variables(&plain), plain);
}
