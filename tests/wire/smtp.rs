//! SMTP against a mail server that misbehaves at every step, with TLS and without.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sexton::clock::Clock;
use sexton::engine::option::OptionValue;
use sexton::forward::connector::{Body, Failure, Method, Reply, Request};
use sexton::forward::secrets::Secrets;
use sexton::forward::wire::Wire;
use sexton::forward::wire::smtp::Smtp;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::certificates::{Authority, Terms, plain, put};
use super::{Setup, local, word};

/// What the server does instead of what it should.
#[derive(Clone, Debug)]
enum Does {
    Says(String),
    Closes,
    Waits,
}

/// A mail server.
struct Server {
    port: u16,
    /// Every line it heard; `*` before those under TLS.
    lines: Rc<RefCell<Vec<String>>>,
    /// Mails it took.
    mails: Rc<RefCell<Vec<String>>>,
}

#[derive(Clone)]
struct Manners {
    /// The first words of a line ("RCPT TO:<a", "" for the greeting, "." for a mail), and what is done then.
    odd: Vec<(&'static str, Does)>,
    tls: Option<Arc<ServerConfig>>,
    implicit: bool,
    offers: &'static str,
}

impl Manners {
    fn odd(at: &'static str, does: Does) -> Self {
        Self { odd: vec![(at, does)], tls: None, implicit: false, offers: "" }
    }

    fn good() -> Self {
        Self { odd: Vec::new(), tls: None, implicit: false, offers: "" }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Server {
    async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            Self { port: listener.local_addr().unwrap().port(), lines: Rc::default(), mails: Rc::default() };
        let (lines, mails) = (Rc::clone(&server.lines), Rc::clone(&server.mails));
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (manners, lines, mails) = (manners.clone(), Rc::clone(&lines), Rc::clone(&mails));
                tokio::task::spawn_local(async move {
                    let mut stream: Box<dyn Stream> = Box::new(tcp);
                    let mut greets = true;
                    if let (true, Some(tls)) = (manners.implicit, &manners.tls) {
                        let Ok(secured) = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await else {
                            return;
                        };
                        stream = Box::new(secured);
                    }
                    let mut secure = manners.implicit;
                    while let Some(bare) = serve(stream, &manners, greets, secure, &lines, &mails).await {
                        let acceptor = TlsAcceptor::from(Arc::clone(manners.tls.as_ref().unwrap()));
                        let Ok(secured) = acceptor.accept(bare).await else { return };
                        (stream, greets, secure) = (Box::new(secured), false, true);
                    }
                });
            }
        });
        server
    }

    fn setup(&self) -> Setup {
        Setup::new(format!("smtp://127.0.0.1:{}", self.port))
    }

    fn heard(&self, word: &str) -> bool {
        self.lines.borrow().iter().any(|l| l.contains(word))
    }
}

/// One connection until it ends, or until STARTTLS: then the bare stream.
async fn serve(
    stream: Box<dyn Stream>,
    manners: &Manners,
    greets: bool,
    secure: bool,
    lines: &RefCell<Vec<String>>,
    mails: &RefCell<Vec<String>>,
) -> Option<Box<dyn Stream>> {
    let mut stream = BufStream::new(stream);
    let mut heard = if greets { Some(String::new()) } else { None };
    loop {
        let line = match heard.take() {
            Some(line) => line,
            None => {
                let mut line = String::new();
                stream.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
                let line = line.trim_end().to_owned();
                lines.borrow_mut().push(format!("{}{line}", if secure { "*" } else { "" }));
                line
            }
        };
        let odd = manners.odd.iter().find(|(at, _)| match *at {
            "" => line.is_empty(),
            at => line.starts_with(at),
        });
        let said = match odd.map(|(_, does)| does.clone()) {
            Some(Does::Closes) => return None,
            Some(Does::Waits) => std::future::pending().await,
            Some(Does::Says(text)) => text,
            None => usual(&line, manners.offers).to_owned(),
        };
        stream.write_all(said.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        if line == "STARTTLS" && said.starts_with("220") {
            return Some(stream.into_inner());
        }
        if line == "DATA" && said.starts_with("354") {
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                stream.read_line(&mut mail).await.ok().filter(|n| *n > 0)?;
            }
            mails.borrow_mut().push(mail);
            heard = Some(".".to_owned());
        }
    }
}

