//! What operator and agents say to each other: orders one way, member states the other. JSON over mutual TLS.
//!
//! `GET /v1/state` answers a [`MemberState`]; `POST /v1/order` takes an [`Order`] and answers an [`OrderAnswer`] at
//! once. An order sets what the agent works towards; how far it came is seen in the next state. `GET
//! /v1/state?after=CHANGE&process=PROCESS` answers when there is something new (ADR 0011).

mod configuration;

pub use configuration::{AgentConfig, Component, Variable};

use crate::backup::{ArchiveState, RestoreSource};
use crate::beginning::Origin;
use porpoise_crds::Quorum;
use serde::{Deserialize, Serialize};

/// Number of a reign. It only grows; larger wins (ha.md §2).
pub type Term = i64;

/// How the message of a primary ends that cannot use a password of the Secret.
pub const ACCOUNTS_STAY: &str = "until then the accounts stay as they were";

/// One instruction. Receiving it raises the agent's durable promise to `term` before anything else happens.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// UID of the `MySQLCluster`. An agent of another cluster refuses.
    pub cluster: String,
    /// Name of the instance that is meant. Any other refuses.
    pub instance: String,
    /// Identity of the volume that is meant, if the sender knows it. Any other refuses.
    pub volume: Option<String>,
    /// The sender's term. Below the promise: refused.
    pub term: Term,
    /// The recorded claim; persisted beside the promise when its version is newer. An older one than the agent knows:
    /// refused.
    pub claim: Option<Quorum>,
    /// The state this order was decided on: [`MemberState::process`] and [`MemberState::goal`]. Any other: refused, so
    /// that an order which comes late or twice undoes nothing (the member's side of the compare-and-swap on the term).
    pub seen: Seen,
    /// What to do.
    pub action: Action,
}

/// Which state of a member somebody looked at.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Run of the agent process.
    pub process: String,
    /// Goals it had accepted.
    pub goal: u64,
}

/// What an order asks for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Action {
    /// Stop receiving and stop writing; keep applying what was received. (`seal`)
    Seal,
    /// Be the primary of the term. (`promote`)
    #[serde(rename_all = "camelCase")]
    Promote {
        /// How many other members must acknowledge each transaction.
        k: i32,
        /// Let clients in, once the term record is acknowledged by `k` members.
        admit: bool,
    },
    /// Be a replica. (`follow`)
    #[serde(rename_all = "camelCase")]
    Follow {
        /// Instance to receive from.
        source: String,
        /// DNS name of that instance.
        host: String,
        /// Whether acknowledgements count; false for a member outside the claim (H23).
        acknowledge: bool,
        /// For a member that is [`ServerPhase::Held`]: everything that it may keep, as a GTID set. What its last binlog
        /// holds beyond that is cut off before mysqld starts (ha.md §4e).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<String>,
    },
    /// Replace all data by a copy of the donor's. Refused by the primary of the term. (`clone`)
    #[serde(rename_all = "camelCase")]
    Clone {
        /// Instance to copy from.
        donor: String,
        /// DNS name of that instance.
        host: String,
        /// Id of this wish; repeating an order with the same id starts nothing twice.
        request: String,
    },
    /// Replace the data of a blank member by a backup's. Refused by a member that has a claim. (`restore`)
    #[serde(rename_all = "camelCase")]
    Restore {
        /// The backup, and what it takes to read it.
        source: Box<RestoreSource>,
        /// Id of this wish; repeating an order with the same id starts nothing twice.
        request: String,
    },
    /// Make the first data of a blank member, or make it anew as long as it belongs to no claim. Refused by a member that has
    /// a claim. (`begin`)
    #[serde(rename_all = "camelCase")]
    Begin {
        /// Where it comes from.
        origin: Box<Origin>,
        /// Id of this wish; repeating an order with the same id starts nothing twice.
        request: String,
    },
    /// Take over a volume that the cluster `former` (same name and namespace) left. (`adopt`)
    #[serde(rename_all = "camelCase")]
    Adopt {
        /// UID of the cluster that left it.
        former: String,
    },
    /// Take over a volume that was made from a snapshot of the cluster `former`, as a new server of a new cluster. (`takeOver`)
    #[serde(rename_all = "camelCase")]
    TakeOver {
        /// UID of the cluster whose volume was copied.
        former: String,
        /// Id of this wish.
        request: String,
    },
    /// End mysqld in an orderly, fenced way and keep it down until another order. (`shutdown`)
    Shutdown,
}

