//! Ending in order, and a new certificate without ending.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::client::{Client, connect, get};
use crate::program::{Folder, Program};

#[test]
fn sigterm_and_sigint_end_open_sessions_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let program = Program::start(&[]);
        let mut clients: Vec<Client> = (0..5).map(|_| Client::connect(program.address)).collect();
        program.signal(signal);
        for client in &mut clients {
            // Engine.IO's close packet may come first; then the end, and nothing else.
            let last = client.receive();
            assert!(last.is_none() || last.as_deref() == Some("1"), "{last:?}");
        }
        assert_eq!(program.wait(), Some(0), "{signal:?}");
    }
}

#[test]
fn while_it_drains_it_is_not_healthy_and_takes_nobody() {
    let program = Program::start(&["--drain-timeout", "1h"]);
    // A client by polling that never fetches its last packets holds the drain up.
    let opened = get(program.address, "/socket.io/?EIO=4&transport=polling");
    assert_eq!(opened.status, 200, "{}", opened.body);
    program.signal(Signal::TERM);
    program.line("draining");
    let internal = program.internal.expect("it is on by default");
    assert_eq!(get(internal, "/healthz").status, 503);
    // A second signal ends it at once.
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(143));
}

#[test]
fn the_drain_is_bounded() {
    let program = Program::start(&["--drain-timeout", "50ms"]);
    assert_eq!(get(program.address, "/socket.io/?EIO=4&transport=polling").status, 200);
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), Some(0));
}

#[test]
fn sighup_reads_the_certificate_again() {
    let folder = Folder::new("certificate");
    let write = || {
        let made =
            rcgen::generate_simple_self_signed(vec!["trunkline.test".to_owned()]).expect("a certificate");
        let files = (
            folder.write("cert.pem", &made.cert.pem()),
            folder.write("key.pem", &made.signing_key.serialize_pem()),
        );
        (made.cert.der().clone(), files)
    };
    let (first, (cert, key)) = write();
    let program = Program::start(&["--tls-cert", &cert, "--tls-key", &key]);
    assert!(program.start_line.contains("listening on https://"), "{}", program.start_line);
    assert_eq!(served(program.address, &first), first);

    let (second, _) = write();
    program.signal(Signal::HUP);
    program.line("the certificate was read again");
    assert_eq!(served(program.address, &second), second);

    // A broken file changes nothing.
    folder.write("cert.pem", "nothing");
    program.signal(Signal::HUP);
    program.line("the certificate in use stays");
    assert_eq!(served(program.address, &second), second);
}

/// The certificate that a client is shown, after a request that is answered.
fn served(address: SocketAddr, trusted: &CertificateDer<'static>) -> CertificateDer<'static> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("trunkline.test").expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = rustls::StreamOwned::new(session, connect(address));
    let request = "GET /healthz HTTP/1.1\r\nHost: trunkline.test\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("the certificate is trusted");
    let mut answer = Vec::new();
    // The server may end the stream without TLS' own goodbye.
    drop(stream.read_to_end(&mut answer));
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let chain = stream.conn.peer_certificates().expect("the handshake is done");
    chain.first().expect("a certificate").clone().into_owned()
}
