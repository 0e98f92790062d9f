//! The calls: write, write if there is none, read, delete, list. Source: Amazon S3 API Reference, `PutObject`, `GetObject`,
//! `DeleteObject`, `ListObjectsV2`, "Error responses".

use super::files::{FileError, Files, Listed};
use super::{LONGEST_OBJECT, LONGEST_PAUSE, LONGEST_TRANSFER};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use std::fmt::Write as _;
use std::fs::Metadata;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufWriter};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

/// Objects in one answer of a listing.
const PAGE: usize = 5_000;
/// Bytes that are read, or kept before they are written, at a time.
const PIECE: usize = 256 * 1024;
/// The time that HTTP writes: `Sun, 06 Nov 1994 08:49:37 GMT`.
const HTTP_TIME: &str = "%a, %d %b %Y %H:%M:%S GMT";

/// What is served.
pub(super) struct Shelf {
    pub(super) claim: String,
    pub(super) files: Files,
}

/// A call that is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("serve the volume claim {asked:?}: this is {served:?} until its Pod is replaced")]
    ServeClaim { asked: String, served: String },
    #[error("take an object: it has more than {LONGEST_OBJECT} bytes")]
    TakeLength,
    #[error(
        "receive an object: nothing came for {LONGEST_PAUSE:?}, or it took longer than {LONGEST_TRANSFER:?}"
    )]
    AwaitPiece,
    #[error("receive an object: {reason}")]
    Receive { reason: String },
    #[error("finish a step of the work with the volume")]
    AwaitStep,
    #[error("{0}")]
    UseFile(#[source] FileError),
}

impl Refusal {
    /// Status and S3's code. What another try could mend has a status of 5xx: clients try again by themselves then.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::ServeClaim { .. } => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::TakeLength => (StatusCode::PAYLOAD_TOO_LARGE, "EntityTooLarge"),
            Self::AwaitPiece => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            Self::Receive { .. } => (StatusCode::BAD_REQUEST, "IncompleteBody"),
            Self::AwaitStep => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            Self::UseFile(error) => match error {
                FileError::UseKey { .. } | FileError::FollowLink { .. } => {
                    (StatusCode::BAD_REQUEST, "InvalidRequest")
                }
                FileError::FindObject { .. } => (StatusCode::NOT_FOUND, "NoSuchKey"),
                FileError::ObjectExists { .. } => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
                // No 5xx: a minute of further tries makes no room.
                FileError::FindRoom { .. } => (StatusCode::PAYLOAD_TOO_LARGE, NO_ROOM),
                FileError::UseVolume { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
            },
        }
    }
}

/// Code of a refusal because the volume is full; no other store has it.
pub(crate) const NO_ROOM: &str = "VolumeClaimFull";

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = self.code();
        let words = crate::logging::chain(&self);
        if status.is_server_error() || code == NO_ROOM {
            tracing::warn!(error = words, "a call to the volume failed");
        }
        let words = escaped(&words);
        let text = format!("<Error><Code>{code}</Code><Message>{words}</Message></Error>");
        (status, [(header::CONTENT_TYPE, "application/xml")], text).into_response()
    }
}

/// The routes of a store.
pub(super) fn router(shelf: Shelf) -> Router {
    Router::new()
        .route("/{claim}", get(list))
        .route("/{claim}/{*key}", get(read).put(write).delete(remove))
        // The handler counts by itself, while it writes.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(shelf))
}

type Served = State<Arc<Shelf>>;

impl Shelf {
    /// After a change of the claim the former Pod may still be there.
    fn serves(&self, asked: &str) -> Result<(), Refusal> {
        if asked == self.claim {
            return Ok(());
        }
        Err(Refusal::ServeClaim { asked: asked.to_owned(), served: self.claim.clone() })
    }
}

/// Work with files, where it holds up nobody.
async fn with<A: Send + 'static>(
    shelf: &Arc<Shelf>,
    work: impl FnOnce(&Files) -> Result<A, FileError> + Send + 'static,
) -> Result<A, Refusal> {
    let shelf = shelf.clone();
    let done = spawn_blocking(move || work(&shelf.files)).await;
    done.map_err(|_| Refusal::AwaitStep)?.map_err(Refusal::UseFile)
}

