//! Clients as applications are.

use crate::world::{APP_PASSWORD, MYSQL_PORT, Member, World};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use std::time::Duration;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

/// Connects over TCP with TLS and checks the certificate.
pub async fn connect(
    world: &World,
    index: usize,
    user: &str,
    password: &str,
) -> Result<MySqlConnection, sqlx::Error> {
    let options = MySqlConnectOptions::new()
        .host(&world.members[index].address.to_string())
        .port(MYSQL_PORT)
        .username(user)
        .password(password)
        .ssl_mode(MySqlSslMode::VerifyIdentity)
        .ssl_ca_from_pem(world.authority_pem());
    timeout(LIMIT, MySqlConnection::connect_with(&options)).await.expect("mysqld answers a connection")
}

pub async fn app(world: &World, index: usize) -> MySqlConnection {
    connect(world, index, "app", APP_PASSWORD).await.expect("the application logs in")
}

pub async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<(), sqlx::Error> {
    timeout(LIMIT, connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))))
        .await
        .expect("mysqld answers a statement")
        .map(|_| ())
}

pub async fn number(connection: &mut MySqlConnection, sql: &str) -> i64 {
    text(connection, sql).await.parse().unwrap()
}

pub async fn text(connection: &mut MySqlConnection, sql: &str) -> String {
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect(sql);
    row.try_get_unchecked(0).unwrap()
}

/// As the agent over the socket, whatever the server's mode.
pub async fn inside(member: &Member) -> MySqlConnection {
    let password = std::fs::read_to_string(member.path("accounts/agent")).unwrap();
    let options = MySqlConnectOptions::new()
        .socket(member.path("run/mysqld.sock"))
        .username("porpoise_agent")
        .password(&password)
        .ssl_mode(MySqlSslMode::Required);
    timeout(LIMIT, MySqlConnection::connect_with(&options))
        .await
        .expect("mysqld answers a connection")
        .expect("the agent logs in")
}

/// MySQL's error number.
pub fn code(error: &sqlx::Error) -> Option<u16> {
    error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>())
        .map(sqlx::mysql::MySqlDatabaseError::number)
}
