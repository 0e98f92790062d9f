//! What a member received another way than from one primary after the other (ha.md H22, ADR 0018).

use crate::sql;
use crate::world::World;
use porpoise_core::protocol::{Action, Role};

async fn insert(world: &World, index: usize, id: u32) {
    let mut app = sql::app(world, index).await;
    sql::run(&mut app, &format!("INSERT INTO sh_op.t VALUES ({id})")).await.unwrap();
}

/// A replica that hears no operator goes on receiving from whoever answers under its old source's name.
#[tokio::test(flavor = "multi_thread")]
async fn h22_a_replica_that_received_past_the_primary_says_so() {
    let mut world = World::cluster(3, 1).await;
    let mut app = sql::app(&world, 0).await;
    sql::run(&mut app, "CREATE TABLE sh_op.t (id INT PRIMARY KEY)").await.unwrap();
    insert(&world, 0, 1).await;
    world.level(1, 0).await;
    world.ordered(1, 2, Action::Seal).await;
    world.until(1, "sealed", |state| state.role == Role::Sealed { term: 2 }).await;
    // Only the third member gets this one.
    insert(&world, 0, 2).await;
    world.level(2, 0).await;
    assert_eq!(world.state(2).await.data.unwrap().strays, "");

    world.promote(1, 2, 0).await;
    world.members[0].lose_volume();
    world.start(0);
    world.running(0).await;
    world.follow(0, 2, 1, true).await;
    insert(&world, 1, 3).await;
    let state = world
        .until(2, "what came by the blank member", |state| {
            state.data.as_ref().is_some_and(|data| data.history == 2)
        })
        .await;
    let strays = state.data.unwrap().strays;
    assert!(strays.contains(':') && !strays.contains(','), "one server's alone: {strays:?}");
    for index in [0, 1] {
        assert_eq!(world.state(index).await.data.unwrap().strays, "", "member {index}");
    }
}
