//! A member's data goes to a store and comes back, with real servers and a real store (A29, A30, D34).

use crate::sql;
use crate::store::{ACCESS, Place, SECRET, Server};
use crate::world::{MYSQL_PORT, PLACES, World};
use porpoise_core::backup::{
    About, BackupJob, Donor, JobReport, RestoreSource, Summary, TargetSecrets, folder,
};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::{Action, MemberState, OrderAnswer};
use porpoise_crds::{BackupLocation, BackupTarget};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Everything that a dump or a copy may get wrong.
const DATA: [&str; 12] = [
    "CREATE DATABASE IF NOT EXISTS sh_op",
    "CREATE TABLE sh_op.words (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs, \
     UNIQUE KEY (word), FULLTEXT KEY (word))",
    "INSERT INTO sh_op.words (word) VALUES ('naïve'), ('日本語'), ('🐬🦈'), ('e\u{301}'), ('\\\\'), ('it''s'), ('')",
    "CREATE TABLE sh_op.things (id BIGINT UNSIGNED PRIMARY KEY, raw LONGBLOB, facts JSON, at TIMESTAMP(6) NOT NULL DEFAULT '2026-11-21 10:00:00.123456', \
     price DECIMAL(20,6), area GEOMETRY NOT NULL SRID 4326, bits BIT(9), kind ENUM('a','ü'), \
     total DECIMAL(20,6) AS (price * 2) STORED, name VARCHAR(20) AS (JSON_UNQUOTE(facts->'$.name')) VIRTUAL, KEY (name), SPATIAL KEY (area))",
    "INSERT INTO sh_op.things (id, raw, facts, price, area, bits, kind) VALUES \
     (18446744073709551615, REPEAT(X'00FF0A0D275C', 200000), '{\"name\": \"ä\", \"n\": [1, null, 1.5e300]}', 1.000001, \
     ST_GeomFromText('POINT(1 2)', 4326), b'101010101', 'ü')",
    "CREATE TABLE sh_op.parts (id INT, year INT, PRIMARY KEY (id, year)) PARTITION BY RANGE (year) \
     (PARTITION old VALUES LESS THAN (2000), PARTITION new VALUES LESS THAN MAXVALUE)",
    "INSERT INTO sh_op.parts VALUES (1, 1999), (2, 2026)",
    "CREATE VIEW sh_op.sights AS SELECT word FROM sh_op.words",
    "CREATE TRIGGER sh_op.upper_words BEFORE INSERT ON sh_op.words FOR EACH ROW SET NEW.word = UPPER(NEW.word)",
    "CREATE PROCEDURE sh_op.count_words() SELECT COUNT(*) FROM sh_op.words",
    "CREATE EVENT sh_op.nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM sh_op.parts",
    "CREATE ROLE 'readers'",
];

/// What must be the same afterwards, each as one text.
pub const FACTS: [&str; 9] = [
    "SELECT GROUP_CONCAT(HEX(word) ORDER BY id) FROM sh_op.words",
    "SELECT CONCAT_WS(';', id, SHA2(raw, 256), facts, at, price, ST_AsText(area), bits + 0, kind, total, name) FROM sh_op.things",
    "SELECT GROUP_CONCAT(CONCAT(PARTITION_NAME, PARTITION_DESCRIPTION)) FROM information_schema.PARTITIONS WHERE TABLE_NAME = 'parts'",
    "SELECT GROUP_CONCAT(CONCAT(id, '-', year) ORDER BY id) FROM sh_op.parts",
    "SELECT CONCAT(VIEW_DEFINITION, DEFINER) FROM information_schema.VIEWS WHERE TABLE_NAME = 'sights'",
    "SELECT CONCAT(ACTION_STATEMENT, DEFINER, SQL_MODE) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME = 'upper_words'",
    "SELECT CONCAT(ROUTINE_DEFINITION, DEFINER) FROM information_schema.ROUTINES WHERE ROUTINE_NAME = 'count_words'",
    // Its status is that of a replica's events: `REPLICA_SIDE_DISABLED`.
    "SELECT CONCAT(EVENT_DEFINITION, STARTS, DEFINER) FROM information_schema.EVENTS WHERE EVENT_NAME = 'nightly'",
    "SELECT GROUP_CONCAT(CONCAT(user, host, account_locked) ORDER BY user, host) FROM mysql.user",
];

