use super::*;
use std::io::{Read as _, Write as _};
use tempfile::TempDir;

fn files() -> (TempDir, Files) {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(directory.path()).unwrap();
    (directory, files)
}

fn put(files: &Files, key: &str, content: &str, create: bool) -> Result<(), FileError> {
    let (incoming, mut file) = files.begin().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    files.place(&incoming, key, create)
}

fn get(files: &Files, key: &str) -> String {
    let mut text = String::new();
    files.read(key).unwrap().0.read_to_string(&mut text).unwrap();
    text
}

fn keys(files: &Files, prefix: &str) -> Vec<String> {
    files.list(prefix, "", 100).unwrap().0.into_iter().map(|listed| listed.key).collect()
}

#[test]
fn objects_are_written_again_created_once_and_listed_whole() {
    let (directory, files) = files();
    put(&files, "a/b/one", "1", false).unwrap();
    put(&files, "a/b/one", "2", false).unwrap();
    assert_eq!(get(&files, "a/b/one"), "2");
    assert!(matches!(put(&files, "a/b/one", "3", true), Err(FileError::ObjectExists { .. })));
    assert_eq!(get(&files, "a/b/one"), "2");
    put(&files, "a/b/two", "3", true).unwrap();
    let (half, _) = files.begin().unwrap();
    assert_eq!(keys(&files, ""), ["a/b/one", "a/b/two"]);
    assert_eq!(keys(&files, "a/b/t"), ["a/b/two"]);
    assert_eq!(keys(&files, "nowhere/"), [""; 0]);
    drop(half);
    let left = fs::read_dir(directory.path().join(INCOMING)).unwrap().count();
    assert_eq!(left, 0, "nothing is left of what was not placed");
}

#[test]
fn a_listing_goes_on_where_the_last_page_ended() {
    let (_directory, files) = files();
    for number in 0..5 {
        put(&files, &format!("a/{number}"), "", false).unwrap();
    }
    let (first, has_more) = files.list("a/", "", 3).unwrap();
    assert!(has_more && first.len() == 3);
    let (rest, has_more) = files.list("a/", &first[2].key, 3).unwrap();
    assert_eq!(rest.iter().map(|listed| listed.key.as_str()).collect::<Vec<_>>(), ["a/3", "a/4"]);
    assert!(!has_more);
}

#[test]
fn empty_directories_go_with_their_last_object() {
    let (directory, files) = files();
    put(&files, "a/b/one", "1", false).unwrap();
    put(&files, "a/two", "2", false).unwrap();
    files.remove("a/b/one").unwrap();
    files.remove("a/b/one").unwrap();
    assert!(!directory.path().join("a/b").exists() && directory.path().join("a").exists());
    files.remove("a/two").unwrap();
    assert!(!directory.path().join("a").exists() && directory.path().exists());
    assert!(matches!(files.read("a/two"), Err(FileError::FindObject { .. })));
}

#[test]
fn no_key_leads_out_of_the_directory() {
    let (directory, files) = files();
    let long = "a".repeat(LONGEST_NAME + 1);
    for key in ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/./b", "a/", "a\0", "a\n", &long] {
        assert!(matches!(files.read(key), Err(FileError::UseKey { .. })), "{key:?}");
    }
    let hidden = format!("{INCOMING}/a");
    assert!(matches!(put(&files, &hidden, "", false), Err(FileError::UseKey { .. })));
    let secret = tempfile::tempdir().unwrap();
    fs::write(secret.path().join("key"), "secret").unwrap();
    std::os::unix::fs::symlink(secret.path(), directory.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(secret.path().join("key"), directory.path().join("file")).unwrap();
    for key in ["folder/key", "file"] {
        assert!(matches!(files.read(key), Err(FileError::FollowLink { .. })), "{key}");
        assert!(matches!(put(&files, key, "mine", false), Err(FileError::FollowLink { .. })), "{key}");
    }
    assert_eq!(keys(&files, ""), [""; 0]);
    assert_eq!(fs::read_to_string(secret.path().join("key")).unwrap(), "secret");
}

#[test]
fn what_an_ended_process_left_is_cleared_away_and_what_runs_is_not() {
    let (directory, files) = files();
    let (_running, _file) = files.begin().unwrap();
    let old = directory.path().join(INCOMING).join("old");
    let file = File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - 2 * LEFT_BEHIND).unwrap();
    Files::open(directory.path()).unwrap();
    assert!(!old.exists());
    assert_eq!(fs::read_dir(directory.path().join(INCOMING)).unwrap().count(), 1);
}

#[test]
fn a_full_volume_is_told_from_a_broken_one() {
    for code in [nix::libc::ENOSPC, nix::libc::EDQUOT] {
        let error = failed("write")(io::Error::from_raw_os_error(code));
        assert!(matches!(error, FileError::FindRoom { .. }), "{error}");
    }
    let error = failed("write")(io::Error::from_raw_os_error(nix::libc::EIO));
    assert!(matches!(error, FileError::UseVolume { .. }), "{error}");
}
