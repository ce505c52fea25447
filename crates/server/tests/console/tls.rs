//! TLS: whom the client trusts.

use rcgen::{CertificateParams, KeyPair};

use crate::program::run;
use crate::server::Server;

#[test]
fn a_server_without_a_known_authority_is_refused_unless_told_otherwise() {
    let server = Server::tls();
    let url = format!("https://{}", server.address());
    let left = run(&["emit", &url, "echo", "1"]);
    assert_eq!(left.code, Some(1), "{left:?}");
    assert!(left.err[0].starts_with("trunkline: connect error: "), "{left:?}");
    for transport in ["websocket", "polling"] {
        let left = run(&["emit", &url, "echo", "1", "--insecure", "--transport", transport]);
        assert_eq!((left.code, left.out), (Some(0), vec!["1".to_owned()]), "{:?}", left.err);
        assert!(left.err[0].starts_with("trunkline: warning: --insecure: "), "{:?}", left.err);
    }
}

#[test]
fn an_authority_of_another_server_does_not_help() {
    let server = Server::tls();
    let key = KeyPair::generate().expect("a key");
    let other = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").self_signed(&key);
    let path = std::env::temp_dir().join(format!("trunkline-ca-{}.pem", std::process::id()));
    std::fs::write(&path, other.expect("a certificate").pem()).expect("the folder can be written");
    let url = format!("https://{}", server.address());
    let left = run(&["emit", &url, "echo", "1", "--ca", path.to_str().expect("UTF-8")]);
    std::fs::remove_file(&path).expect("it is there");
    assert!(left.code == Some(1) && left.err[0].contains("ertificate"), "{left:?}");
}
