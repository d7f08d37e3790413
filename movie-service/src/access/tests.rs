use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderValue;

use super::*;
use crate::regular_file::tests::{ends, replace_by_fifo};

const READ: &str = "/Movie/GetMovieByID";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A tokens file in a temporary folder.
struct Fixture {
    dir: tempfile::TempDir,
    reader: String,
}

impl Fixture {
    fn new() -> Self {
        let made = token::make("alice", Role::Reader).ok().unwrap();
        let fixture = Self { dir: tempfile::tempdir().unwrap(), reader: made.token };
        fixture.write(&format!("{}\nops.example reader certificate\n", made.line));
        fixture
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn open(&self) -> Access {
        Access::open(Some(&self.path()), false).unwrap()
    }
}

fn headers(authorization: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap())])
}

/// Returns the name of the caller with this `authorization` header, if it may read.
fn reader(access: &Access, authorization: &str) -> Result<Option<String>, Denial> {
    let name = access.check(Rpc::find(READ).unwrap(), &headers(authorization), &[])?;
    Ok(name.map(|name| name.to_string()))
}

#[test]
fn without_a_tokens_file_everybody_may_read() {
    let access = Access::open(None, false).unwrap();
    assert_eq!(access.check(Rpc::find(READ).unwrap(), &HeaderMap::new(), &[]), Ok(None));
    assert_eq!(access.check(Rpc::find(READ).unwrap(), &headers("Bearer x"), &["y".to_owned()]), Ok(None));
    assert!(access.watch(|_| {}).unwrap().is_none());
    access.reload().unwrap();
}

#[test]
fn with_a_tokens_file_only_its_callers_may_read() {
    let fixture = Fixture::new();
    let access = fixture.open();
    assert_eq!(reader(&access, &format!("Bearer {}", fixture.reader)), Ok(Some("alice".to_owned())));
    assert_eq!(reader(&access, &format!("bEARER  {} ", fixture.reader)), Ok(Some("alice".to_owned())));
    assert_eq!(
        access.check(Rpc::find(READ).unwrap(), &HeaderMap::new(), &[]),
        Err(Denial::NoCredentials(Role::Reader))
    );
    for unknown in ["Bearer x", "Bearer  ", &format!("Bearer {}0", fixture.reader)] {
        assert_eq!(reader(&access, unknown), Err(Denial::UnknownToken), "{unknown}");
    }
    for bad in ["", "Bearer", &fixture.reader, &format!("Basic {}", fixture.reader)] {
        assert_eq!(reader(&access, bad), Err(Denial::BadCredentials), "{bad}");
    }
}

#[test]
fn a_certificate_has_the_role_of_its_name_and_a_token_takes_precedence() {
    let fixture = Fixture::new();
    let access = fixture.open();
    let ops = ["x".to_owned(), "ops.example".to_owned()];
    assert_eq!(
        access.check(Rpc::find(READ).unwrap(), &HeaderMap::new(), &ops),
        Ok(Some("ops.example".into()))
    );
    assert_eq!(access.check(Rpc::find(READ).unwrap(), &headers("Bearer x"), &ops), Err(Denial::UnknownToken));
    let nobody = ["nobody".to_owned()];
    assert_eq!(
        access.check(Rpc::find(READ).unwrap(), &HeaderMap::new(), &nobody),
        Err(Denial::UnknownCertificate(Role::Reader))
    );
}

#[test]
fn everybody_may_check_the_health() {
    for access in [Fixture::new().open(), Access::open(None, true).unwrap()] {
        assert_eq!(access.check(Rpc::find(HEALTH).unwrap(), &HeaderMap::new(), &[]), Ok(None));
    }
}

#[test]
fn a_writer_may_read_and_a_reader_may_not_write() {
    let fixture = Fixture::new();
    let writer = token::make("bob", Role::Writer).ok().unwrap();
    let reader = token::make("alice", Role::Reader).ok().unwrap();
    fixture.write(&format!("{}\n{}\nops.example reader certificate", writer.line, reader.line));
    let access = fixture.open();
    let check = |needed, token: &str| {
        access.check_role(needed, &headers(&format!("Bearer {token}")), &[]).map(|name| name.is_some())
    };
    assert_eq!(check(Role::Reader, &writer.token), Ok(true));
    assert_eq!(check(Role::Writer, &writer.token), Ok(true));
    assert_eq!(check(Role::Writer, &reader.token), Err(Denial::RoleTooLow(Role::Writer)));
    assert_eq!(
        access.check_role(Role::Writer, &HeaderMap::new(), &["ops.example".to_owned()]),
        Err(Denial::RoleTooLow(Role::Writer))
    );
}

