//! HTTPS against a real TLS server: whom we trust, what we show, and files replaced while we run.

use sexton::forward::connector::Login;
use sexton::forward::wire::http::Http;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::certificates::{Authority, Pair, Terms, plain, put, self_signed};
use super::far::{Act, Far, answer};
use super::{Setup, create, local, word};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

fn fine(_: &super::far::Heard) -> Act {
    Act::Say(answer(200, "", "{}"))
}

fn at(far: &Far) -> Setup {
    Setup::new(format!("https://127.0.0.1:{}", far.port))
}

#[test]
fn whom_we_do_not_trust_never_hears_a_word() {
    let ours = Authority::new("ours");
    let theirs = Authority::new("theirs");
    let alone = self_signed(HERE);
    let terms = |pair: &Pair| plain(pair);
    let old = Terms { pair: &ours.issue(HERE), clients: None, only_tls12: true }.config();
    let cases = [
        ("our authority", terms(&ours.issue(HERE)), ours.pem(), "200 with 2 bytes"),
        ("TLS 1.2 only", old, ours.pem(), "200 with 2 bytes"),
        ("its own certificate as ca", terms(&alone), alone.certificate.clone(), "200 with 2 bytes"),
        (
            "two authorities in one file",
            terms(&ours.issue(HERE)),
            theirs.pem() + &ours.pem(),
            "200 with 2 bytes",
        ),
        (
            "unknown authority",
            terms(&theirs.issue(HERE)),
            ours.pem(),
            "unsent: TLS fails: invalid peer certificate: UnknownIssuer: its authority is not known here; name",
        ),
        ("its own certificate", terms(&alone), ours.pem(), "unsent: "),
        ("another name", terms(&ours.issue(&["other.example"])), ours.pem(), "unsent: "),
        (
            "expired",
            terms(&ours.issue_expired(HERE)),
            ours.pem(),
            "unsent: TLS fails: invalid peer certificate: certificate expired",
        ),
    ];
    for (what, config, ca, wanted) in cases {
        local(async {
            let dir = tempfile::tempdir().unwrap();
            let far = Far::start(Some(config), fine).await;
            let setup = at(&far).file("ca", &put(dir.path(), "ca.pem", &ca));
            let result = create(&setup.wire(&[]), &setup).await;
            assert!(word(&result).starts_with(wanted), "{what}: {}", word(&result));
            assert_eq!(far.count(), usize::from(result.is_ok()), "{what}");
            if let Err(failure) = result {
                assert!(failure.reason.contains("certificate"), "{what}: {}", failure.reason);
            }
        });
    }
}

#[test]
fn a_server_that_speaks_no_tls_or_breaks_off_was_sent_nothing() {
    local(async {
        let far = Far::start(None, |_| Act::Last(b"SSH-2.0-nonsense\r\n".to_vec())).await;
        let setup = at(&far);
        far.cut_handshake.set(true);
        let result = create(&setup.wire(&[]), &setup).await;
        assert!(word(&result).starts_with("unsent: "), "cut: {}", word(&result));
        let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setup = Setup::new(format!("https://{}", plain.local_addr().unwrap()));
        tokio::task::spawn_local(async move {
            let (mut stream, _) = plain.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        });
        let result = create(&setup.wire(&[]), &setup).await;
        let said = word(&result);
        assert!(said.starts_with("unsent: TLS fails: ") && said.contains("is it http:// and not"), "{said}");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = Setup::new(format!("https://{}", listener.local_addr().unwrap()));
        let wire = Http::new(&silent.options(), &[], Duration::from_millis(500)).unwrap();
        let result = create(&wire, &silent).await;
        assert!(word(&result).starts_with("unsent: "), "no answer to the handshake: {}", word(&result));
    });
}

/// A destination with a client certificate, and the server that asks for one.
struct Mutual {
    dir: tempfile::TempDir,
    server: Authority,
    clients: Authority,
    pair: Pair,
}

impl Mutual {
    fn new() -> Self {
        let (server, clients) = (Authority::new("server"), Authority::new("clients"));
        let pair = server.issue(HERE);
        Self { dir: tempfile::tempdir().unwrap(), server, clients, pair }
    }

    fn config(&self, only_tls12: bool) -> tokio_rustls::rustls::ServerConfig {
        Terms { pair: &self.pair, clients: Some(&self.clients), only_tls12 }.config()
    }

    fn put(&self, pair: &Pair) {
        put(self.dir.path(), "client.pem", &pair.certificate);
        put(self.dir.path(), "client.key", &pair.key);
    }

    fn setup(&self, far: &Far) -> Setup {
        let dir = self.dir.path();
        let setup = at(far).file("ca", &put(dir, "ca.pem", &self.server.pem()));
        setup
            .file("client_certificate", &dir.join("client.pem"))
            .secret("client_key", &dir.join("client.key"))
    }
}

