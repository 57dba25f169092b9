//! Mails of records and digests, read as a mail reader does.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::fixture::*;
use super::super::{Body, Reply};
use super::*;
use crate::engine::effect::Operation;
use crate::engine::moment::Stamp;
use crate::engine::option::OptionValue;
use crate::engine::record::HostRef;

fn target(more: &[(&str, OptionValue)]) -> Target {
    let text = |t: &str| OptionValue::Text(t.to_owned());
    let to = vec!["ops@example.org".to_owned(), "On Call <call@example.org>".to_owned()];
    let mut options = BTreeMap::from([
        ("url".to_owned(), text("smtp://localhost:2525")),
        ("from".to_owned(), text("Sexton <sexton@web-01.example>")),
        ("to".to_owned(), OptionValue::List(to)),
    ]);
    options.extend(more.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    let host = HostRef { id: "0123456789abcdef".into(), name: "web-01.example".into() };
    Target { id: "mail".into(), host, born: Stamp(0), options: Options(options) }
}

fn digest() -> Target {
    target(&[(DIGEST, OptionValue::List(vec!["P4".to_owned(), "P5".to_owned()]))])
}

fn problem() -> Job {
    let body = body(include_str!("../../../../tests/data/forward/problem.json"));
    let id = body["id"].as_str().unwrap().to_owned();
    let (operation_key, record_key) = (format!("sx-{id}-1-c"), format!("sx-{id}"));
    Job { kind: RecordKind::Problem, record: id, operation_key, record_key, body, ..create() }
}

/// Plays the answers; returns the end and the mails.
fn play(target: &Target, jobs: &[Job], answers: Vec<Result<Reply, Failure>>) -> (Done, Vec<Request>) {
    let steps = answers.into_iter().map(|a| ("POST /", a)).collect();
    converse(|said| next(target, jobs, said), steps)
}

fn fine() -> Result<Reply, Failure> {
    Ok(Reply { status: 200, body: b"2.0.0 queued as 1".to_vec(), ..Reply::default() })
}

fn text(request: &Request) -> &str {
    match &request.body {
        Body::Text(text) => text,
        other => panic!("no mail: {other:?}"),
    }
}

/// A header of a mail, unfolded.
fn header(request: &Request, name: &str) -> String {
    let head = text(request).split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    let line = head.split("\r\n").find(|l| l.to_lowercase().starts_with(&format!("{name}: ")));
    line.map(|l| l[name.len() + 2..].to_owned()).unwrap_or_default()
}

#[test]
fn the_first_mail_opens_a_thread_that_the_others_answer() {
    let target = target(&[]);
    let (done, mails) = play(&target, &[create()], vec![fine()]);
    let first = format!("<{KEY}-1-c@web-01.example>");
    assert_eq!(done.outcomes, [Outcome::stored(Some(first.clone()))]);
    let mail = &mails[0];
    assert_eq!(mail.header("mail-from"), Some("sexton@web-01.example"));
    assert_eq!(mail.header("mail-to"), Some("ops@example.org,call@example.org"));
    assert_eq!(header(mail, "message-id"), first);
    assert_eq!(header(mail, "in-reply-to"), "");
    assert_eq!(header(mail, "subject"), "[INC000042] web-01: disk-full fs{mount=/data}");
    assert_eq!(header(mail, "date"), "Sun, 22 Nov 2026 10:00:30 +0000");
    assert_eq!(header(mail, "auto-submitted"), "auto-generated");
    assert_eq!(header(mail, "x-sexton-record"), KEY);
    assert_eq!(header(mail, "x-sexton-operation"), format!("{KEY}-1-c"));
    assert!(header(mail, "to").contains("call@example.org"));
    assert!(text(mail).contains("multipart/alternative") && text(mail).contains("text/html"));

    let mut job = resolve();
    job.remote_id = Some(first.clone());
    job.body["title"] = json!("/data is 99 % full");
    let (done, mails) = play(&target, &[job], vec![fine()]);
    assert_eq!(done.outcomes, [Outcome::stored(Some(first.clone()))], "the thread keeps its name");
    let mail = &mails[0];
    assert_eq!(header(mail, "message-id"), format!("<{KEY}-2-r@web-01.example>"));
    assert_eq!(header(mail, "in-reply-to"), first);
    assert_eq!(header(mail, "references"), first);
    let subject = "Re: [INC000042] web-01: disk-full fs{mount=/data}";
    assert_eq!(header(mail, "subject"), subject, "stable, whatever the title says now");
}

#[test]
fn a_repetition_is_the_same_mail_byte_for_byte() {
    let target = target(&[]);
    let cut = || Err(Failure { sent: true, reason: "reset".to_owned() });
    let (done, first) = play(&target, &[create()], vec![cut()]);
    assert!(matches!(done.outcomes[..], [Outcome::Retry { unknown: true, .. }]), "{:?}", done.outcomes);
    let (_, second) = play(&target, &[repeated(create())], vec![fine()]);
    assert_eq!(first, second);
    let both = [create(), problem()];
    let (_, first) = play(&digest(), &both, vec![cut()]);
    let (_, second) = play(&digest(), &both, vec![fine()]);
    assert_eq!(first, second);
}

#[test]
fn each_answer_has_its_outcome_and_trouble_keeps_the_rest_back() {
    let says = |status: u16| Ok(Reply { status, body: b"no".to_vec(), ..Reply::default() });
    let unsent = || Err(Failure { sent: false, reason: "refused".to_owned() });
    for (answer, first, goes_on) in [
        (says(422), "refused", true),
        (says(413), "refused", true),
        (says(401), "pause", false),
        (says(403), "pause", false),
        (says(503), "retry", false),
        (unsent(), "retry", false),
        (Err(Failure { sent: true, reason: "cut".to_owned() }), "unknown", false),
    ] {
        let answers = if goes_on { vec![answer.clone(), fine()] } else { vec![answer.clone()] };
        let (done, _) = play(&target(&[]), &[create(), problem()], answers);
        let word = |outcome: &Outcome| match outcome {
            Outcome::Stored { .. } => "stored",
            Outcome::Retry { unknown: true, .. } => "unknown",
            Outcome::Retry { .. } => "retry",
            Outcome::Pause { .. } => "pause",
            Outcome::Refused { .. } => "refused",
        };
        let words: Vec<_> = done.outcomes.iter().map(word).collect();
        assert_eq!(words, [first, if goes_on { "stored" } else { "retry" }], "{answer:?}");
    }
}

#[test]
fn links_and_updates_without_news_are_no_mail() {
    let mut silent = later(Operation::Update, None);
    silent.acked_rev = 2;
    let (done, mails) = play(&target(&[]), &[link(), silent], Vec::new());
    assert_eq!(done.outcomes, [Outcome::stored(None), Outcome::stored(Some("20".to_owned()))]);
    assert!(mails.is_empty());
}

#[test]
fn a_digest_is_one_mail_with_the_important_first() {
    let mut urgent = create();
    urgent.body["priority"] = json!("P1");
    let mut least = resolve();
    (least.body["priority"], least.body["number"]) = (json!("P5"), json!("INC000001"));
    least.body["closure"] = json!({"code": "auto_cleared", "note": "room again <b>"});
    least.body["ci"]["name"] = json!("db-02 & more");
    let mut middle = problem();
    middle.body["priority"] = json!("P5");
    let jobs = [least, create(), urgent, middle];
    let (done, mails) = play(&digest(), &jobs, vec![fine(), fine()]);
    assert_eq!(mails.len(), 2);
    assert!(header(&mails[0], "subject").starts_with("[INC000042]"), "what is urgent goes alone, and first");
    let mail = &mails[1];
    assert_eq!(header(mail, "subject"), "[sexton] web-01.example: 3 records, 2 open");
    let order: Vec<_> = ["P4 INC000042", "P5 PRB000007", "P5 INC000001"].map(|w| text(mail).find(w)).into();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{}", text(mail));
    assert!(text(mail).contains("db-02 &amp; more") && text(mail).contains("room again &lt;b&gt;"));
    let id = header(mail, "message-id");
    let stored = |id: &str| Outcome::stored(Some(id.to_owned()));
    let own = format!("<{KEY}-1-c@web-01.example>");
    assert_eq!(done.outcomes, [stored("20"), stored(&id), stored(&own), stored(&id)]);
}

#[test]
fn nothing_in_a_record_breaks_a_mail() {
    let mut job = create();
    let nasty = "\r\nBcc: all@example.org\r\n\r\n<script>\u{0}\u{1b}[31m";
    for key in ["title", "description", "number", "category", "instance"] {
        job.body[key] = json!(format!("{key}{nasty} größe {}", "x".repeat(3000)));
    }
    job.body["ci"]["name"] = json!(nasty);
    job.body["rule"]["id"] = json!(nasty);
    let mut target = target(&[]);
    target.host.name = format!("web{nasty}");
    let (done, mails) = play(&target, &[job.clone()], vec![fine()]);
    assert!(matches!(done.outcomes[..], [Outcome::Stored { .. }]));
    let mail = text(&mails[0]);
    assert!(mail.is_ascii(), "needs no 8-bit transport");
    assert!(mail.split("\r\n").all(|l| l.len() <= 998), "no line is too long for a mail");
    let head = mail.split("\r\n\r\n").next().unwrap();
    assert!(!head.to_lowercase().contains("\nbcc:"), "{head}");
    let html = |mail: &str| mail.split("text/html").nth(1).unwrap().to_owned();
    assert!(html(mail).contains("&lt;script&gt;") && !html(mail).contains("<script>"));
    let (_, mails) = play(&digest(), &[job], vec![fine()]);
    assert!(text(&mails[0]).is_ascii() && !html(text(&mails[0])).contains("<script>"));
}

#[test]
fn the_hello_proves_the_envelope() {
    let target = target(&[]);
    let ask =
        |answer: Result<Reply, Failure>| converse(|said| hello(&target, said), vec![("GET /", answer)]).0;
    assert_eq!(ask(fine()), Done::default());
    let mut partly = fine().unwrap();
    partly.headers.insert("refused".to_owned(), "call@example.org: no such user".to_owned());
    assert!(ask(Ok(partly)).warning.unwrap().contains("no such user"));
    let says = |status: u16| Ok(Reply { status, body: b"no such user".to_vec(), ..Reply::default() });
    for status in [401, 403, 413, 422] {
        assert!(ask(says(status)).pause.unwrap().contains("no such user"), "{status}");
    }
    assert_eq!(ask(says(503)), Done::default(), "the pump sees that it is away");
}

#[test]
fn options_that_cannot_work_are_named() {
    let list = |to: &[&str]| OptionValue::List(to.iter().map(|t| (*t).to_owned()).collect());
    let text = |t: &str| OptionValue::Text(t.to_owned());
    for (key, value, wanted) in [
        ("to", list(&[]), "to names 0 recipients"),
        ("to", list(&["nobody"]), "to: 'nobody'"),
        ("to", list(&["ops@größe.example"]), "ASCII form"),
        ("from", text("sexton"), "from: 'sexton'"),
        ("url", text("mail.example"), "write smtp://host:port"),
        ("user", text("sexton"), "password is missing beside user"),
    ] {
        let reason = check(&target(&[(key, value)]).options).unwrap_err();
        assert!(reason.contains(wanted), "{key}: {reason}");
    }
    assert_eq!(check(&target(&[]).options), Ok(()));
}
