//! Changes of passwords, in steps that lock nobody out (G8, ADR 0027).
//!
//! The kubelet shows a changed Secret to each Pod in its own time. So the primary lets accounts have two passwords for a while
//! (MySQL manual, "Dual Password Support"), replicas connect anew one after the other, and the former password ends when
//! everybody has had time to see the new one.

use super::accounts::{self, Login};
use super::promote::write;
use super::{BRIEF, GoalError, Pursuit};
use crate::mysql::{Meaning, statements};
use crate::observe::Thread;
use porpoise_core::names;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at whether something is to be done.
const LOOK: Duration = Duration::from_secs(5);
/// Longest password that replication takes (MySQL manual, "START REPLICA Statement").
const LONGEST: usize = 32;

/// What a primary knows of former passwords that are still accepted. Times are of this reign: another primary begins to
/// count anew, so that nobody's clock matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Former {
    looked: Option<Instant>,
    since: Option<Instant>,
    /// A change has begun and not all accounts are done.
    is_changing: bool,
    changed: Option<Instant>,
}

/// What a replica connects to its source with.
#[derive(Default)]
pub struct Credentials {
    used: Option<String>,
    worked: Option<String>,
    looked: Option<Instant>,
    /// Since when the own server, and so the source, knows what the file holds.
    known: Option<Instant>,
}

/// Refuses what would lock somebody out: nothing at all, and for the operator's accounts what replication cannot use.
pub(super) fn usable(file: &str, password: String) -> Result<String, GoalError> {
    let is_own = names::ACCOUNTS.contains(&file);
    let reason = if password.is_empty() {
        "it is empty; write one with 1 to 32 characters"
    } else if is_own && password.chars().count() > LONGEST {
        "it has more than 32 characters; write a shorter one"
    } else {
        return Ok(password);
    };
    Err(GoalError::RefusePassword { file: file.to_owned(), reason })
}

/// Whether the last change is long enough ago for the next one, which ends what the last one kept: everybody must have seen
/// it.
pub(super) fn may_change(pursuit: &Pursuit) -> bool {
    let (_, pause) = pursuit.member.settings.rotation_pauses();
    let memory = pursuit.memory();
    let changed = memory.reign.as_ref().and_then(|reign| reign.former.changed);
    changed.is_none_or(|at| at.elapsed() >= pause)
}

/// Gives an account the password of its file beside the one that it has. The server is asked first whether it accepts it
/// already: done twice, the former one would be lost, and a primary with older files must take nothing back.
pub(super) async fn change(pursuit: &Arc<Pursuit>, login: &Login) -> Result<(), GoalError> {
    let Login { user, account, password, secret, host: _ } = login;
    if pursuit.door.accepts(user, password).await.map_err(GoalError::step)? {
        return Ok(());
    }
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        (reign.former.since, reign.former.is_changing) = (None, true);
    }
    match write(pursuit, statements::change_password(account, secret)).await {
        Err(GoalError::RunStep { source }) if source.meaning() == Meaning::CannotRetain => {
            write(pursuit, statements::set_password(account, secret)).await?;
        }
        done => done?,
    }
    tracing::info!(user, "the password is changed; the former one is accepted for a while");
    Ok(())
}

/// All accounts are done; one change that breaks off in the middle goes on at once.
pub(super) fn note_change(pursuit: &Pursuit) {
    if let Some(reign) = pursuit.memory().reign.as_mut()
        && std::mem::take(&mut reign.former.is_changing)
    {
        reign.former.changed = Some(Instant::now());
    }
}

/// Ends former passwords that have been accepted for long enough.
pub(super) async fn end_former(pursuit: &Arc<Pursuit>, logins: &[&Login]) -> Result<(), GoalError> {
    if !is_time_to_look(pursuit) {
        return Ok(());
    }
    let kept = kept(pursuit).await?;
    let ours = |login: &&&Login| kept.iter().any(|(user, host)| *user == login.user && host == login.host);
    let with_former: Vec<&&Login> = logins.iter().filter(ours).collect();
    pursuit.member.keep_former(Some(with_former.iter().map(|login| login.user.clone()).collect()));
    if !is_over(pursuit, with_former.is_empty()) {
        return Ok(());
    }
    for login in with_former {
        // What is discarded must not be what the file holds, as after a change that was taken back.
        write(pursuit, statements::set_password(&login.account, &login.secret)).await?;
        write(pursuit, statements::discard_password(&login.account)).await?;
        tracing::info!(user = login.user, "the former password is accepted no longer");
    }
    pursuit.member.keep_former(Some(Vec::new()));
    Ok(())
}

fn is_time_to_look(pursuit: &Pursuit) -> bool {
    let pause = LOOK.min(pursuit.member.settings.rotation_pauses().0);
    let mut memory = pursuit.memory();
    // Nobody waits for this to be let in.
    let Some(reign) = memory.reign.as_mut().filter(|reign| reign.admitting) else { return false };
    let is_time = reign.former.looked.is_none_or(|at| at.elapsed() >= pause);
    if is_time {
        reign.former.looked = Some(Instant::now());
    }
    is_time
}

