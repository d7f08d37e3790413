//! Start, flags, errors and signals.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use movie_proto::{Empty, MovieId};
use tempfile::TempDir;

use crate::support::databases::database;
use crate::support::process;
use crate::support::process::{Service, bare_command, command, outcome};

#[test]
fn the_start_line_has_the_address_the_number_of_movies_and_the_database() {
    let service = Service::start("movies.json");
    let expected =
        format!("INFO serving 7 movies from {} on {}\n", database("movies.json").display(), service.address);
    assert!(service.start_line.ends_with(&expected), "{}", service.start_line);
    assert_ne!(service.address.port(), 0);
}

#[test]
fn flags_can_be_given_as_environment_variables() {
    let mut command = bare_command();
    command
        .env("MOVIE_LISTEN", "127.0.0.1:0")
        .env("MOVIE_DATABASE", database("films.json"))
        .env("MOVIE_QUIET", "1")
        .env("MOVIE_HEALTH", "false")
        .env("MOVIE_REFLECTION", "0");
    let service = Service::run(&mut command);
    assert!(service.start_line.contains("serving 17470 movies"), "{}", service.start_line);
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = [
        "MOVIE_KEEP_CHANGES",
        "MOVIE_QUIET",
        "MOVIE_GRACE",
        "MOVIE_PAUSE",
        "MOVIE_LIMITS",
        "MOVIE_ALLOW_ANONYMOUS_WRITES",
        "MOVIE_LOG",
        "MOVIE_METRICS",
        "MOVIE_WEB_ORIGIN",
        "MOVIE_POSTER_ORIGIN",
        "MOVIE_GZIP",
        "MOVIE_HEALTH",
        "MOVIE_REFLECTION",
    ];
    for value in ["", " "] {
        let service = Service::run(command(&database("movies.json")).envs(names.map(|name| (name, value))));
        assert!(service.start_line.contains("serving 7 movies"), "{}", service.start_line);
    }
}

#[test]
fn an_empty_variable_for_the_database_the_address_or_access_is_an_error() {
    for name in [
        "MOVIE_DATABASE",
        "MOVIE_LISTEN",
        "MOVIE_TOKENS",
        "MOVIE_TLS_CERT",
        "MOVIE_TLS_KEY",
        "MOVIE_TLS_CLIENT_CA",
    ] {
        assert_fails(bare_command().env(name, ""), &[&format!("the environment variable {name} is empty")]);
    }
    // An empty variable has no effect if the option is given on the command line.
    let mut listening = command(&database("movies.json"));
    let service = Service::run(listening.env("MOVIE_LISTEN", "").env("MOVIE_DATABASE", ""));
    assert!(service.start_line.contains("serving 7 movies"), "{}", service.start_line);
    assert!(outcome(bare_command().env("MOVIE_TLS_CERT", "").arg("--help")).0.success());
}

#[test]
fn no_error_shows_the_password_of_an_invalid_url() {
    for url in [
        "postgres://films:secret@host/films?foo=1",
        "postgres://films:se@cret@host:abc/films",
        "x://u:secret@host",
    ] {
        let (status, _, stderr) = outcome(bare_command().env("MOVIE_DATABASE", url));
        assert!(!status.success() && !stderr.contains("secret") && !stderr.contains("cret@"), "{stderr}");
    }
}

#[test]
fn a_value_that_is_neither_on_nor_off_is_refused() {
    for name in ["MOVIE_ALLOW_ANONYMOUS_WRITES", "MOVIE_QUIET", "MOVIE_GZIP"] {
        assert_fails(bare_command().env(name, "flase"), &["flase"]);
    }
}

#[test]
fn spaces_around_values_and_a_trailing_comma_are_ignored() {
    let mut command = bare_command();
    command
        .env("MOVIE_LISTEN", " 127.0.0.1:0 ")
        .env("MOVIE_DATABASE", database("movies.json"))
        .env("MOVIE_METRICS", " 127.0.0.1:0 ")
        .env("MOVIE_WEB_ORIGIN", " https://films.example , ")
        .env("MOVIE_POSTER_ORIGIN", " https://posters.example , ")
        .env("MOVIE_LIMITS", "idle=1m, age=1h ,");
    let service = Service::run(&mut command);
    assert!(service.start_line.contains("serving 7 movies"), "{}", service.start_line);
}