/// The Pod of a Job, without Kubernetes.
pub struct Job {
    root: TempDir,
    /// Flags beyond the usual ones.
    pub flags: Vec<String>,
}

impl Job {
    pub fn new(world: &World, member: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["volume", "run", "credentials", "authority", "keys"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        // The mounted parts are those of a member.
        for directory in ["config", "tls", "accounts", "app", "programs"] {
            let from = world.members[member].path(directory);
            std::os::unix::fs::symlink(from, root.path().join(directory)).unwrap();
        }
        Self { root, flags: Vec::new() }
    }

    /// One that may use this store.
    pub fn storing(world: &World, member: usize, store: &impl Place) -> Self {
        let pod = Self::new(world, member);
        pod.give(&store.secrets());
        pod
    }

    pub fn give(&self, secrets: &TargetSecrets) {
        for (name, value) in &secrets.credentials {
            fs::write(self.root.path().join("credentials").join(name), value).unwrap();
        }
        for (name, value) in &secrets.keys {
            fs::write(self.root.path().join("keys").join(name), value).unwrap();
        }
        if let Some(authority) = &secrets.authority {
            fs::write(self.root.path().join("authority/ca.crt"), authority).unwrap();
        }
    }

    /// Gives it a `my.cnf` of its own: that of the first member, and these lines.
    pub fn configure(&self, world: &World, lines: &str) {
        let (from, own) = (world.members[0].path("config"), self.root.path().join("config"));
        fs::remove_file(&own).unwrap();
        fs::create_dir(&own).unwrap();
        fs::copy(from.join("agent.json"), own.join("agent.json")).unwrap();
        let text = fs::read_to_string(from.join("my.cnf")).unwrap() + lines;
        fs::write(own.join("my.cnf"), text).unwrap();
    }

    fn command(&self, world: &World, job: &BackupJob) -> Command {
        let at = |name: &str| self.root.path().join(name);
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(env!("CARGO_BIN_EXE_porpoise-agent"))
            .args(["backup", "--instance", "shop-monday-x7k2p", "--namespace", "prod"])
            .arg(format!("--mysql-port={MYSQL_PORT}"))
            .arg(format!("--listen={}", world.members[0].outside()))
            .arg("--mysqld")
            .arg(world.members[0].path("mysqld"))
            .env("PORPOISE_BACKUP", serde_json::to_string(job).unwrap());
        let own = [
            ("--credentials-path", "credentials"),
            ("--authority-path", "authority"),
            ("--keys-path", "keys"),
            ("--report-path", "report"),
        ];
        for (flag, path) in PLACES.into_iter().chain(own) {
            command.arg(flag).arg(at(path));
        }
        command.args(&self.flags);
        let log = fs::File::create(at("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Starts it.
    pub fn start(&self, world: &World, job: &BackupJob) -> Child {
        self.command(world, job).spawn().unwrap()
    }

    /// Runs it to its end.
    pub async fn run(&self, world: &World, job: &BackupJob) -> JobReport {
        self.end(self.start(world, job)).await
    }

    /// Waits for its end.
    pub async fn end(&self, mut child: Child) -> JobReport {
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        let report = fs::read_to_string(self.root.path().join("report")).unwrap_or_default();
        let report = serde_json::from_str(&report)
            .unwrap_or_else(|error| panic!("no report ({error}): {ended:?}\n{}", self.log()));
        let failed = matches!(report, JobReport::Failed { .. } | JobReport::Damaged { .. });
        assert_eq!(ended.success(), !failed, "{report:?}");
        report
    }

    /// One of its directories.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }
}

pub fn target(store: &impl Place) -> BackupTarget {
    store.at("prod")
}

pub fn about(world: &World) -> About {
    About { backup: "shop-monday".to_owned(), cluster: world.cluster.clone(), owner: "prod/shop".to_owned() }
}

pub fn location(world: &World, store: &impl Place) -> BackupLocation {
    let target = target(store);
    BackupLocation { path: folder(&target, &about(world)), target }
}

pub fn job(world: &World, store: &impl Place, donors: &[usize], key_name: Option<&str>) -> BackupJob {
    let donor = |index: &usize| Donor {
        instance: world.members[*index].name.clone(),
        host: world.members[*index].address.to_string(),
    };
    BackupJob::Store {
        location: location(world, store),
        about: about(world),
        donors: donors.iter().map(donor).collect(),
        key_name: key_name.map(str::to_owned),
        max_bytes_per_second: None,
        verify: true,
        compare: true,
        dump: None,
    }
}

/// The same Job, which boots the copy and reads no table.
pub fn unverified(wish: BackupJob) -> BackupJob {
    let mut wish = wish;
    if let BackupJob::Store { verify, compare, .. } = &mut wish {
        (*verify, *compare) = (false, false);
    }
    wish
}

pub fn stored(report: JobReport) -> Summary {
    match report {
        JobReport::Stored { summary } => summary,
        other => panic!("the backup was not stored: {other:?}"),
    }
}

pub fn restore(world: &World, store: &impl Place) -> Action {
    let source = RestoreSource { location: location(world, store), secrets: store.secrets(), point: None };
    Action::Restore { source: Box::new(source), request: "restore-u2".to_owned() }
}

pub async fn facts(world: &World, index: usize) -> Vec<String> {
    let mut inside = sql::inside(&world.members[index]).await;
    let mut facts = Vec::new();
    for fact in FACTS {
        facts.push(sql::text(&mut inside, fact).await);
    }
    facts
}

pub async fn transactions(world: &World) -> GtidSet {
    let executed =
        sql::text(&mut sql::inside(&world.members[0]).await, "SELECT @@GLOBAL.gtid_executed").await;
    GtidSet::parse(&executed.replace('\n', "")).unwrap()
}

pub async fn fill(world: &World) {
    let mut inside = sql::inside(&world.members[0]).await;
    for statement in DATA {
        sql::run(&mut inside, statement).await.unwrap();
    }
}

pub async fn restored(world: &World, index: usize) -> MemberState {
    world
        .until(index, "restored", |state| {
            state.replaced_by == "restore-u2"
                && state.data.as_ref().is_some_and(|data| !data.executed.is_empty())
        })
        .await
}

/// A cluster with data, and its backup's Pod.
pub async fn prepared(replicas: u32) -> (World, Server, Job) {
    let world = World::cluster(1 + replicas, 1.min(replicas.cast_signed())).await;
    fill(&world).await;
    for index in 1..=replicas as usize {
        world.level(index, 0).await;
    }
    let store = Server::new();
    let pod = Job::storing(&world, 0, &store);
    (world, store, pod)
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a30_d34_a_new_cluster_begins_with_all_that_a_backup_held() {
    let world = World::cluster(2, 1).await;
    fill(&world).await;
    world.level(1, 0).await;
    let before = facts(&world, 0).await;
    let store = Server::with_tls();
    let pod = Job::storing(&world, 1, &store);
    // The first one is no donor at all: the next best is asked.
    let mut wish = job(&world, &store, &[1], Some("first"));
    if let BackupJob::Store { donors, .. } = &mut wish {
        donors.insert(0, Donor { instance: "shop-9".to_owned(), host: "127.0.0.1".to_owned() });
    }
    let known = transactions(&world).await;
    let summary = stored(pod.run(&world, &wish).await);
    assert_eq!(summary.donor, "shop-1");
    assert!(summary.tables > 30 && summary.stored_bytes < summary.data_bytes, "{summary:?}");
    let executed = summary.gtid_set.clone().unwrap();
    let held = GtidSet::parse(&executed).unwrap();
    assert!(held.contains(&known) && transactions(&world).await.contains(&held), "{executed}");
    // Later writes are not in it.
    sql::run(&mut sql::inside(&world.members[0]).await, "INSERT INTO sh_op.words (word) VALUES ('later')")
        .await
        .unwrap();

    let other = World::new(2);
    other.running(0).await;
    let blank = other.running(1).await;
    assert_eq!(blank.replaced_by, "");
    other.ordered(0, 0, restore(&world, &store)).await;
    let state = restored(&other, 0).await;
    let data = state.data.unwrap();
    assert_eq!((data.executed.as_str(), data.history), (executed.as_str(), 1));
    other.promote(0, 2, 0).await;
    assert_eq!(facts(&other, 0).await, before);
    let mut app = sql::app(&other, 0).await;
    sql::run(&mut app, "INSERT INTO sh_op.parts VALUES (3, 2030)").await.unwrap();
    let log = pod.log() + &other.members[0].log();
    for secret in [ACCESS, SECRET, "QUFBQUFB"] {
        assert!(!log.contains(secret), "{secret} is in a log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a30_a_volume_with_data_is_never_restored_over() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    let answer = world.order(0, 1, restore(&world, &store)).await;
    // It is the primary: its data stays as it is, whatever becomes of the order.
    if answer == OrderAnswer::Accepted {
        let state = world.until(0, "a refusal", |state| state.message.contains("refuse to restore")).await;
        assert!(state.message.contains("remove the volume claim"), "{}", state.message);
    }
    assert_eq!(world.state(0).await.replaced_by, "");
    assert!(!world.state(0).await.data.unwrap().executed.is_empty());
}

/// The store goes away in the middle, the agent is killed: the next try begins anew and ends well.
#[tokio::test(flavor = "multi_thread")]
async fn a30_an_interrupted_restore_is_done_again() {
    let (world, store, pod) = prepared(0).await;
    stored(pod.run(&world, &job(&world, &store, &[0], None)).await);
    let mut other = World::new(1);
    other.running(0).await;
    store.pause();
    other.ordered(0, 0, restore(&world, &store)).await;
    other.until(0, "restoring", |state| state.message.contains("restoring")).await;
    let thread = other.members[0].agent_thread();
    other.members[0].crash();
    // As the boot of the fetched data leaves it when its container is killed.
    fs::write(other.members[0].path("run/staging.sock.lock"), format!("{thread}\n")).unwrap();
    store.resume();
    other.start(0);
    let state = other.running(0).await;
    assert_eq!((state.replaced_by.as_str(), state.data.unwrap().executed.as_str()), ("", ""));
    other.ordered(0, 0, restore(&world, &store)).await;
    restored(&other, 0).await;
    other.promote(0, 2, 0).await;
    assert_eq!(facts(&other, 0).await, facts(&world, 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_what_went_wrong_is_said_in_the_report() {
    let world = World::cluster(1, 0).await;
    let store = Server::new();
    let pod = Job::new(&world, 0);
    let mut secrets = store.secrets();
    secrets.credentials.insert("secretAccessKey".to_owned(), "wrong".to_owned());
    pod.give(&secrets);
    let report = pod.run(&world, &job(&world, &store, &[0], None)).await;
    assert!(matches!(&report, JobReport::Failed { for_good: true, .. }), "{report:?}");
    pod.give(&store.secrets());
    let nobody = job(&world, &store, &[], None);
    let report = pod.run(&world, &nobody).await;
    assert!(
        matches!(&report, JobReport::Failed { for_good: false, reason } if reason.contains("member")),
        "{report:?}"
    );
    assert_eq!(store.objects(&location(&world, &store).path), Vec::<String>::new());
    let first = stored(pod.run(&world, &job(&world, &store, &[0], None)).await);
    // Its report may have been lost: what is stored is told again.
    assert_eq!(stored(pod.run(&world, &job(&world, &store, &[], None)).await), first);
    let remove = BackupJob::Remove { location: location(&world, &store) };
    assert_eq!(pod.run(&world, &remove).await, JobReport::Removed);
    assert_eq!(store.objects(&location(&world, &store).path), Vec::<String>::new());
}
