//! Logins over real connections: access tokens that end, are refused, or cannot be had; secrets that rotate.

use std::cell::Cell;
use std::rc::Rc;

use sexton::forward::connector::Login;
use sexton::forward::connector::login::BEARER;

use super::certificates::put;
use super::far::{Act, Far, Heard, answer};
use super::{Setup, create, local, word};

/// A token endpoint and what it guards.
struct Issuer {
    far: Far,
    /// Tokens handed out so far; only the last is good.
    issued: Rc<Cell<u32>>,
    dir: tempfile::TempDir,
}

const SECRET: &str = "s3cret &+ more";

impl Issuer {
    /// One whose tokens live that long, and that wants the client in Basic or not.
    async fn start(life: &'static str, basic: bool, token: impl Fn(u32) -> Option<Act> + 'static) -> Self {
        let issued = Rc::new(Cell::new(0));
        let count = Rc::clone(&issued);
        let script = move |heard: &Heard| {
            if heard.head.starts_with("POST /token") {
                let id = "authorization: Basic c3gtY2xpZW50OnMzY3JldCUyMCUyNiUyQiUyMG1vcmU=";
                let shown = match basic {
                    true => heard.head.contains(id),
                    false => heard.body.contains("client_id=sx-client&client_secret=s3cret%20%26%2B%20more"),
                };
                if let Some(act) = token(count.get()) {
                    count.set(count.get() + 1);
                    return act;
                }
                if !shown || !heard.body.starts_with("grant_type=client_credentials&scope=a%20b") {
                    return Act::Say(answer(401, "", r#"{"error":"invalid_client"}"#));
                }
                count.set(count.get() + 1);
                let body = format!(r#"{{"access_token":"t{}","token_type":"Bearer"{life}}}"#, count.get());
                return Act::Say(answer(200, "", &body));
            }
            match heard.head.contains(&format!("authorization: Bearer t{}\r\n", count.get())) {
                true => Act::Say(answer(201, "", "{}")),
                false => Act::Say(answer(401, "", r#"{"message":"who are you"}"#)),
            }
        };
        let far = Far::start(None, script).await;
        Self { far, issued, dir: tempfile::tempdir().unwrap() }
    }

    fn setup(&self) -> Setup {
        let base = format!("http://127.0.0.1:{}", self.far.port);
        let secret = put(self.dir.path(), "secret", SECRET);
        Setup::new(base.clone())
            .text("oauth_url", format!("{base}/token"))
            .text("oauth_client", "sx-client")
            .text("oauth_scope", "a b")
            .secret("oauth_secret", &secret)
    }

    /// What was asked, in letters: t for a token, c for a create.
    fn asked(&self) -> String {
        let heard = self.far.heard.borrow();
        heard.iter().map(|h| if h.head.starts_with("POST /token") { 't' } else { 'c' }).collect()
    }
}

#[test]
fn a_token_is_kept_until_shortly_before_its_end() {
    for (life, basic, asked) in [
        (r#","expires_in":3600"#, true, "tccc"),
        (r#","expires_in":"3600""#, true, "tccc"),
        ("", true, "tccc"),
        // No life at all: one for each request.
        (r#","expires_in":0"#, true, "tctctc"),
        // The client is looked for in the body: asked twice the first time, and never again.
        (r#","expires_in":3600"#, false, "ttccc"),
        (r#","expires_in":0"#, false, "ttctctc"),
    ] {
        local(async {
            let issuer = Issuer::start(life, basic, |_| None).await;
            let setup = issuer.setup();
            let wire = setup.wire(&[Login::OAuth2]);
            for _ in 0..3 {
                assert_eq!(word(&create(&wire, &setup).await), "201 with 2 bytes", "{life} {basic}");
            }
            assert_eq!(issuer.asked(), asked, "{life} {basic}");
        });
    }
}

#[test]
fn a_refused_token_is_replaced_once() {
    local(async {
        let issuer = Issuer::start(r#","expires_in":3600"#, true, |_| None).await;
        let setup = issuer.setup();
        let wire = setup.wire(&[Login::OAuth2]);
        assert_eq!(word(&create(&wire, &setup).await), "201 with 2 bytes");
        // Somebody revokes it.
        issuer.issued.set(41);
        assert_eq!(word(&create(&wire, &setup).await), "201 with 2 bytes");
        assert_eq!(issuer.asked(), "tcctc");
        // Two at once find it revoked: one new token is enough for both.
        issuer.issued.set(77);
        let both = tokio::join!(create(&wire, &setup), create(&wire, &setup));
        assert_eq!((both.0.unwrap().status, both.1.unwrap().status), (201, 201));
        assert_eq!(issuer.issued.get(), 78);
    });
}

#[test]
fn a_token_that_is_refused_though_new_is_told_and_not_asked_for_again() {
    local(async {
        let bad = || Act::Say(answer(200, "", r#"{"access_token":"bad","expires_in":3600}"#));
        let issuer = Issuer::start("", true, move |_| Some(bad())).await;
        let setup = issuer.setup();
        let wire = setup.wire(&[Login::OAuth2]);
        let result = create(&wire, &setup).await.unwrap();
        assert_eq!((result.status, issuer.asked().as_str()), (401, "tc"));
    });
}

#[test]
fn a_token_endpoint_that_is_down_is_a_retry_and_one_that_refuses_is_a_pause() {
    let says = |status: u16, headers: &'static str, body: &'static str| {
        move |_| Some(Act::Say(answer(status, headers, body)))
    };
    type Script = Box<dyn Fn(u32) -> Option<Act>>;
    let cases: [(&str, Script, &str); 8] = [
        ("503", Box::new(says(503, "", "")), "503 no access token: HTTP 503"),
        ("429", Box::new(says(429, "retry-after: 7\r\n", "")), "503 no access token: HTTP 429"),
        ("cut", Box::new(|_| Some(Act::Last(Vec::new()))), "unsent: no access token"),
        (
            "nonsense",
            Box::new(|_| Some(Act::Last(b"\x01 what?\r\n\r\n".to_vec()))),
            "unsent: no access token",
        ),
        (
            "a page",
            Box::new(says(200, "", "<html>")),
            "503 no access token: the answer holds no access_token",
        ),
        (
            "refused",
            Box::new(says(401, "", r#"{"error":"invalid_client","error_description":"unknown"}"#)),
            "401 no access token: invalid_client: unknown",
        ),
        (
            "scope",
            Box::new(says(400, "", r#"{"error":"invalid_scope"}"#)),
            "401 no access token: invalid_scope",
        ),
        (
            "elsewhere",
            Box::new(says(302, "location: https://login.example/\r\n", "")),
            "401 no access token: HTTP 302 to https://login.example/; check oauth_url",
        ),
    ];
    for (what, script, wanted) in cases {
        local(async {
            let issuer = Issuer::start("", true, script).await;
            let setup = issuer.setup();
            let result = create(&setup.wire(&[Login::OAuth2]), &setup).await;
            let got = match &result {
                Ok(reply) => format!("{} {}", reply.status, reply.json()["detail"].as_str().unwrap()),
                Err(_) => word(&result),
            };
            assert!(got.starts_with(wanted), "{what}: {got}");
            assert!(!got.contains("s3cret"), "{what}: {got}");
            assert!(!issuer.asked().contains('c'), "{what}: the request was not sent");
            if what == "429" {
                assert_eq!(result.unwrap().retry_after, Some(std::time::Duration::from_secs(7)));
            }
        });
    }
}

#[test]
fn a_new_client_secret_is_used_at_once() {
    local(async {
        let issuer = Issuer::start(r#","expires_in":3600"#, true, |_| None).await;
        let setup = issuer.setup();
        put(issuer.dir.path(), "secret", "wrong");
        let wire = setup.wire(&[Login::OAuth2]);
        let result = create(&wire, &setup).await.unwrap();
        assert_eq!((result.status, issuer.asked().as_str()), (401, "tt"), "in both places");
        put(issuer.dir.path(), "secret", SECRET);
        assert_eq!(word(&create(&wire, &setup).await), "201 with 2 bytes");
    });
}

#[test]
fn a_secret_that_was_replaced_meanwhile_is_read_again_after_a_401() {
    const TOKEN: &[Login] = &[BEARER];
    const BASIC: &[Login] = &[Login::Basic];
    for (logins, key, old, new) in [
        (TOKEN, "token", "Bearer old", "Bearer new"),
        (BASIC, "password", "Basic dTpvbGQ=", "Basic dTpuZXc="),
    ] {
        local(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().to_owned();
            // The server turns to the new secret, and so does the file, after our request was made.
            let far = Far::start(None, move |heard| {
                put(&path, "secret", "new");
                match heard.head.contains(&format!("authorization: {new}\r\n")) {
                    true => Act::Say(answer(200, "", "")),
                    false => Act::Say(answer(401, "", "")),
                }
            });
            let far = far.await;
            let file = put(dir.path(), "secret", "old");
            let setup =
                Setup::new(format!("http://127.0.0.1:{}", far.port)).text("user", "u").secret(key, &file);
            let result = create(&setup.wire(logins), &setup).await.unwrap();
            let heard = far.heard.borrow();
            assert_eq!((result.status, heard.len()), (200, 2), "{key}");
            assert!(heard[0].head.contains(old) && heard[1].head.contains(new), "{key}");
        });
    }
    local(async {
        let dir = tempfile::tempdir().unwrap();
        let far = Far::start(None, |_| Act::Say(answer(401, "", ""))).await;
        let setup = Setup::new(format!("http://127.0.0.1:{}", far.port))
            .secret("token", &put(dir.path(), "secret", "same"));
        assert_eq!(create(&setup.wire(TOKEN), &setup).await.unwrap().status, 401);
        assert_eq!(far.count(), 1, "the same secret is not shown twice");
    });
}
