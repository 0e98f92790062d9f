//! The calls to a store: each within a limit, each with an error that says what was being done.

use super::VaultError;
use crate::volume::NO_ROOM;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use std::error::Error as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Objects that are deleted at the same time.
const DELETES: usize = 8;
/// Listing while deleting may pass over something in a lax store; so it is done until nothing is left, this often at most.
const ROUNDS: usize = 5;

/// A store's objects.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    bucket: String,
    /// The bucket is a volume claim, which people look after in another way.
    is_claim: bool,
    limit: Duration,
}

/// How writing an object that must not exist ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It is there, and ours.
    Yes,
    /// Another was there.
    No,
    /// The store cannot be asked for that; nothing was written.
    Unknown,
}

/// What tells one content of an object from another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its size.
    pub(crate) bytes: u64,
    /// The store's mark of this content, if it gives one.
    tag: Option<String>,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, bucket: String, limit: Duration) -> Self {
        Self { store, bucket, is_claim: false, limit }
    }

    /// A volume claim's objects.
    pub(crate) fn of_claim(store: Arc<dyn ObjectStore>, claim: String, limit: Duration) -> Self {
        Self { is_claim: true, ..Self::new(store, claim, limit) }
    }

    /// Writes an object, or writes it again.
    pub(crate) async fn put(&self, path: &Path, parts: Vec<Bytes>) -> Result<(), VaultError> {
        let doing = || format!("write {path}");
        let put = self.store.put(path, PutPayload::from_iter(parts));
        self.within(doing, put).await?.map(drop).map_err(|error| self.explain(doing(), error))
    }

    /// Writes an object unless there is one.
    pub(crate) async fn create(&self, path: &Path, content: Bytes) -> Result<Created, VaultError> {
        let doing = || format!("write {path}");
        let options = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(path, content.into(), options);
        match self.within(doing, put).await? {
            Ok(_) => Ok(Created::Yes),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Created::No),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => Ok(Created::Unknown),
            Err(error) if says(&error, &["NotImplemented"]) => Ok(Created::Unknown),
            Err(error) => Err(self.explain(doing(), error)),
        }
    }

    /// Reads an object of at most `most` bytes; `None` if there is none. A longer one is cut: the caller sees its length.
    pub(crate) async fn get(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, VaultError> {
        let doing = || format!("read {path}");
        match self.within(doing, self.read(path, most)).await? {
            Ok(content) => Ok(Some(content)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.explain(doing(), error)),
        }
    }

    async fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, Error> {
        let answer = self.store.get(path).await?;
        let size = usize::try_from(answer.meta.size.min(most)).unwrap_or_default();
        let mut content = Vec::with_capacity(size);
        let mut pieces = answer.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            content.extend_from_slice(&piece);
            if content.len() as u64 > most {
                break;
            }
        }
        Ok(content)
    }

    /// Looks whether there is an object, without reading it.
    pub(crate) async fn look(&self, path: &Path) -> Result<Option<Found>, VaultError> {
        let doing = || format!("look at {path}");
        match self.within(doing, self.store.head(path)).await? {
            Ok(found) => Ok(Some(Found { bytes: found.size, tag: found.e_tag })),
            // This answer has no words: reading tells whether the bucket itself is missing.
            Err(error) if is_absent(&error) => self.get(path, 0).await.map(|_| None),
            Err(error) => Err(self.explain(doing(), error)),
        }
    }

    /// Reads a part of an object that is still the one that was found.
    pub(crate) async fn get_part(
        &self,
        path: &Path,
        part: Range<u64>,
        found: &Found,
    ) -> Result<Vec<u8>, VaultError> {
        let doing = || format!("read {path}");
        let wanted = part.end - part.start;
        let options = GetOptions { range: Some(GetRange::Bounded(part)), ..GetOptions::default() };
        let reading = async {
            let answer = self.store.get_opts(path, options).await?;
            let now = Found { bytes: answer.meta.size, tag: answer.meta.e_tag.clone() };
            Ok::<_, Error>((now, answer.bytes().await?))
        };
        let (now, bytes) =
            self.within(doing, reading).await?.map_err(|error| self.explain(doing(), error))?;
        if now != *found || bytes.len() as u64 != wanted {
            return Err(VaultError::ChangedFile { file: path.to_string() });
        }
        Ok(bytes.into())
    }

    /// The last parts of the names of all objects of a folder, in the order of names.
    pub(crate) async fn names(&self, folder: &Path) -> Result<Vec<String>, VaultError> {
        let doing = || format!("list {folder}");
        let listed = self.store.list(Some(folder)).try_collect::<Vec<_>>();
        let listed = self.within(doing, listed).await?.map_err(|error| self.explain(doing(), error))?;
        let names = listed.iter().filter_map(|object| object.location.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes an object; none there: fine.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), VaultError> {
        let doing = || format!("delete {path}");
        match self.within(doing, self.store.delete(path)).await? {
            Err(error) if is_absent(&error) => Ok(()),
            other => other.map_err(|error| self.explain(doing(), error)),
        }
    }

    /// Deletes everything in a folder that `spare` does not want kept.
    pub(crate) async fn delete_all(
        &self,
        folder: &Path,
        spare: impl Fn(&Path) -> bool,
    ) -> Result<(), VaultError> {
        for _ in 0..ROUNDS {
            if self.delete_listed(folder, &spare).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn delete_listed(
        &self,
        folder: &Path,
        spare: &impl Fn(&Path) -> bool,
    ) -> Result<usize, VaultError> {
        let doing = || format!("list {folder}");
        let mut deleted = 0;
        let mut listed =
            self.store.list(Some(folder)).fuse().try_filter(|object| future::ready(!spare(&object.location)));
        loop {
            let page = (&mut listed).take(DELETES).try_collect::<Vec<_>>();
            let page = self.within(doing, page).await?.map_err(|error| self.explain(doing(), error))?;
            if page.is_empty() {
                return Ok(deleted);
            }
            deleted += page.len();
            future::try_join_all(page.iter().map(|object| self.delete(&object.location))).await?;
        }
    }

    async fn within<A>(
        &self,
        doing: impl Fn() -> String,
        call: impl Future<Output = A>,
    ) -> Result<A, VaultError> {
        let limit = self.limit;
        timeout(limit, call).await.map_err(|_| VaultError::AwaitStore { doing: doing(), limit })
    }

    fn explain(&self, doing: String, error: Error) -> VaultError {
        if says(&error, &["NoSuchBucket", "ContainerNotFound"]) {
            return VaultError::NoSuchBucket { bucket: self.bucket.clone() };
        }
        let reason = words(&error);
        if self.is_claim && says(&error, &[NO_ROOM]) {
            return VaultError::ClaimFull { doing, claim: self.bucket.clone() };
        }
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                VaultError::AccessDenied { doing, reason }
            }
            error if says(&error, LOST_ACCESS) || [401, 403].contains(&status(&error)) => {
                VaultError::AccessDenied { doing, reason }
            }
            error if is_refusal(&error) => VaultError::RefuseRequest { doing, reason },
            _ if self.is_claim => VaultError::ReachClaim { doing, claim: self.bucket.clone(), reason },
            _ => VaultError::ReachStore { doing, reason },
        }
    }
}

