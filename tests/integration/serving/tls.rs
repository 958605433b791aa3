//! Which certificate do callers see, and when?

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{GET_STATUS, Gateway, KYC_API, PATIENCE, Setup, Upstream, wait_for, write_private};

/// Writes another certificate and its key as they are exchanged in practice: by renaming.
fn renew(folder: &Path) -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [("tls.crt", cert.pem()), ("tls.key", signing_key.serialize_pem())] {
        write_private(&folder.join("next"), text.as_bytes());
        std::fs::rename(folder.join("next"), folder.join(name)).unwrap();
    }
    cert.pem()
}

/// Whether a new connection shows a certificate that `trusted` vouches for.
fn shows(gateway: &Gateway, trusted: &str) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let tcp = TcpStream::connect(gateway.data()).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(client, tcp).flush().is_ok()
}

#[test]
fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let upstream = Upstream::start();
    let gateway = Setup::before(&upstream).tls().start();
    let mut before = gateway.connect();
    assert_eq!(before.post(KYC_API, GET_STATUS.as_bytes()).status, 200);
    let first = gateway.tls_ca().unwrap().to_owned();
    assert!(shows(&gateway, &first));

    let second = renew(gateway.folder());
    wait_for("the renewed certificate", || shows(&gateway, &second).then_some(()));
    assert!(!shows(&gateway, &first));
    assert_eq!(before.post(KYC_API, GET_STATUS.as_bytes()).status, 200, "open connections stay");

    std::fs::write(gateway.folder().join("tls.crt"), &first).unwrap();
    wait_for("the complaint", || {
        let lines = gateway.log_lines();
        lines
            .iter()
            .any(|line| line["message"].as_str().is_some_and(|text| text.contains("is refused")))
            .then_some(())
    });
    assert!(shows(&gateway, &second));
}

#[test]
fn a_listener_without_a_usable_pair_does_not_start() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream).tls();
    renew(setup.folder());
    let setup = setup.file("tls.key", "no key");
    let ended = setup.command(&["run"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(78), "{}", String::from_utf8_lossy(&ended.stderr));
}