#[test]
fn a_client_certificate_is_shown_and_replaced_without_a_restart() {
    for only_tls12 in [true, false] {
        local(async {
            let mutual = Mutual::new();
            let far = Far::start(Some(mutual.config(only_tls12)), fine).await;
            mutual.put(&mutual.clients.issue(&["web-01"]));
            let setup = mutual.setup(&far);
            let wire = setup.wire(&[Login::Certificate]);
            assert_eq!(word(&create(&wire, &setup).await), "200 with 2 bytes");
            // Half a replacement: the key does not fit yet, and what works stays.
            let next = mutual.clients.issue(&["web-01"]);
            put(mutual.dir.path(), "client.pem", &next.certificate);
            assert_eq!(word(&create(&wire, &setup).await), "200 with 2 bytes");
            assert_eq!(far.taken.get(), 1, "the connection from before is used on");
            put(mutual.dir.path(), "client.key", &next.key);
            assert_eq!(word(&create(&wire, &setup).await), "200 with 2 bytes");
            assert_eq!(far.taken.get(), 2, "the new certificate is shown on a new connection");
            // A certificate that the server does not take, then a good one again.
            mutual.put(&Authority::new("strangers").issue(&["web-01"]));
            let refused = create(&wire, &setup).await;
            assert!(word(&refused).starts_with("unsent: "), "{only_tls12}: {}", word(&refused));
            mutual.put(&mutual.clients.issue(&["web-01"]));
            assert_eq!(word(&create(&wire, &setup).await), "200 with 2 bytes");
        });
    }
}

#[test]
fn without_a_certificate_a_server_that_asks_for_one_refuses() {
    for only_tls12 in [true, false] {
        local(async {
            let mutual = Mutual::new();
            let far = Far::start(Some(mutual.config(only_tls12)), fine).await;
            let setup = at(&far).file("ca", &put(mutual.dir.path(), "ca.pem", &mutual.server.pem()));
            let result = create(&setup.wire(&[]), &setup).await;
            assert!(word(&result).starts_with("unsent: "), "{only_tls12}: {}", word(&result));
            assert_eq!(far.count(), 0);
        });
    }
}

#[test]
fn a_new_authority_is_taken_up_while_running() {
    local(async {
        let (dir, old, new) = (tempfile::tempdir().unwrap(), Authority::new("old"), Authority::new("new"));
        let far = Far::start(Some(plain(&old.issue(HERE))), |_| Act::Last(answer(200, "", ""))).await;
        let setup = at(&far).file("ca", &put(dir.path(), "ca.pem", &old.pem()));
        let wire = setup.wire(&[]);
        assert_eq!(word(&create(&wire, &setup).await), "200 with 0 bytes");
        *far.tls.borrow_mut() = Some(std::sync::Arc::new(plain(&new.issue(HERE))));
        let result = create(&wire, &setup).await;
        assert!(word(&result).starts_with("unsent: "), "not trusted yet: {}", word(&result));
        put(dir.path(), "ca.pem", "-----BEGIN NONSENSE");
        let result = create(&wire, &setup).await;
        assert!(word(&result).starts_with("unsent: "), "nonsense changes nothing: {}", word(&result));
        put(dir.path(), "ca.pem", &new.pem());
        assert_eq!(word(&create(&wire, &setup).await), "200 with 0 bytes");
    });
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let mutual = Mutual::new();
    let (dir, good) = (mutual.dir.path(), mutual.clients.issue(&["web-01"]));
    let (pem, key) = (put(dir, "good.pem", &good.certificate), put(dir, "good.key", &good.key));
    let empty = put(dir, "empty.pem", "# nothing\n");
    let other = put(dir, "other.key", &mutual.clients.issue(&["x"]).key);
    let base = || Setup::new("https://127.0.0.1:9".to_owned());
    for (setup, wanted) in [
        (base().text("ca", "/nowhere.pem"), "cannot read ca /nowhere.pem"),
        (base().file("ca", &empty), "holds no certificate"),
        (base().file("ca", &key), "holds no certificate"),
        (base().file("client_certificate", &pem), "client_key is missing beside client_certificate"),
        (base().file("client_certificate", &pem).secret("client_key", &other), "cannot set up HTTPS"),
        (base().file("client_certificate", &pem).secret("client_key", &pem), "client_certificate"),
        (base().file("client_certificate", &empty).secret("client_key", &key), "holds no certificate"),
        (base().text("proxy", "::"), "proxy '::'"),
        (Setup::new("not a url".to_owned()), "url 'not a url'"),
    ] {
        let made = Http::new(&setup.options(), &[], Duration::from_secs(1));
        let reason = made.err().unwrap_or_else(|| panic!("{wanted}: was taken"));
        assert!(reason.contains(wanted), "{wanted}: {reason}");
    }
}