/// Codes of refusals that come with another status than 401 or 403. Source: Amazon S3 API Reference, "Error responses"; the
/// last one is seen from versitygw.
const LOST_ACCESS: &[&str] = &[
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "InvalidAccessKeyId",
    "XAdminUserNotFound",
    "AuthenticationFailed",
];
/// Longest account of what the store said: several must fit into a termination message.
const LONGEST_WORDS: usize = 600;

/// The client keeps status and body of an answer only in its words.
fn says(error: &Error, codes: &[&str]) -> bool {
    element(&error.to_string(), "Code").is_some_and(|code| codes.contains(&code))
}

/// Whether the object does not exist. Stores answer 404 also when something else does not, and then say so.
fn is_absent(error: &Error) -> bool {
    let code = error.to_string();
    let code = element(&code, "Code").unwrap_or("NoSuchKey");
    matches!(error, Error::NotFound { .. }) && ["NoSuchKey", "NoSuchVersion", "BlobNotFound"].contains(&code)
}

/// Answers that stay the same however often one asks; the client itself retries 408 and 429, and all of 5xx.
fn is_refusal(error: &Error) -> bool {
    let status = status(error);
    let is_permanent = (400..500).contains(&status) && ![408, 409, 429].contains(&status);
    is_permanent || matches!(error, Error::NotFound { .. })
}

/// Status of the answer, 0 without one. The client keeps it only in its words, and tells refused lists from others not at all.
fn status(error: &Error) -> u16 {
    let text = error.to_string();
    let digits = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// What the store said; without an answer all that is known of the way to it.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    if let Some(code) = element(&text, "Code") {
        return format!("{code}: {}", element(&text, "Message").unwrap_or("no further words"));
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text.truncate(text.floor_char_boundary(LONGEST_WORDS));
    text
}

/// The content of an XML element that occurs once and holds only text.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_found(body: &str) -> Error {
        Error::NotFound { path: "a/b".to_owned(), source: body.into() }
    }

    #[test]
    fn only_a_missing_object_is_absent() {
        assert!(
            is_absent(&not_found("404")) && is_absent(&not_found("<Error><Code>NoSuchKey</Code></Error>"))
        );
        assert!(!is_absent(&not_found("<Error><Code>NoSuchBucket</Code></Error>")));
        assert!(!is_absent(&Error::Generic { store: "S3", source: "<Code>NoSuchKey</Code>".into() }));
    }

    #[test]
    fn the_stores_own_words_are_told() {
        let error = not_found("<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>");
        assert_eq!(words(&error), "NoSuchBucket: none");
        let long = not_found(&"ä".repeat(LONGEST_WORDS));
        assert!(words(&long).len() <= LONGEST_WORDS);
    }

    #[test]
    fn a_busy_store_is_asked_again_and_one_that_refuses_is_not() {
        let of =
            |status: &str| Error::Generic { store: "S3", source: format!("status code: {status}").into() };
        assert!(is_refusal(&of("400 Bad Request")) && is_refusal(&of("405 Method Not Allowed")));
        assert!(
            !is_refusal(&of("503 Slow Down")) && !is_refusal(&of("429 Too Many")) && !is_refusal(&of(""))
        );
    }
}
