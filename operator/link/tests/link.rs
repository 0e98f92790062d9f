//! Both ends over a real socket: who is let in, who is refused, and what happens in time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use axum::extract::Json;
use axum::routing::{get, post};
use axum::{Extension, Router};
use jiff::Timestamp;
use porpoise_core::protocol::{Action, MemberState, Order, OrderAnswer, Seen};
use porpoise_link::certificates::{self, Validity};
use porpoise_link::server::serve_within;
use porpoise_link::{
    AgentClient, Authority, Caller, Issued, Limits, LinkError, MEMBER_IDENTITY, ORDER_PATH, STATE_PATH,
    ServerTls,
};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const NAME: &str = "shop-0.shop-members.prod.svc";
const LIMIT: Duration = Duration::from_secs(5);

fn validity() -> Validity {
    Validity { now: Timestamp::now(), lifetime: Duration::from_hours(24) }
}

fn authority() -> Authority {
    Authority::generate("shop prod", Timestamp::now(), Duration::from_hours(48)).unwrap()
}

fn server_certificate(authority: &Authority) -> Issued {
    let names = ["*.shop-members.prod.svc".to_owned()];
    authority.issue_server(&names, &[], MEMBER_IDENTITY, validity()).unwrap()
}

fn client(authority: &Authority) -> AgentClient {
    AgentClient::new(&authority.issue_client("operator.porpoise", validity()).unwrap()).unwrap()
}

fn limits() -> Limits {
    Limits { reload: Duration::from_millis(50), handshake: Duration::from_millis(300), ..Limits::default() }
}

/// Answers who called, in the field `instance`.
fn router() -> Router {
    let state = |Extension(Caller(caller)): Extension<Caller>| async move {
        Json(MemberState { instance: caller, ..MemberState::default() })
    };
    let order = |Json(order): Json<Order>| async move {
        Json(OrderAnswer::Refused { promised: order.term, reason: order.instance })
    };
    Router::new().route(STATE_PATH, get(state)).route(ORDER_PATH, post(order))
}

struct Server {
    address: SocketAddr,
    folder: TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn write(folder: &Path, issued: &Issued) {
    for (name, text) in
        [("tls.crt", &issued.cert_pem), ("tls.key", &issued.key_pem), ("ca.crt", &issued.ca_pem)]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

async fn start(issued: &Issued, router: Router) -> Server {
    let folder = TempDir::new().unwrap();
    write(folder.path(), issued);
    let file = |name: &str| folder.path().join(name);
    let tls = ServerTls { cert: file("tls.crt"), key: file("tls.key"), ca: file("ca.crt") };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let shutdown = async move {
            let _ = stopped.await;
        };
        serve_within(limits(), listener, tls, router, shutdown).await.unwrap();
    });
    Server { address, folder, stop, task }
}

#[tokio::test]
async fn a_state_comes_back_and_the_caller_is_known_by_its_certificate() {
    let authority = authority();
    let server = start(&server_certificate(&authority), router()).await;
    let state = client(&authority).state(server.address, NAME, LIMIT).await.unwrap();
    assert_eq!(state.instance, "operator.porpoise");
    let peer = AgentClient::new(&server_certificate(&authority)).unwrap();
    assert_eq!(peer.state(server.address, NAME, LIMIT).await.unwrap().instance, MEMBER_IDENTITY);
}

#[tokio::test]
async fn an_order_arrives_whole() {
    let authority = authority();
    let server = start(&server_certificate(&authority), router()).await;
    let order = Order {
        cluster: "uid".to_owned(),
        instance: "shop-0".to_owned(),
        volume: None,
        term: 7,
        seen: Seen::default(),
        claim: None,
        action: Action::Seal,
    };
    let answer = client(&authority).order(server.address, NAME, &order, LIMIT).await.unwrap();
    assert_eq!(answer, OrderAnswer::Refused { promised: 7, reason: "shop-0".to_owned() });
}