#[test]
fn without_a_tokens_file_writes_need_anonymous_writes() {
    for (anonymous_writes, expected) in [(false, Err(Denial::ReadOnly)), (true, Ok(None))] {
        let access = Access::open(None, anonymous_writes).unwrap();
        assert_eq!(access.check_role(Role::Writer, &HeaderMap::new(), &[]), expected);
    }
    let fixture = Fixture::new();
    let named = Access::open(Some(&fixture.path()), true).unwrap();
    assert_eq!(
        named.check_role(Role::Writer, &HeaderMap::new(), &[]),
        Err(Denial::NoCredentials(Role::Writer))
    );
}

#[test]
fn a_reloaded_tokens_file_is_used_by_all_clones() {
    let fixture = Fixture::new();
    let access = fixture.open();
    let clone = access.clone();
    let made = token::make("bob", Role::Reader).ok().unwrap();
    fixture.write(&made.line);
    access.reload().unwrap();
    assert_eq!(reader(&clone, &format!("Bearer {}", made.token)), Ok(Some("bob".to_owned())));
    assert_eq!(reader(&clone, &format!("Bearer {}", fixture.reader)), Err(Denial::UnknownToken));
}

#[test]
fn a_tokens_file_that_becomes_a_pipe_is_refused_and_the_previous_tokens_stay_in_use() {
    let fixture = Fixture::new();
    let access = fixture.open();
    replace_by_fifo(&fixture.path());
    let reloaded = access.clone();
    assert!(matches!(ends(move || reloaded.reload()), Err(TokensFileError::Read { .. })));
    assert_eq!(reader(&access, &format!("Bearer {}", fixture.reader)), Ok(Some("alice".to_owned())));
}

#[test]
fn a_reload_request_makes_a_watched_tokens_file_take_effect() {
    let fixture = Fixture::new();
    let access = fixture.open();
    let handle = access.watch(|_| {}).unwrap().unwrap();
    let made = token::make("bob", Role::Reader).ok().unwrap();
    fixture.write(&made.line);
    let _over = handle.reload_now();
    let end = Instant::now() + Duration::from_secs(30);
    while reader(&access, &format!("Bearer {}", made.token)).is_err() {
        assert!(Instant::now() < end, "the new file is not used");
        thread::yield_now();
    }
}

#[test]
fn an_invalid_tokens_file_is_refused_with_its_line_and_the_previous_tokens_stay_in_use() {
    let fixture = Fixture::new();
    let access = fixture.open();
    fixture.write("# new\nbob reader\n");
    let error = access.reload().unwrap_err().to_string();
    assert!(error.contains("tokens:2: expected three words"), "{error}");
    fs::remove_file(fixture.path()).unwrap();
    assert!(matches!(access.reload().unwrap_err(), TokensFileError::Read { .. }));
    assert!(reader(&access, &format!("Bearer {}", fixture.reader)).is_ok());
}

#[test]
fn no_printed_value_contains_a_token() {
    let fixture = Fixture::new();
    let access = fixture.open();
    let bearer = format!("Bearer {}", fixture.reader);
    let misplaced = format!("{0} {0} {0}", fixture.reader);
    let mut printed = vec![format!("{access:?}")];
    for authorization in [&bearer, &fixture.reader, &format!("Bearer {}0", fixture.reader)] {
        if let Err(denied) = reader(&access, authorization) {
            printed.push(format!("{denied} {denied:?}"));
        }
    }
    fixture.write(&misplaced);
    let error = access.reload().unwrap_err();
    printed.push(format!("{error} {error:?}"));
    assert_eq!(printed.len(), 4);
    assert!(printed[0].contains("alice") && !printed.concat().contains(&fixture.reader), "{printed:?}");
}
