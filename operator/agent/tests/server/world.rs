//! A few agents with real servers on this machine, each process 1 of its own PID namespace, on its own loopback
//! address. The test plays the operator.

pub use crate::member::{Member, children};
use crate::{programs, sql};
use jiff::Timestamp;
use porpoise_core::backup::{ArchiveOrder, ArchiveSettings};
use porpoise_core::mycnf;
use porpoise_core::names::ClusterNames;
use porpoise_core::protocol::{
    Action, AgentConfig, MemberState, Order, OrderAnswer, Role, ServerPhase, Term,
};
use porpoise_link::certificates::{Authority, Validity};
use porpoise_link::{AgentClient, LinkError};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const MYSQL_PORT: u16 = 23306;
const AGENT_PORT: u16 = 27306;
const PROBE_PORT: u16 = 27307;
/// Generous: the machine may be busy.
pub const LONG: Duration = Duration::from_mins(2);
const CLUSTER: &str = "11111111-2222-3333-4444-555555555555";

/// Passwords with everything that quoting has to survive. None of them may show up in any log.
pub const PASSWORDS: [(&str, &str); 5] = [
    ("agent", "Agent'pass\\word-7Qx"),
    ("replication", "Repl'ica\"tion\\-8Wy"),
    ("clone", "Clo`ne'pass-9Ez"),
    ("backup", "Back%up_pass-1Ra"),
    ("monitor", "Moni;tor--pass-2Tb"),
];
pub const APP_PASSWORD: &str = "App'pass\\word-3Yc";

/// Where an agent finds and keeps things, below the root of its Pod.
pub const PLACES: [(&str, &str); 9] = [
    ("--client-programs", "programs"),
    ("--data-path", "volume/data"),
    ("--state-path", "volume/porpoise"),
    ("--run-path", "run"),
    ("--config-path", "config"),
    ("--tls-path", "tls"),
    ("--client-tls-path", "client-tls"),
    ("--accounts-path", "accounts"),
    ("--app-account-path", "app"),
];

static NEXT: AtomicU8 = AtomicU8::new(1);

pub struct World {
    pub directory: TempDir,
    pub cluster: String,
    authority: Authority,
    client: AgentClient,
    network: [u8; 2],
    pub members: Vec<Member>,
    /// Components that `agent.json` lists.
    pub components: Vec<String>,
    /// Flags beyond the usual ones of agents that start from now on.
    pub flags: Vec<String>,
    /// Settings that members set while mysqld runs.
    pub variables: BTreeMap<String, String>,
}

fn validity() -> Validity {
    Validity { now: Timestamp::now(), lifetime: Duration::from_hours(24) }
}

impl World {
    /// Agents `shop-0` ... on blank volumes, started.
    pub fn new(count: u32) -> Self {
        Self::listing(count, &[])
    }

    /// The same with components of mysqld.
    pub fn listing(count: u32, components: &[&str]) -> Self {
        Self::configured(count, components, &[])
    }

    /// The same with settings of the user.
    pub fn configured(count: u32, components: &[&str], variables: &[(&str, &str)]) -> Self {
        Self { variables: owned(variables), ..Self::empty(components) }.of(count)
    }

    /// Agents that end former passwords after so many seconds.
    pub fn forgetting(count: u32, seconds: u64) -> Self {
        Self::flagged(count, &format!("--former-passwords={seconds}"))
    }

    /// Agents with a flag beyond the usual ones.
    pub fn flagged(count: u32, flag: &str) -> Self {
        Self { flags: vec![flag.to_owned()], ..Self::empty(&[]) }.of(count)
    }

    fn of(mut self, count: u32) -> Self {
        for ordinal in 0..count {
            self.add_member(ordinal);
        }
        self
    }

