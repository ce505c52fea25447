//! Every mistake is one line that says what and where, and an exit code: 2 for the configuration, 1 for the
//! system.

use crate::program::{Folder, Program, run};

/// Runs, and expects one line on standard error.
fn check(flags: &[&str], environment: &[(&str, &str)], code: i32, expected: &str) {
    let output = run(flags, environment);
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{flags:?} {text}");
    assert_eq!(text.lines().count(), 1, "{flags:?} {text}");
    assert!(text.contains(expected), "{flags:?}: {text:?} does not say {expected:?}");
    assert!(output.stdout.is_empty(), "{flags:?}");
}

#[test]
fn mistakes_in_a_file() {
    let folder = Folder::new("mistakes");
    let in_file = |text: &str, expected: &str| {
        let file = folder.write("trunkline.toml", text);
        check(&["--config", &file], &[], 2, &format!("trunkline: {file}:{expected}"));
        // The other command reads it too.
        check(&["config", "--config", &file], &[], 2, expected);
    };
    in_file("port = 3000\nprot = 1\n", "2:1: unknown key \"prot\"; did you mean \"port\"?");
    in_file("port = \"http\"", "1:8: ");
    in_file("[[allow]\nroom = 1", "1:");
    in_file("\nping_interval = \"soon\"", "2:17: \"soon\" is not a duration");
    check(&["--config", "/nowhere/trunkline.toml"], &[], 2, "/nowhere/trunkline.toml: No such file");
}

#[test]
fn mistakes_on_the_command_line_and_in_the_environment() {
    check(&["--prot", "1"], &[], 2, "unknown flag --prot; did you mean --port?");
    check(&["--port", "many"], &[], 2, "--port: ");
    check(&["--port"], &[], 2, "--port needs a value");
    check(&["--uring", "maybe"], &[], 2, "--uring: ");
    check(&["srve"], &[], 2, "unknown argument \"srve\"");
    check(
        &[],
        &[("TRUNKLINE_PROT", "1")],
        2,
        "TRUNKLINE_PROT: unknown setting; did you mean TRUNKLINE_PORT?",
    );
    check(&[], &[("TRUNKLINE_PORT", "70000")], 2, "TRUNKLINE_PORT: ");
    check(&[], &[("TRUNKLINE_CONFIG", "/nowhere.toml")], 2, "/nowhere.toml: No such file");
    check(&[], &[("RUST_LOG", "trunkline=loud")], 2, "RUST_LOG: ");
}

#[test]
fn a_bad_certificate() {
    let folder = Folder::new("bad-certificate");
    let pem = |name: &str| {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let ((cert, key), (_, other)) = (pem("a.test"), pem("b.test"));
    let (cert, key) = (folder.write("cert.pem", &cert), folder.write("key.pem", &key));
    let (other, empty) = (folder.write("other.pem", &other), folder.write("empty.pem", ""));
    let given = |cert: &str, key: &str, expected: &str| {
        check(&["--port", "0", "--internal", "off", "--tls-cert", cert, "--tls-key", key], &[], 2, expected);
    };
    given("/nowhere/cert.pem", &key, "tls_cert: /nowhere/cert.pem: No such file");
    given(&empty, &key, "no certificate (PEM) in it");
    given(&cert, &empty, "no private key (PEM) in it");
    given(&cert, &other, "not usable with tls_cert");
    check(&["--tls-cert", &cert], &[], 2, "tls_cert needs tls_key");
}

#[test]
fn a_taken_port() {
    let taken = Program::start(&[]);
    let port = taken.address.port().to_string();
    check(&["--port", &port, "--internal", "off"], &[], 1, &format!("cannot listen on 127.0.0.1:{port}: "));
    let internal = taken.internal.expect("it is on by default").to_string();
    check(&["--port", "0", "--internal", &internal], &[], 1, &format!("cannot listen on {internal}: "));
}

#[test]
fn what_is_asked_for_is_printed() {
    let text = |flags: &[&str]| {
        let output = run(flags, &[("TRUNKLINE_HOST", "::1")]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{flags:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(text(&["--version"]), concat!("trunkline ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(text(&["--help"]).contains("--config FILE"));
    let config = text(&["config", "--port", "4000"]);
    assert!(config.contains("\n# Default: 3000\nport = 4000\n"), "{config}");
    assert!(config.contains("\nhost = \"::1\"\n"), "{config}");
    // What is printed is a file that can be used.
    let folder = Folder::new("printed");
    let file = folder.write("printed.toml", &config);
    assert_eq!(text(&["config", "--config", &file]), config);
}
