//! Tests that are skipped because this machine lacks something they need. They are listed once all tests have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The names of the skipped tests, by what is missing.
static SKIPPED: Mutex<BTreeMap<&str, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Records that the current test is skipped, because of what is missing.
pub(crate) fn skip(missing: &'static str) {
    // The test harness runs each test on a thread with the test's name.
    let test = thread::current().name().unwrap_or("a test without a name").to_owned();
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).entry(missing).or_default().insert(test);
}

/// Prints the list when the process exits: the test harness reports nothing about tests that skip themselves, and hides what
/// they print.
#[ctor::dtor]
fn list() {
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    for (missing, tests) in &*skipped {
        // There is no other place to report an error.
        let _ = writeln!(io::stderr(), "skipped {} tests, {missing}:", tests.len());
        for test in tests {
            let _ = writeln!(io::stderr(), "    {test}");
        }
    }
}

mod tests {
    use std::env;
    use std::process::Command;

    #[test]
    #[ignore = "the next test runs it in a process of its own"]
    fn a_skipped_test() {
        super::skip("a unicorn is missing");
    }

    #[test]
    fn skipped_tests_are_listed_after_the_result() {
        let mut run = Command::new(env::current_exe().unwrap());
        run.args(["--exact", "--ignored", "support::skipped::tests::a_skipped_test"]);
        let output = run.output().unwrap();
        let listed = String::from_utf8(output.stderr).unwrap();
        let expected =
            "skipped 1 tests, a unicorn is missing:\n    support::skipped::tests::a_skipped_test\n";
        assert!(output.status.success() && listed.ends_with(expected), "{listed}");
    }
}