/// Counts from when this primary first saw that there are some.
fn is_over(pursuit: &Pursuit, is_none: bool) -> bool {
    let mut memory = pursuit.memory();
    let Some(reign) = memory.reign.as_mut() else { return false };
    if is_none {
        reign.former.since = None;
        return false;
    }
    let since = *reign.former.since.get_or_insert_with(Instant::now);
    since.elapsed() >= pursuit.member.settings.former_passwords()
}

async fn kept(pursuit: &Pursuit) -> Result<Vec<(String, String)>, GoalError> {
    let rows = pursuit.admin.rows(statements::kept_passwords(), BRIEF).await;
    let mut kept = Vec::new();
    for row in rows.map_err(GoalError::step)? {
        let text = |column| row.text(column).map(Option::unwrap_or_default).map_err(GoalError::step);
        kept.push((text("user")?, text("host")?));
    }
    Ok(kept)
}

/// Whether the receiver is to be started with another password: the one it has is denied, or it is time to take up the new
/// one, which it needs when the connection breaks after the former one has ended. One replica after the other, in the order
/// of their numbers, because a replica that connects does not acknowledge for a moment.
pub(super) async fn receiver_is_stale(pursuit: &Pursuit, receiver: Thread) -> Result<bool, GoalError> {
    if receiver == Thread::On {
        let mut memory = pursuit.memory();
        let credentials = &mut memory.credentials;
        credentials.worked.clone_from(&credentials.used);
    }
    let Ok(written) = accounts::password(&pursuit.member.settings, "replication") else { return Ok(false) };
    let used = pursuit.memory().credentials.used.clone();
    let is_other = used.as_ref().is_some_and(|used| *used != written);
    match receiver {
        Thread::On if is_other => take_up(pursuit, &written).await,
        Thread::Connecting => {
            let has_choice = is_other || other(pursuit, &written).is_some();
            Ok(has_choice && is_denied(pursuit).await? && pursuit.may_start_threads())
        }
        Thread::On | Thread::Off | Thread::None => Ok(false),
    }
}

async fn take_up(pursuit: &Pursuit, written: &str) -> Result<bool, GoalError> {
    let settings = &pursuit.member.settings;
    let (step, _) = settings.rotation_pauses();
    let is_looked = pursuit.memory().credentials.looked.is_some_and(|at| at.elapsed() < LOOK.min(step));
    if is_looked {
        return Ok(false);
    }
    let is_known = pursuit.door.accepts(&names::account_user("replication"), written).await;
    let is_known = is_known.map_err(GoalError::step)?;
    let turn = step * settings.server_id().unwrap_or_default();
    let mut memory = pursuit.memory();
    let credentials = &mut memory.credentials;
    credentials.looked = Some(Instant::now());
    if !is_known {
        credentials.known = None;
        return Ok(false);
    }
    Ok(credentials.known.get_or_insert_with(Instant::now).elapsed() >= turn)
}

/// The password that worked last, or else was used last, if it is another.
fn other(pursuit: &Pursuit, written: &str) -> Option<String> {
    let memory = pursuit.memory();
    let known = [&memory.credentials.worked, &memory.credentials.used];
    known.into_iter().flatten().find(|password| *password != written).cloned()
}

/// The password to connect with: the file's, unless the source cannot know it yet. The own server tells, for what it has
/// applied its source has too. After a denial it is the other one's turn.
pub(super) async fn choose(pursuit: &Pursuit) -> Result<String, GoalError> {
    let written = accounts::password(&pursuit.member.settings, "replication")?;
    let password = match other(pursuit, &written) {
        None => written,
        Some(other) => {
            let used = pursuit.memory().credentials.used.clone();
            let is_known = pursuit.door.accepts(&names::account_user("replication"), &written).await;
            match (is_denied(pursuit).await?, is_known.map_err(GoalError::step)?) {
                (true, _) if used.as_ref() == Some(&written) => other,
                (true, _) | (false, true) => written,
                (false, false) => other,
            }
        }
    };
    let mut memory = pursuit.memory();
    (memory.credentials.used, memory.credentials.known) = (Some(password.clone()), None);
    Ok(password)
}

/// Whether the source last denied the receiver.
async fn is_denied(pursuit: &Pursuit) -> Result<bool, GoalError> {
    let rows = pursuit.admin.rows(statements::replication(), BRIEF).await;
    let rows = rows.map_err(GoalError::step)?;
    let number = rows.first().map(|row| row.number("receiver_errno")).transpose();
    Ok(number.map_err(GoalError::step)?.flatten() == Some(1045))
}

impl Pursuit {
    /// Tries each new password of the agent as soon as it is there, so that the one before it is known when the next one
    /// comes.
    pub async fn keep_key(&self) {
        loop {
            sleep(LOOK).await;
            if self.supervisor.now().run().is_some() {
                self.door.try_new_key().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g8_passwords_that_would_lock_somebody_out_are_refused() {
        let fits = |file: &str, text: &str| usable(file, text.to_owned()).is_ok();
        assert!(fits("replication", &"x".repeat(32)));
        assert!(!fits("replication", &"x".repeat(33)));
        assert!(!fits("agent", ""));
        assert!(fits("password", &"x".repeat(80)));
        assert!(!fits("password", ""));
    }
}
