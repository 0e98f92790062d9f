//! What a planned change of the primary would break off (ha.md §4a).

use crate::sql;
use crate::world::World;
use porpoise_core::protocol::MemberState;
use sqlx::MySqlConnection;
use std::time::Duration;
use tokio::time::Instant;

/// As long as a transaction must be open to be long, and the agent's pause between two looks, twice.
const LONG: Duration = Duration::from_secs(3);

async fn client(world: &World, statements: &[&str]) -> MySqlConnection {
    let mut client = sql::app(world, 0).await;
    for statement in statements {
        sql::run(&mut client, statement).await.unwrap();
    }
    client
}

fn is_free(state: &MemberState) -> bool {
    state.long_transactions.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_transactions_that_have_written_are_told() {
    let world = World::cluster(1, 0).await;
    let mut writer = client(
        &world,
        &["CREATE TABLE sh_op.t (a INT PRIMARY KEY)", "INSERT INTO sh_op.t VALUES (1)", "BEGIN"],
    )
    .await;
    let id = sql::number(&mut writer, "SELECT CONNECTION_ID()").await;
    sql::run(&mut writer, "INSERT INTO sh_op.t VALUES (2)").await.unwrap();
    let state = world.until(0, "a long transaction", |state| !is_free(state)).await;
    let found = state.long_transactions.clone().unwrap();
    assert_eq!((found.count, i64::try_from(found.session).unwrap()), (1, id));
    let later = world
        .until(0, "a longer one", |state| {
            state.long_transactions.as_ref().is_some_and(|found| found.lasting_seconds >= 1)
        })
        .await;
    assert!(later.long_transactions.unwrap().age_seconds >= 2);

    sql::run(&mut writer, "COMMIT").await.unwrap();
    world.until(0, "no long transaction any more", is_free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_the_change_or_has_written_nothing_is_not_waited_for() {
    let world = World::cluster(1, 0).await;
    client(&world, &["CREATE TABLE sh_op.t (a INT PRIMARY KEY)", "INSERT INTO sh_op.t VALUES (1)"]).await;
    let _reader =
        client(&world, &["START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT * FROM sh_op.t"]).await;
    let prepare = ["XA START 'x'", "INSERT INTO sh_op.t VALUES (2)", "XA END 'x'", "XA PREPARE 'x'"];
    let _prepared = client(&world, &prepare).await;
    let start = Instant::now();
    while start.elapsed() < LONG {
        let state = world.state(0).await;
        assert!(is_free(&state), "{:?}", state.long_transactions);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_being_rebuilt_counts() {
    let world = World::cluster(1, 0).await;
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)";
    let fill = format!(
        "INSERT INTO sh_op.t {numbers} SELECT x.i, y.i, REPEAT('p', 200) FROM n x JOIN n y ON y.i <= 300"
    );
    let mut rebuilder =
        client(&world, &["CREATE TABLE sh_op.t (a INT, b INT, note CHAR(200), PRIMARY KEY (a, b))", &fill])
            .await;
    world.until(0, "no long transaction", is_free).await;
    let rebuild = tokio::spawn(async move {
        sql::run(&mut rebuilder, "ALTER TABLE sh_op.t ADD COLUMN c INT, ALGORITHM=COPY").await
    });
    world.until(0, "the rebuilding", |state| !is_free(state)).await;
    rebuild.abort();
}