/// Answer to an order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", tag = "answer")]
pub enum OrderAnswer {
    /// The agent promised the term and works towards it.
    Accepted,
    /// The agent will not; nothing changed.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// Highest term the agent has promised.
        promised: Term,
        /// Why, in a sentence.
        reason: String,
    },
}

/// All that the operator learns about a member.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct MemberState {
    /// UID of the cluster that owns the volume.
    pub cluster: String,
    /// Name of the instance.
    pub instance: String,
    /// Identity of the volume, made at random when it was blank. Empty before that.
    pub volume: String,
    /// Identity of this run of the agent process.
    pub process: String,
    /// Number of the last change that matters to others, in this process: what `GET /v1/state?after=` waits for.
    pub change: u64,
    /// Number of goals this process has accepted. An order that changes nothing does not count.
    pub goal: u64,
    /// Highest promised term, 0 if none.
    pub promised: Term,
    /// Newest claim this member was told.
    pub claim: Option<Quorum>,
    /// How far mysqld is.
    pub server: ServerPhase,
    /// What the member does.
    pub role: Role,
    /// Version text of the server, such as `9.7.4`.
    pub version: Option<String>,
    /// `@@server_uuid`.
    pub server_uuid: Option<String>,
    /// Facts about the data; absent while mysqld does not answer.
    pub data: Option<DataState>,
    /// What was cut off this member's binlog and is kept on its volume, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tails: Vec<Tail>,
    /// Id of the last wish for a copy or a backup's data that was carried out on this volume; empty if none.
    #[serde(default)]
    pub replaced_by: String,
    /// Whether the volume takes what is written.
    #[serde(default)]
    pub disk: DiskState,
    /// Transactions of clients that a change of the primary would break off; absent: none that is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_transactions: Option<LongTransactions>,
    /// How often mysqld ended without being asked to, in this run of the agent process.
    #[serde(default)]
    pub crashes: u64,
    /// Listed components that were loaded or tried in this run of mysqld.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Component>,
    /// Settings of the configuration that were set or tried in this run of mysqld.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// How the archive stands; absent: this agent was not told to archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveState>,
    /// Accounts with a former password that is still accepted. Only a primary tells, and only when it has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_passwords: Option<Vec<String>>,
    /// What the agent is busy with or what failed, in a sentence. Empty: nothing to say.
    pub message: String,
}

impl MemberState {
    /// Whether there is something in this state that matters to others and was not in `other`. Sets grow with every
    /// write; only what follows from them counts.
    pub fn differs_from(&self, other: &Self) -> bool {
        self.gist() != other.gist()
    }

    fn gist(&self) -> Self {
        let mut gist = Self { change: 0, message: String::new(), ..self.clone() };
        if let Some(data) = &mut gist.data {
            let strays = std::mem::take(&mut data.strays);
            *data =
                DataState { history: data.history, strays, settled: data.settled, ..DataState::default() };
        }
        if let Role::Replica { lag_seconds, .. } = &mut gist.role {
            *lag_seconds = None;
        }
        if let Some(archive) = &mut gist.archive {
            archive.reached_at = None;
        }
        gist.long_transactions = gist.long_transactions.map(|_| LongTransactions::default());
        gist
    }

    /// What an order must name that is decided on this state.
    pub fn seen(&self) -> Seen {
        Seen { process: self.process.clone(), goal: self.goal }
    }
}