#[tokio::test]
async fn strangers_and_wrong_names_are_refused() {
    let (own, foreign) = (authority(), authority());
    let server = start(&server_certificate(&own), router()).await;
    let stranger = foreign.issue_client("operator.porpoise", validity()).unwrap();
    // A stranger that trusts the right server, but shows a certificate of another authority.
    let trusting =
        AgentClient::from_pem(own.certificate_pem(), &stranger.cert_pem, &stranger.key_pem).unwrap();
    for (case, client, name) in [
        ("server of another authority", client(&foreign), NAME),
        ("caller of another authority", trusting, NAME),
        ("another cluster's name", client(&own), "shop-0.other-members.prod.svc"),
    ] {
        let error = client.state(server.address, name, LIMIT).await.unwrap_err();
        let refused = matches!(
            error,
            LinkError::AgreeOnTls { .. } | LinkError::SendRequest { .. } | LinkError::ReadAnswer { .. }
        );
        assert!(refused, "{case}: {error:?}");
    }
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused() {
    use rustls::pki_types::pem::PemObject;
    let authority = authority();
    let server = start(&server_certificate(&authority), router()).await;
    let mut roots = rustls::RootCertStore::empty();
    let ca =
        rustls::pki_types::CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(server.address).await.unwrap();
    // With TLS 1.3 the client is done first: the refusal arrives with the first read.
    let Ok(mut stream) = connector.connect(NAME.try_into().unwrap(), stream).await else { return };
    let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 1])).await.unwrap();
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn a_new_certificate_is_used_and_a_broken_one_is_not() {
    let (old, new) = (authority(), authority());
    let server = start(&server_certificate(&old), router()).await;
    client(&old).state(server.address, NAME, LIMIT).await.unwrap();
    std::fs::write(server.folder.path().join("tls.crt"), "half a file").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    client(&old).state(server.address, NAME, LIMIT).await.unwrap();
    write(server.folder.path(), &server_certificate(&new));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if client(&new).state(server.address, NAME, LIMIT).await.is_ok() {
            client(&old).state(server.address, NAME, LIMIT).await.unwrap_err();
            return;
        }
    }
    panic!("the new certificate is not used");
}

#[tokio::test]
async fn a_silent_server_costs_no_more_than_the_limit() {
    let authority = authority();
    // Accepts and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(200);
    let error = client(&authority).state(address, NAME, limit).await.unwrap_err();
    assert!(matches!(error, LinkError::AwaitAnswer { .. }), "{error:?}");
    // Shakes hands and never answers.
    let hanging = Router::new().route(STATE_PATH, get(std::future::pending::<()>));
    let server = start(&server_certificate(&authority), hanging).await;
    let error = client(&authority).state(server.address, NAME, limit).await.unwrap_err();
    assert!(matches!(error, LinkError::AwaitAnswer { .. }), "{error:?}");
}

#[tokio::test]
async fn a_caller_that_says_nothing_is_hung_up_on() {
    let authority = authority();
    let server = start(&server_certificate(&authority), router()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn an_error_of_the_agent_is_told() {
    let authority = authority();
    let server = start(&server_certificate(&authority), Router::new()).await;
    let error = client(&authority).state(server.address, NAME, LIMIT).await.unwrap_err();
    assert!(matches!(&error, LinkError::RefuseRequest { status, .. } if status.as_u16() == 404), "{error:?}");
    assert_eq!(error.category(), "RefuseRequest");
}

#[tokio::test]
async fn a_shut_down_server_lets_open_requests_finish() {
    let authority = authority();
    let slow = Router::new().route(
        STATE_PATH,
        get(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Json(MemberState::default())
        }),
    );
    let server = start(&server_certificate(&authority), slow).await;
    let (client, address) = (client(&authority), server.address);
    let asked = tokio::spawn(async move { client.state(address, NAME, LIMIT).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    asked.await.unwrap().unwrap();
}

#[test]
fn a_stored_authority_goes_on_signing() {
    let authority = authority();
    let again = Authority::from_pem(authority.certificate_pem(), authority.key_pem()).unwrap();
    let issued = server_certificate(&again);
    assert_eq!(issued.ca_pem, authority.certificate_pem());
    assert!(issued.key_pem.contains("BEGIN PRIVATE KEY"), "PKCS#8, as OpenSSL reads it");
    assert_eq!(certificates::names(&issued.cert_pem).unwrap(), [MEMBER_IDENTITY, "*.shop-members.prod.svc"]);
}

#[test]
fn the_end_of_a_certificate_can_be_read() {
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let validity = Validity { now, lifetime: Duration::from_hours(24 * 90) };
    let issued = authority().issue_client("operator.porpoise", validity).unwrap();
    let end = certificates::expires_at(&issued.cert_pem).unwrap();
    assert_eq!(end.as_second(), 1_700_000_000 + 90 * 24 * 3600);
    assert!(certificates::expires_at("nothing").is_err());
}