fn usual(line: &str, offers: &'static str) -> &'static str {
    match line.split([' ', ':']).next().unwrap_or_default() {
        "" => "220 mail.example ESMTP\r\n",
        "EHLO" => offers_of(offers),
        "STARTTLS" => "220 go ahead\r\n",
        "DATA" => "354 go ahead\r\n",
        "." => "250 2.0.0 queued as 42\r\n",
        "AUTH" => "235 2.7.0 welcome\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 fine\r\n",
    }
}

fn offers_of(offers: &'static str) -> &'static str {
    match offers {
        "starttls" => "250-mail.example\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
        "auth" => "250-mail.example\r\n250 AUTH LOGIN PLAIN\r\n",
        _ => "250-mail.example\r\n250 8BITMIME\r\n",
    }
}

fn mail() -> Request {
    let body = Body::Text("Subject: x\r\n\r\n.a dot\r\nend\r\n".to_owned());
    Request { method: Method::Post, body, ..probe() }
}

fn probe() -> Request {
    Request::get("/")
        .with("mail-from", "sexton@web-01.example")
        .with("mail-to", "a@example.org,b@example.org")
        .with("mail-helo", "web-01")
}

async fn send(setup: &Setup, request: &Request) -> Result<Reply, Failure> {
    let options = setup.options();
    let wire = Smtp::new(&options, Duration::from_millis(600)).unwrap();
    wire.send(request, &Secrets::read(&options).unwrap(), Clock::start().now().stamp()).await
}

/// The status with its words, or whether it was sent, and why.
fn told(result: &Result<Reply, Failure>) -> String {
    match result {
        Ok(reply) => format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        Err(_) => word(result),
    }
}

#[test]
fn a_mail_is_handed_over_as_it_is() {
    local(async {
        let server = Server::start(Manners::good()).await;
        let result = send(&server.setup(), &mail()).await;
        assert_eq!(told(&result), "200 2.0.0 queued as 42");
        let lines = server.lines.borrow().clone();
        assert_eq!(lines[0], "EHLO web-01");
        assert_eq!(lines[1], "MAIL FROM:<sexton@web-01.example>");
        assert_eq!(lines[2..4], ["RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>"]);
        assert_eq!(lines.last().unwrap(), "QUIT");
        assert!(server.mails.borrow()[0].starts_with("Subject: x\r\n\r\n..a dot\r\nend\r\n"));
        // A probe goes as far as the recipients and takes them back.
        assert_eq!(told(&send(&server.setup(), &probe()).await), "200 ");
        assert_eq!((server.mails.borrow().len(), server.heard("RSET")), (1, true));
    });
}

#[test]
fn each_misbehaviour_has_its_class() {
    let says = |text: &str| Does::Says(text.to_owned());
    let long = "250-a\r\n".repeat(2_000) + "250 end\r\n";
    let many = "250-words\r\n".repeat(50) + "250 done\r\n";
    let cases = [
        ("", says("421 too busy\r\n"), "503 "),
        ("", says("554 no mail from you\r\n"), "403 "),
        ("", Does::Closes, "unsent: "),
        ("", Does::Waits, "unsent: "),
        ("", says(&"x".repeat(1 << 20)), "unsent: "),
        ("", says("HTTP/1.1 400 Bad Request\r\n\r\n"), "unsent: "),
        ("EHLO", says("550 go away\r\n"), "403 "),
        ("EHLO", says(&long), "unsent: "),
        ("EHLO", Does::Closes, "unsent: "),
        ("MAIL", says("451 later\r\n"), "503 "),
        ("MAIL", says("530 5.7.0 log in first\r\n"), "401 "),
        ("MAIL", says("550 who are you\r\n"), "403 "),
        ("MAIL", says("250\u{0}nonsense without an end"), "unsent: "),
        ("RCPT", says("450 4.2.0 greylisted\r\n"), "503 "),
        ("RCPT", says("550 5.1.1 no such user\r\n"), "403 a@example.org: "),
        ("RCPT", says("421 closing\r\n"), "503 "),
        ("RCPT TO:<b", says("550 5.1.1 no such user\r\n"), "200 2.0.0 queued"),
        ("DATA", says("554 no valid recipients\r\n"), "422 "),
        ("DATA", says("451 later\r\n"), "503 "),
        ("DATA", Does::Closes, "unsent: "),
        ("DATA", Does::Waits, "unsent: "),
        (".", says(&many), "200 "),
        (".", says("250-multi\r\n250-line\r\n250 yes\r\n"), "200 multi line yes"),
        (".", says("451 4.3.0 later\r\n"), "503 "),
        (".", says("421 4.3.2 shutting down\r\n"), "503 "),
        (".", says("552 5.3.4 too big\r\n"), "413 "),
        (".", says("554 5.7.1 looks like spam\r\n"), "422 "),
        (".", Does::Closes, "sent? "),
        (".", Does::Waits, "sent? "),
        (".", says("what?\r\n"), "sent? "),
        (".", says(&long), "sent? "),
        ("QUIT", Does::Waits, "200 "),
        ("QUIT", Does::Closes, "200 "),
    ];
    for (at, does, wanted) in cases {
        local(async {
            let what: String = format!("{at:?} {does:?}").chars().take(60).collect();
            let server = Server::start(Manners::odd(at, does)).await;
            let result = send(&server.setup(), &mail()).await;
            assert!(told(&result).starts_with(wanted), "{what}: {}", told(&result));
            if at == "RCPT TO:<b" {
                let reply = result.unwrap();
                assert!(reply.header("refused").unwrap().starts_with("b@example.org: "), "{reply:?}");
            }
            assert!(server.mails.borrow().len() <= 1, "{what}: never sent twice");
        });
    }
}

#[test]
fn nothing_but_the_hello_goes_in_the_clear() {
    let authority = Authority::new("mail");
    let config = Arc::new(plain(&authority.issue(&["127.0.0.1"])));
    let tls = Some(Arc::clone(&config));
    let says = |text: &str| Does::Says(text.to_owned());
    let ours = || Manners { tls: tls.clone(), offers: "starttls", ..Manners::good() };
    let other = Authority::new("other");
    let cases = [
        ("good", ours(), authority.pem(), "200 "),
        ("not offered", Manners::good(), authority.pem(), "403 the server offers no STARTTLS"),
        (
            "later",
            Manners { odd: vec![("STARTTLS", says("454 not now\r\n"))], ..ours() },
            authority.pem(),
            "503 ",
        ),
        (
            "refused",
            Manners { odd: vec![("STARTTLS", says("501 no\r\n"))], ..ours() },
            authority.pem(),
            "403 ",
        ),
        (
            "words before TLS",
            Manners { odd: vec![("STARTTLS", says("220 go\r\n250-AUTH PLAIN\r\n"))], ..ours() },
            authority.pem(),
            "unsent: the server speaks out of turn",
        ),
        ("another authority", ours(), other.pem(), "unsent: "),
        ("closed", Manners { odd: vec![("STARTTLS", Does::Closes)], ..ours() }, authority.pem(), "unsent: "),
        (
            "login refused",
            Manners { odd: vec![("AUTH", says("535 5.7.8 wrong password\r\n"))], ..ours() },
            authority.pem(),
            "401 ",
        ),
        (
            "login later",
            Manners { odd: vec![("AUTH", says("454 4.7.0 backend is down\r\n"))], ..ours() },
            authority.pem(),
            "503 ",
        ),
        (
            "no login offered",
            Manners { odd: vec![("EHLO", says("250-mail\r\n250 STARTTLS\r\n"))], ..ours() },
            authority.pem(),
            "401 127.0.0.1 offers no login",
        ),
    ];
    for (what, manners, ca, wanted) in cases {
        local(async {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::start(manners).await;
            let setup = server.setup().file("ca", &put(dir.path(), "ca.pem", &ca)).text("tls", "required");
            let setup = setup.text("user", "u").secret("password", &put(dir.path(), "password", "secret\n"));
            let result = send(&setup, &mail()).await;
            assert!(told(&result).starts_with(wanted), "{what}: {}", told(&result));
            let clear: Vec<String> =
                server.lines.borrow().iter().filter(|l| !l.starts_with('*')).cloned().collect();
            assert!(clear.iter().all(|l| l == "EHLO web-01" || l == "STARTTLS"), "{what}: {clear:?}");
            assert_eq!(server.heard("*AUTH PLAIN AHUAc2VjcmV0"), server.heard("*AUTH"), "{what}");
            assert_eq!(server.mails.borrow().len(), usize::from(wanted == "200 "), "{what}");
        });
    }
}

#[test]
fn tls_from_the_first_byte_with_a_client_certificate() {
    local(async {
        let (authority, clients) = (Authority::new("mail"), Authority::new("clients"));
        let (dir, shown) = (tempfile::tempdir().unwrap(), clients.issue(&["web-01"]));
        let pair = authority.issue(&["127.0.0.1"]);
        let config = Terms { pair: &pair, clients: Some(&clients), only_tls12: true }.config();
        let tls = Some(Arc::new(config));
        let server = Server::start(Manners { tls, implicit: true, ..Manners::good() }).await;
        let mut setup = server.setup().file("ca", &put(dir.path(), "ca.pem", &authority.pem()));
        setup.0.insert("url".to_owned(), OptionValue::Text(format!("smtps://127.0.0.1:{}", server.port)));
        let result = send(&setup, &mail()).await;
        assert!(told(&result).starts_with("unsent: "), "without one: {}", told(&result));
        let setup = setup
            .file("client_certificate", &put(dir.path(), "client.pem", &shown.certificate))
            .secret("client_key", &put(dir.path(), "client.key", &shown.key));
        assert_eq!(told(&send(&setup, &mail()).await), "200 2.0.0 queued as 42");
    });
}