#[tokio::test]
async fn the_unspecified_address_takes_ipv6_and_ipv4() {
    let mut command = bare_command();
    command.args(["--listen", "[::]:0", "--database"]).arg(database("movies.json"));
    let service = Service::run(&mut command);
    let mut addresses = vec![(Ipv4Addr::LOCALHOST, service.address.port()).into()];
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push((Ipv6Addr::LOCALHOST, service.address.port()).into());
    } else {
        eprintln!("skipped over IPv6: this machine has none");
    }
    for address in addresses {
        process::stub(address).await.get_movie_by_id(MovieId::default()).await.unwrap();
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (status, stdout, stderr) = outcome(bare_command().arg("--help"));
    assert!(status.success() && stderr.is_empty());
    for word in
        ["--listen", "MOVIE_LISTEN", "[::]:3001", "--database", "MOVIE_DATABASE", "--quiet", "MOVIE_QUIET"]
    {
        assert!(stdout.contains(word), "{word} is missing: {stdout}");
    }
    let (status, stdout, _) = outcome(bare_command().arg("--version"));
    assert!(status.success());
    assert_eq!(stdout, concat!("movie-service ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn the_file_of_variables_in_the_packages_has_each_variable() {
    let (_, help, _) = outcome(bare_command().arg("--help"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd/movie-service.env");
    let file = fs::read_to_string(file).unwrap();
    let variables: Vec<_> =
        help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
    assert!(variables.len() > 20, "{variables:?}");
    for variable in variables {
        assert!(file.contains(&format!("\n#{variable}=")), "{variable} is missing");
    }
}

/// Asserts that a command fails with one line that contains `parts`, and prints nothing else.
fn assert_fails(command: &mut Command, parts: &[&str]) {
    let (status, stdout, stderr) = outcome(command);
    assert!(!status.success());
    assert_eq!(stdout, "");
    assert!(
        stderr.starts_with("error: ") && stderr.trim_end().lines().count() == 1,
        "not one line: {stderr}"
    );
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is missing: {stderr}");
    }
}

#[test]
fn a_port_in_use_is_a_one_line_error_with_a_remedy() {
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = used.local_addr().unwrap().to_string();
    let mut command = bare_command();
    command.args(["--listen", &address, "--database"]).arg(database("movies.json"));
    assert_fails(&mut command, &[&address, "in use", "--listen"]);
}

/// Linux only: elsewhere, another error may come first.
#[cfg(target_os = "linux")]
#[test]
fn an_address_of_another_machine_is_reported_as_that() {
    // An address for documentation (RFC 5737), which no machine has.
    let address = "192.0.2.1:3001";
    for flags in [&["--listen", address][..], &["--listen", "127.0.0.1:0", "--metrics", address]] {
        let mut command = bare_command();
        command.args(flags).arg("--database").arg(database("movies.json"));
        let remedy = format!(
            "choose one that it has, such as {} 127.0.0.1:3001, or 0.0.0.0:3001",
            flags[flags.len() - 2]
        );
        let parts = ["cannot listen on 192.0.2.1:3001; this machine has no such address", &remedy];
        assert_fails(&mut command, &parts);
        assert!(!outcome(&mut command).2.contains("stop the program"));
    }
}

#[test]
fn an_error_names_a_missing_folder_and_no_other_program() {
    let mut command = bare_command();
    command.args(["--listen", "unix:/no/folder/socket", "--database"]).arg(database("movies.json"));
    let (_, _, line) = outcome(&mut command);
    assert!(line.contains("the directory `/no/folder` does not exist"), "{line}");
    assert!(line.contains("--listen") && !line.contains("program"), "{line}");
}

#[test]
fn a_missing_database_is_a_one_line_error_with_a_remedy() {
    assert_fails(&mut command(Path::new("no/such.json")), &["no/such.json", "No such file", "--database"]);
}

#[test]
fn a_folder_as_database_is_a_one_line_error() {
    assert_fails(&mut command(&database("")), &["databases", "directory"]);
}

#[test]
fn an_invalid_database_is_a_one_line_error_with_its_position() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("broken.json");
    fs::write(&path, "{\"movies\": [\n{\"id\": \"1\", \"title\": \"a\", \"rating\": 11}\n]}").unwrap();
    let parts = ["broken.json:2:1: movie 1 (id `1`)", "`rating`: expected a number from 0 to 10, or none"];
    assert_fails(&mut command(&path), &parts);
}

#[test]
fn an_unknown_flag_or_an_invalid_value_is_a_one_line_error_with_a_remedy() {
    assert_fails(bare_command().arg("--lisen"), &["--lisen", "but `--listen` is known", "--help"]);
    assert_fails(
        bare_command().args(["--databse", "x"]),
        &["--databse", "but `--database` is known", "--help"],
    );
    assert_fails(bare_command().arg("--allow-anonymous-write"), &["but `--allow-anonymous-writes` is known"]);
    assert_fails(
        bare_command().args(["--listen", "here"]),
        &["here", "--listen", "127.0.0.1:3001", "--help"],
    );
    assert_fails(bare_command().env("MOVIE_LISTEN", "there"), &["there", "--listen", "--help"]);
}

#[test]
fn a_word_that_is_no_value_is_not_called_a_subcommand() {
    for (arguments, message) in [
        (&["--quiet", "yes"][..], "unexpected `yes` after --quiet, which takes no value"),
        (&["--gzip", "on", "--pause", "1s"], "unexpected `on` after --gzip, which takes no value"),
        (&["films.json"], "unexpected argument `films.json`; a database is given as --database films.json"),
        (&["improt", "a.json"], "there is no command `improt`, expected one of token, import, export"),
        (&["--pause", "1s", "a.db"], "unexpected argument `a.db`; a database is given as --database a.db"),
    ] {
        assert_fails(bare_command().args(arguments), &[message, "--help"]);
    }
    let command = ["--quiet", "token", "anna", "--role", "reader"];
    assert_fails(bare_command().args(command), &["the subcommand 'token' cannot be used with '--quiet'"]);
}

/// Linux only: `/dev/full`, to which writes always fail.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_service_runs_on_if_its_log_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = probe.local_addr().unwrap();
    drop(probe);
    let mut command = bare_command();
    command
        .current_dir(&dir)
        .args(["--listen", &address.to_string(), "--database"])
        .arg(database("movies.json"));
    command.stderr(fs::File::create("/dev/full").unwrap());
    let mut child = command.spawn().unwrap();
    let stub = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert_eq!(child.try_wait().unwrap(), None, "the service ended");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        process::stub(address).await
    };
    stub.await.get_movie_by_id(MovieId::default()).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn sigint_and_sigterm_end_the_service_with_exit_code_0_while_a_client_is_connected() {
    for signal in ["INT", "TERM"] {
        let mut service = Service::start("movies.json");
        let mut stub = service.stub().await;
        stub.get_list_movies(Empty {}).await.unwrap();
        service.signal(signal);
        assert!(service.wait().await.success(), "after SIG{signal}");
    }
}

#[test]
fn the_manual_has_every_flag_with_its_variable_and_the_examples() {
    let (status, stdout, _) = outcome(bare_command().arg("man"));
    assert!(status.success());
    let page = stdout.replace('\\', "");
    for part in [
        ".TH movie-service 8",
        "--allow-anonymous-writes",
        "MOVIE_DATABASE",
        ".SH EXAMPLES\n.nf\n",
        ".SH SIGNALS\nSIGTERM",
        ".SH EXIT STATUS\n0 stopped",
        ".SH SEE ALSO\n",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
}

#[test]
fn the_manual_pages_are_written_into_a_directory_that_is_created() {
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("man8");
    let (status, stdout, stderr) = outcome(bare_command().arg("man").arg(&pages));
    assert!(status.success() && stdout.is_empty(), "{stderr}");
    let mut names: Vec<_> =
        fs::read_dir(pages).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let commands = ["-completions", "-export", "-import", "-man", "-token", ""];
    assert_eq!(names, commands.map(|command| format!("movie-service{command}.8")));

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert_fails(bare_command().arg("man").arg(&file), &["write the manual pages into", "file"]);
}

#[test]
fn bash_completes_commands_and_flags() {
    let program = env!("CARGO_BIN_EXE_movie-service");
    let complete = |words: &str, prefix: &str| {
        let script = format!(
            "source <({program} completions bash); COMP_WORDS=({words} {prefix}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _movie__service movie-service {prefix} \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(complete("movie-service", "im"), "import");
    assert_eq!(complete("movie-service", "--tls-c"), "--tls-cert --tls-client-ca");
    assert_eq!(complete("movie-service export", "--out"), "--output");
}

#[test]
fn an_invalid_variable_of_the_service_does_not_matter_to_a_command() {
    let (status, stdout, stderr) =
        outcome(bare_command().args(["completions", "bash"]).env("MOVIE_PAUSE", "soon"));
    assert!(status.success() && !stdout.is_empty(), "{stderr}");
    assert_fails(bare_command().env("MOVIE_PAUSE", "soon"), &["soon", "--pause"]);
}