/// How far mysqld is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", tag = "phase")]
pub enum ServerPhase {
    /// The agent has not looked yet.
    #[default]
    Unknown,
    /// The data directory is being initialised.
    Initializing,
    /// mysqld starts (crash recovery may take long).
    Starting,
    /// mysqld answers.
    Running,
    /// Data is being replaced by a clone.
    Cloning,
    /// mysqld is down and stays down until an order.
    Stopped,
    /// mysqld is down and shall not start for a moment: it was a primary, and its start would commit what nobody
    /// acknowledged (ha.md H3). Any order ends this, and so does time.
    #[serde(rename_all = "camelCase")]
    Held {
        /// The term it was the primary of.
        reigned: Term,
    },
    /// The volume belongs to another cluster; nothing was touched.
    #[serde(rename_all = "camelCase")]
    ForeignVolume {
        /// UID of the owner.
        cluster: String,
        /// `NAMESPACE/NAME` of the owner.
        owner: String,
    },
    /// What is on the volume cannot be understood, such as the promise. Nothing was touched, and every order is refused.
    #[serde(rename_all = "camelCase")]
    UnusableVolume {
        /// Which file and why, in a sentence.
        reason: String,
    },
    /// Another process works on the volume: two Pods claim one identity. Every order is refused until it is gone.
    VolumeInUse,
    /// mysqld does not come up; retried with growing pauses.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// What was seen, in a sentence.
        reason: String,
    },
}

/// What the member does.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase", tag = "role")]
pub enum Role {
    /// Nothing: read-only, clients turned away, waiting for orders.
    #[default]
    Idle,
    /// Sealed for a term: it does not receive, and applies what it has received.
    #[serde(rename_all = "camelCase")]
    Sealed {
        /// The term.
        term: Term,
    },
    /// The primary of a term.
    #[serde(rename_all = "camelCase")]
    Primary {
        /// The term.
        term: Term,
        /// Acknowledgements that each transaction waits for, once a write has shown that they arrive; absent before.
        proven_k: Option<i32>,
        /// Whether clients may write.
        admitting: bool,
    },
    /// A replica.
    #[serde(rename_all = "camelCase")]
    Replica {
        /// The term of the order it follows.
        term: Term,
        /// Instance it receives from.
        source: String,
        /// Whether the receiver is connected.
        receiving: bool,
        /// Whether the source was heard within the last second: a transaction or a heartbeat of its own.
        hearing: bool,
        /// Whether the applier runs.
        applying: bool,
        /// Whether its acknowledgements count.
        acknowledging: bool,
        /// Seconds behind the source, if known.
        lag_seconds: Option<u64>,
        /// Whether it is too far behind to be read from (`spec.services.replicas.maxLag`).
        #[serde(default)]
        lagging: bool,
        /// Error of receiver or applier, empty if none.
        error: String,
        /// Whether the source no longer has what this member needs (MySQL error 1236).
        needs_clone: bool,
    },
}

/// Facts about a member's data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DataState {
    /// `@@gtid_executed`.
    pub executed: String,
    /// Commits under way: they may be in the binlog and with replicas already, but not in `executed` (`@@gtid_owned`).
    #[serde(default)]
    pub owned: String,
    /// Transactions received, applied or not.
    pub retrieved: String,
    /// `@@gtid_purged`.
    pub purged: String,
    /// Term of the last term record that was executed; 0 if none.
    pub history: Term,
    /// Transactions that the primary of that term neither had when it began nor wrote itself: they came another way, and their
    /// order is not the primary's. Empty in a member that only ever received from primaries in turn.
    #[serde(default)]
    pub strays: String,
    /// Whether the member reads the source's transactions no more and has applied all it received.
    pub settled: bool,
    /// Commits that wait for acknowledgement right now.
    pub waiting_commits: u64,
}

/// Transactions that no client was told of, cut off a deposed primary's binlog and kept aside (ha.md §4e).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Tail {
    /// Name of the file, in the folder `tails` of the agent's part of the volume. `mysqlbinlog` reads it.
    pub file: String,
    /// Term in which the transactions were written.
    pub term: Term,
    /// How many transactions.
    pub transactions: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// Whether a member's volume takes what is written.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub enum DiskState {
    /// It does.
    #[default]
    Writable,
    /// It answers no write: neither a commit nor a promise gets through.
    Stalled,
    /// There is no room left.
    Full,
}

/// Transactions of clients that have written something and have been open for over a second.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct LongTransactions {
    /// How many.
    pub count: u64,
    /// Session of the oldest, as `SHOW PROCESSLIST` and `KILL` call it.
    pub session: u64,
    /// Seconds since the oldest began.
    pub age_seconds: u64,
    /// Seconds for which there has always been one: whoever waits for a moment without any has waited no longer.
    pub lasting_seconds: u64,
}