/// The answer comes when the object is on disk, and its name too.
async fn write(
    State(shelf): Served,
    Path((claim, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    shelf.serves(&claim)?;
    let create = headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*");
    let (incoming, file) = with(&shelf, Files::begin).await?;
    let receiving = receive(File::from_std(file), body.into_data_stream());
    let metadata = timeout(LONGEST_TRANSFER, receiving).await.map_err(|_| Refusal::AwaitPiece)??;
    with(&shelf, move |files| files.place(&incoming, &key, create)).await?;
    Ok((StatusCode::OK, [(header::ETAG, tag(&metadata))]).into_response())
}

async fn receive(
    file: File,
    mut pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
) -> Result<Metadata, Refusal> {
    let writing =
        |error: io::Error| Refusal::UseFile(super::files::failed("write a file on the volume")(error));
    let mut file = BufWriter::with_capacity(PIECE, file);
    let mut length = 0;
    while let Some(piece) = timeout(LONGEST_PAUSE, pieces.next()).await.map_err(|_| Refusal::AwaitPiece)? {
        let piece = piece.map_err(|error| Refusal::Receive { reason: error.to_string() })?;
        length += piece.len() as u64;
        if length > LONGEST_OBJECT {
            return Err(Refusal::TakeLength);
        }
        file.write_all(&piece).await.map_err(writing)?;
    }
    file.flush().await.map_err(writing)?;
    let file = file.into_inner();
    file.sync_all().await.map_err(writing)?;
    file.metadata().await.map_err(writing)
}

async fn read(
    State(shelf): Served,
    Path((claim, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    shelf.serves(&claim)?;
    let (file, metadata) = with(&shelf, move |files| files.read(&key)).await?;
    let length = metadata.len();
    let part = headers.get(header::RANGE).and_then(|value| wanted_part(value.to_str().ok()?, length));
    let (status, Range { start, end }) =
        part.map_or((StatusCode::OK, 0..length), |part| (StatusCode::PARTIAL_CONTENT, part));
    let mut file = File::from_std(file);
    let moving =
        |error: io::Error| Refusal::UseFile(super::files::failed("read a file on the volume")(error));
    file.seek(SeekFrom::Start(start)).await.map_err(moving)?;
    let fixed = [
        (header::CONTENT_LENGTH, (end - start).to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ETAG, tag(&metadata)),
        (header::LAST_MODIFIED, time(&metadata).strftime(HTTP_TIME).to_string()),
    ];
    let body = Body::from_stream(content(file, end - start));
    let of_whole = format!("bytes {start}-{}/{length}", end.saturating_sub(1));
    let place = (status == StatusCode::PARTIAL_CONTENT).then_some([(header::CONTENT_RANGE, of_whole)]);
    Ok((status, fixed, place, body).into_response())
}

/// The part that a header `Range` asks for: `bytes=FIRST-LAST`. One that asks for it in another way gets the whole, as the
/// protocol allows. Source: RFC 9110, section 14.2.
fn wanted_part(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
    (first <= last && first < length).then(|| first..length.min(last.saturating_add(1)))
}

/// As long as was announced: a file that is not has been cut off behind our back, and the client sees it end early. So does one
/// that takes it all, but too slowly.
fn content(file: File, length: u64) -> impl Stream<Item = io::Result<Bytes>> {
    let end = Instant::now() + LONGEST_TRANSFER;
    stream::try_unfold((file, length, end), async |(mut file, left, end)| {
        if Instant::now() > end {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        if most == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; most];
        let count = file.read(&mut piece).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(count);
        Ok(Some((Bytes::from(piece), (file, left - count as u64, end))))
    })
}

async fn remove(
    State(shelf): Served,
    Path((claim, key)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    shelf.serves(&claim)?;
    with(&shelf, move |files| files.remove(&key)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a listing asks for; the one parameter more, its version, is always the same.
#[derive(serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wanted {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    start_after: String,
    #[serde(default)]
    continuation_token: String,
}

async fn list(
    State(shelf): Served,
    Path(claim): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Refusal> {
    shelf.serves(&claim)?;
    let Wanted { prefix, start_after, continuation_token } = wanted;
    let after = continuation_token.max(start_after);
    let (found, has_more) = with(&shelf, move |files| files.list(&prefix, &after, PAGE)).await?;
    Ok(([(header::CONTENT_TYPE, "application/xml")], page(&found, has_more)).into_response())
}

fn page(found: &[Listed], has_more: bool) -> String {
    let mut text = format!("<ListBucketResult><IsTruncated>{has_more}</IsTruncated>");
    if let Some(last) = found.last().filter(|_| has_more) {
        let token = escaped(&last.key);
        // Writing to a text cannot fail.
        let _ = write!(text, "<NextContinuationToken>{token}</NextContinuationToken>");
    }
    for Listed { key, bytes, modified } in found {
        let (key, modified) = (escaped(key), moment(*modified));
        let _ = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><Size>{bytes}</Size></Contents>"
        );
    }
    text.push_str("</ListBucketResult>");
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Another content has another size or time.
fn tag(metadata: &Metadata) -> String {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    format!("\"{:x}-{:x}\"", metadata.len(), since.as_nanos())
}

fn time(metadata: &Metadata) -> Timestamp {
    moment(metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}

fn moment(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let listed = |key: &str| Listed { key: key.to_owned(), bytes: 7, modified: SystemTime::UNIX_EPOCH };
        let text = page(&[listed("a/1"), listed("a/<&>")], true);
        assert_eq!(
            text,
            "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a/&lt;&amp;&gt;</NextContinuationToken>\
             <Contents><Key>a/1</Key><LastModified>1970-01-01T00:00:00Z</LastModified><Size>7</Size></Contents>\
             <Contents><Key>a/&lt;&amp;&gt;</Key><LastModified>1970-01-01T00:00:00Z</LastModified><Size>7</Size></Contents>\
             </ListBucketResult>"
        );
    }

    #[test]
    fn a_full_volume_is_not_asked_again_and_a_failing_one_is() {
        let refusal = |error| Refusal::UseFile(error).code().0;
        assert!(refusal(FileError::FindRoom { doing: "write" }).is_client_error());
        let source = io::ErrorKind::Other.into();
        assert!(refusal(FileError::UseVolume { doing: "write", source }).is_server_error());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_nothing_more_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("one")).await.unwrap();
        let first = stream::iter([Ok(Bytes::from_static(b"a"))]);
        let outcome = receive(file, Box::pin(first.chain(stream::pending()))).await;
        assert!(matches!(outcome, Err(Refusal::AwaitPiece)), "{outcome:?}");
    }

    #[tokio::test]
    async fn an_endless_object_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("one")).await.unwrap();
        let piece = Bytes::from(vec![0; 1 << 20]);
        let endless = Box::pin(stream::repeat_with(|| Ok(piece.clone())));
        let outcome = receive(file, endless).await;
        assert!(matches!(outcome, Err(Refusal::TakeLength)), "{outcome:?}");
    }
}
