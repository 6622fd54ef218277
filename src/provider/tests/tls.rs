use rcgen::CertifiedKey;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A gateway in front of `wire` with a certificate that it has signed itself: its address and that certificate.
async fn gateway(wire: &Wire) -> (Url, CertificateDer<'static>) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/v1", listener.local_addr().unwrap()).parse().unwrap();
    let behind = wire.address();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust it goes away in the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let mut server = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut server).await;
            });
        }
    });
    (url, cert.der().clone())
}

fn behind(wire: &Wire, base_url: Url, certificates: Vec<CertificateDer<'static>>) -> Provider {
    // A handshake in a debug build on a busy machine takes its time.
    provider(Settings { base_url, certificates, connect_timeout: LONG, ..settings(wire) })
}

#[tokio::test]
async fn a_gateways_own_certificate_is_trusted_when_it_is_named() {
    let wire = Wire::bind().await;
    let (url, certificate) = gateway(&wire).await;
    let image = noise(3_000_000);
    let source = noise(1_000_000);
    let (_folder, edit) = edit(&[&source]);
    let (provider, transfers) = (behind(&wire, url, vec![certificate]), permits(1));
    let whole = answer("200 OK", JSON, body(&image));
    let (result, request) = tokio::join!(provider.edit(&edit, &transfers, None), wire.answer(whole));
    assert!(result.unwrap().image == image);
    assert!(memchr::memmem::find(&request.body, &source).is_some());
}

#[tokio::test]
async fn a_certificate_that_nobody_named_is_refused_before_anything_is_sent() {
    let wire = Wire::bind().await;
    let (url, _) = gateway(&wire).await;
    let (_, of_another) = gateway(&wire).await;
    let (_folder, edit) = edit(&[b"source"]);
    // What it says of somebody else's certificate depends on that one's name.
    for (certificates, words) in [(vec![], "CAROUSEL_PROVIDER_CA"), (vec![of_another], "invalid peer certificate")] {
        let error = behind(&wire, url.clone(), certificates).edit(&edit, &permits(1), None).await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }) && !error.may_be_billed(), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