    fn empty(components: &[&str]) -> Self {
        let authority = Authority::generate("porpoise test", Timestamp::now(), LONG * 1000).unwrap();
        let operator = authority.issue_client(ClusterNames::operator_identity(), validity()).unwrap();
        Self {
            directory: tempfile::tempdir().unwrap(),
            cluster: CLUSTER.to_owned(),
            client: AgentClient::new(&operator).unwrap(),
            authority,
            network: [100 + (std::process::id() % 100) as u8, NEXT.fetch_add(1, Ordering::SeqCst)],
            members: Vec::new(),
            components: components.iter().map(|name| (*name).to_owned()).collect(),
            flags: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    pub fn add_member(&mut self, ordinal: u32) {
        let last = u8::try_from(ordinal + 1).unwrap();
        let name = format!("shop-{ordinal}");
        let member = Member {
            address: IpAddr::V4(Ipv4Addr::new(127, self.network[0], self.network[1], last)),
            root: self.directory.path().join(&name),
            name,
            process: None,
        };
        for directory in ["volume", "run", "config", "tls", "accounts", "app", "tmp"] {
            fs::create_dir_all(member.root.join(directory)).unwrap();
        }
        self.members.push(member);
        let index = self.members.len() - 1;
        self.write_certificate(index);
        self.write_files(index);
        self.start(index);
    }

    /// A second Pod of a member, on the same volume: its index.
    pub fn add_twin(&mut self, of: usize) -> usize {
        let volume = self.members[of].path("volume");
        let name = self.members[of].name.clone();
        let root = self.directory.path().join(format!("{name}-twin"));
        for directory in ["run", "config", "tls", "accounts", "app", "tmp"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        std::os::unix::fs::symlink(volume, root.join("volume")).unwrap();
        let address = IpAddr::V4(Ipv4Addr::new(127, self.network[0], self.network[1], 90));
        self.members.push(Member { name, address, root, process: None });
        let index = self.members.len() - 1;
        self.write_certificate(index);
        self.write_files(index);
        self.start(index);
        index
    }

    /// Changes the bound of reads in `agent.json`, as the kubelet does when the ConfigMap changes.
    pub fn bound_lag(&self, index: usize, seconds: u64) {
        let path = self.members[index].path("config/agent.json");
        let mut config: AgentConfig = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config.ready_lag_seconds = seconds;
        fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
    }

    pub fn write_certificate(&self, index: usize) {
        let member = &self.members[index];
        let names = ["localhost".to_owned()];
        let issued = self
            .authority
            .issue_server(
                &names,
                &[member.address, member.outside()],
                porpoise_link::MEMBER_IDENTITY,
                validity(),
            )
            .unwrap();
        let tls = member.root.join("tls");
        fs::write(tls.join("tls.key"), issued.key_pem).unwrap();
        fs::write(tls.join("tls.crt"), issued.cert_pem).unwrap();
        fs::write(tls.join("ca.crt"), issued.ca_pem).unwrap();
    }

    fn write_files(&self, index: usize) {
        let member = &self.members[index];
        self.write_config(index);
        self.write_my_cnf(index);
        for (account, password) in PASSWORDS {
            fs::write(member.root.join("accounts").join(account), password).unwrap();
        }
        for (file, text) in [("username", "app"), ("password", APP_PASSWORD), ("database", "sh_op")] {
            fs::write(member.root.join("app").join(file), text).unwrap();
        }
        programs::write_server(&member.root.join("mysqld"));
        for name in ["mysql", "mysqldump"] {
            programs::write_client(&member.root.join("programs").join(name), name);
        }
    }

    fn write_my_cnf(&self, index: usize) {
        let root = &self.members[index].root;
        fs::write(root.join("config/my.cnf"), my_cnf(root, &self.variables)).unwrap();
    }

    /// Changes the user's settings, as the kubelet shows them to a member when the ConfigMap changes.
    pub fn configure(&mut self, variables: &[(&str, &str)]) {
        self.variables = owned(variables);
        for index in 0..self.members.len() {
            self.write_my_cnf(index);
            self.write_config(index);
        }
    }

    /// `agent.json` for the present cluster UID.
    pub fn write_config(&self, index: usize) {
        let config = AgentConfig {
            cluster: self.cluster.clone(),
            name: "shop".into(),
            namespace: "prod".into(),
            ready_lag_seconds: 10,
            max_apply_lag_milliseconds: 500,
            shutdown_seconds: 60,
            app_database: "sh_op".into(),
            components: self.components.clone(),
            variables: self.variables.clone(),
            template: String::new(),
        };
        let text = serde_json::to_vec(&config).unwrap();
        fs::write(self.members[index].root.join("config/agent.json"), text).unwrap();
    }

    /// Starts the agent of a member; its log is appended to.
    pub fn start(&mut self, index: usize) {
        let member = &mut self.members[index];
        let log = File::options().create(true).append(true).open(member.root.join("log")).unwrap();
        let at = |name: &str| member.root.join(name);
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(env!("CARGO_BIN_EXE_porpoise-agent"))
            .arg("run")
            .args(["--instance", &member.name, "--namespace", "prod"])
            .arg(format!("--listen={}", member.address))
            .arg(format!("--mysql-port={MYSQL_PORT}"))
            .arg(format!("--agent-port={AGENT_PORT}"))
            .arg(format!("--probe-port={PROBE_PORT}"))
            .args(&self.flags);
        command.arg("--mysqld").arg(at("mysqld"));
        if let Ok(template) = fs::read_to_string(at("template")) {
            command.args(["--template", &template]);
        }
        for (flag, path) in PLACES {
            command.arg(flag).arg(at(path));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        member.process = Some(command.spawn().expect("unshare starts the agent"));
    }

    pub async fn try_state(&self, index: usize) -> Result<MemberState, LinkError> {
        let member = &self.members[index];
        let address = SocketAddr::new(member.address, AGENT_PORT);
        self.client.state(address, "localhost", Duration::from_secs(2)).await
    }

    /// Waits for news after `known`.
    pub async fn news(&self, index: usize, known: &MemberState) -> Result<MemberState, LinkError> {
        let address = SocketAddr::new(self.members[index].address, AGENT_PORT);
        self.client.news(address, "localhost", (&known.process, known.change)).await
    }

    pub async fn state(&self, index: usize) -> MemberState {
        self.until(index, "an answer", |_| true).await
    }

    /// Waits until the member's state is as wanted.
    pub async fn until(&self, index: usize, what: &str, holds: impl Fn(&MemberState) -> bool) -> MemberState {
        let start = Instant::now();
        loop {
            let found = self.try_state(index).await;
            if let Ok(state) = &found
                && holds(state)
            {
                return state.clone();
            }
            assert!(
                start.elapsed() < LONG,
                "{} never came to {what}; last: {found:?}; log:\n{}",
                self.members[index].name,
                self.members[index].log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the member has executed what another one has now. The servers are asked, for what agents tell lags behind.
    pub async fn level(&self, index: usize, with: usize) {
        let executed = sql::text(&mut sql::inside(&self.members[with]).await, "SELECT @@gtid_executed").await;
        let wait = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', {})", LONG.as_secs());
        let late = sql::number(&mut sql::inside(&self.members[index]).await, &wait).await;
        assert_eq!(
            late,
            0,
            "{} lacks {executed}: {:?}",
            self.members[index].name,
            self.try_state(index).await
        );
    }

    pub async fn running(&self, index: usize) -> MemberState {
        self.until(index, "running", |state| state.server == ServerPhase::Running && state.data.is_some())
            .await
    }

    pub fn draft(&self, index: usize, state: &MemberState, term: Term, action: Action) -> Order {
        Order {
            cluster: self.cluster.clone(),
            instance: self.members[index].name.clone(),
            volume: Some(state.volume.clone()).filter(|volume| !volume.is_empty()),
            term,
            claim: None,
            seen: state.seen(),
            action,
        }
    }

    pub async fn send(&self, index: usize, order: &Order) -> OrderAnswer {
        let address = SocketAddr::new(self.members[index].address, AGENT_PORT);
        let answer = self.client.order(address, "localhost", order, Duration::from_secs(5)).await;
        answer.expect("the agent answers an order")
    }

    /// Tells a member what to archive.
    pub async fn archive(
        &self,
        index: usize,
        settings: Option<ArchiveSettings>,
        needless: Option<String>,
    ) -> OrderAnswer {
        let (cluster, instance) = (self.cluster.clone(), self.members[index].name.clone());
        let order = ArchiveOrder { cluster, instance, settings, needless };
        let answer =
            self.client.archive(self.agent_address(index), "localhost", &order, Duration::from_secs(5));
        answer.await.expect("the agent answers")
    }

    /// Orders on the member's present state.
    pub async fn order(&self, index: usize, term: Term, action: Action) -> OrderAnswer {
        let state = self.state(index).await;
        self.send(index, &self.draft(index, &state, term, action)).await
    }

    pub async fn ordered(&self, index: usize, term: Term, action: Action) {
        let answer = self.order(index, term, action).await;
        assert_eq!(answer, OrderAnswer::Accepted);
    }

    pub async fn promote(&self, index: usize, term: Term, k: i32) -> MemberState {
        self.ordered(index, term, Action::Promote { k, admit: true }).await;
        self.until(index, "being the admitting primary", |state| {
            matches!(state.role, Role::Primary { term: of, proven_k, admitting: true } if of == term && proven_k == Some(k))
        })
        .await
    }

    pub async fn follow(&self, index: usize, term: Term, source: usize, acknowledge: bool) {
        let action = self.following(source, acknowledge);
        self.ordered(index, term, action).await;
        self.until(index, "following", |state| {
            matches!(&state.role, Role::Replica { term: of, receiving: true, applying: true, acknowledging, .. }
                if *of == term && *acknowledging == acknowledge)
        })
        .await;
    }

    pub fn following(&self, source: usize, acknowledge: bool) -> Action {
        Action::Follow {
            source: self.members[source].name.clone(),
            host: self.members[source].address.to_string(),
            acknowledge,
            keep: None,
        }
    }

    /// One primary and the rest following, all acknowledging, `k` proven, in term 1.
    pub async fn cluster(count: u32, k: i32) -> Self {
        Self::new(count).founded(k).await
    }

    /// The same of agents that were just started.
    pub async fn founded(self, k: i32) -> Self {
        let world = self;
        for index in 0..world.members.len() {
            world.running(index).await;
        }
        world.promote(0, 1, 0).await;
        for index in 1..world.members.len() {
            world.follow(index, 1, 0, true).await;
        }
        if k > 0 {
            world.promote(0, 1, k).await;
        }
        world
    }

    pub async fn ready(&self, index: usize) {
        let start = Instant::now();
        loop {
            let found = self.probe(index, "/readyz").await;
            if found.0 == 200 {
                return;
            }
            assert!(start.elapsed() < LONG, "{index} never became ready: {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client that shows the certificate of another member instead of the operator's.
    pub fn peer(&self) -> AgentClient {
        let issued =
            self.authority.issue_server(&[], &[], porpoise_link::MEMBER_IDENTITY, validity()).unwrap();
        AgentClient::new(&issued).unwrap()
    }

    pub fn agent_address(&self, index: usize) -> SocketAddr {
        SocketAddr::new(self.members[index].address, AGENT_PORT)
    }

    pub fn authority_pem(&self) -> Vec<u8> {
        self.authority.certificate_pem().as_bytes().to_vec()
    }

    /// Plain HTTP to the probe port: status and body.
    pub async fn probe(&self, index: usize, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let address = SocketAddr::new(self.members[index].address, PROBE_PORT);
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }
}

/// The file that the operator would render for a small member, and what a small machine needs beside.
fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn my_cnf(root: &Path, variables: &BTreeMap<String, String>) -> String {
    let spec = serde_json::from_value(serde_json::json!({ "storage": { "size": "1Gi" } })).unwrap();
    let mut settings =
        owned(&[("innodb_buffer_pool_size", "67108864"), ("innodb_redo_log_capacity", "33554432")]);
    settings.extend(variables.clone());
    let text = mycnf::render(&mycnf::Inputs {
        spec: &spec,
        settings: &settings,
        memory_bytes: 1 << 30,
        cpu_millis: 1000,
        storage_bytes: 1 << 30,
    });
    format!("{text}\n[mysqld]\ntmpdir={}\n", root.join("tmp").display())
}
