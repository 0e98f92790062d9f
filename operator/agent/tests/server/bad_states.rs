//! States that must never end in silence or in a guess (docs: "Bad states").

use crate::sql;
use crate::world::{World, children};
use porpoise_core::protocol::{Action, OrderAnswer, Role, ServerPhase};
use std::fs;

fn is_refused(answer: &OrderAnswer, why: &str) -> bool {
    matches!(answer, OrderAnswer::Refused { promised: 0, reason } if reason.contains(why))
}

/// Neither a default nor a guess: the member serves nobody, takes no order, says why and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_promise_file_is_not_guessed_about() {
    let mut world = World::new(1);
    world.running(0).await;
    world.ordered(0, 2, Action::Seal).await;
    for (broken, word) in [("{", "understand"), ("", "understand"), ("{\"term\": \"seven\"}", "understand")] {
        world.members[0].crash();
        let file = world.members[0].path("volume/porpoise/promise.json");
        fs::write(&file, broken).unwrap();
        world.start(0);
        let unusable = |state: &porpoise_core::protocol::MemberState| {
            matches!(&state.server, ServerPhase::UnusableVolume { reason }
                if reason.contains(word) && reason.contains("promise.json"))
        };
        let state = world.until(0, "an unusable volume", unusable).await;
        assert_eq!((state.data, state.volume.as_str(), &state.role), (None, "", &Role::Idle));
        for action in [Action::Seal, Action::Promote { k: 0, admit: true }] {
            assert!(is_refused(&world.order(0, 9, action).await, "promise.json"));
        }
        assert_eq!(world.probe(0, "/readyz").await.0, 503);
        assert_eq!(world.probe(0, "/livez").await.0, 200, "a restart would not help");
        assert!(children(world.members[0].agent_pid()).is_empty(), "no mysqld runs");
        assert_eq!(fs::read_to_string(&file).unwrap(), broken, "nothing is touched");
    }
}

/// As after a forced deletion of a Pod whose node goes on: the successor starts beside it, on the same volume.
#[tokio::test(flavor = "multi_thread")]
async fn two_agents_never_work_on_one_volume() {
    let mut world = World::new(1);
    let first = world.running(0).await;
    world.ordered(0, 3, Action::Seal).await;
    let twin = world.add_twin(0);
    let state = world.until(twin, "waiting", |state| state.server == ServerPhase::VolumeInUse).await;
    assert_eq!((state.volume.as_str(), state.promised, state.data), ("", 0, None));
    assert!(is_refused(&world.order(twin, 9, Action::Seal).await, "another process"));
    assert!(children(world.members[twin].agent_pid()).is_empty(), "one mysqld is enough");
    world.ordered(0, 4, Action::Seal).await;
    world.members[0].crash();
    let state = world.running(twin).await;
    assert_eq!((&state.volume, state.promised), (&first.volume, 4), "it goes on with what was promised last");
}

/// `spec.services.replicas.maxLag`: a replica that is too far behind says so, stays ready and acknowledging, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_is_not_read_from_and_comes_back() {
    let world = World::cluster(2, 1).await;
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.lag (id INT PRIMARY KEY)").await.unwrap();
    world.level(1, 0).await;
    let lags = |wanted: bool| move |state: &porpoise_core::protocol::MemberState| matches!(state.role, Role::Replica { lagging, acknowledging: true, .. } if lagging == wanted);
    let known = world.until(1, "level", lags(false)).await;
    // Taken up without a restart.
    world.bound_lag(1, 2);
    let mut reader = sql::inside(&world.members[1]).await;
    sql::run(&mut reader, "LOCK TABLES sh_op.lag READ").await.unwrap();
    sql::run(&mut app, "INSERT INTO sh_op.lag VALUES (1)").await.expect("received is enough to acknowledge");
    let state = world.until(1, "lagging", lags(true)).await;
    assert!(state.change > known.change, "whoever waits for news is told");
    assert_eq!(state.process, known.process);
    assert_eq!(world.probe(1, "/readyz").await.0, 200, "evictions of others are not held up");
    sql::run(&mut app, "INSERT INTO sh_op.lag VALUES (2)").await.expect("it goes on acknowledging");
    sql::run(&mut reader, "UNLOCK TABLES").await.unwrap();
    world.until(1, "level again", lags(false)).await;
}
