//! The real binary, as a user runs it: agent and desk as two processes, a process that is watched, a rule
//! that is edited.

mod host;

use host::{Host, until};
use serde_json::Value;

#[tokio::test]
async fn a_killed_process_is_an_incident_that_resolves_returns_and_becomes_a_problem() {
    let mut host = Host::start().await;
    for opening in 1..=3_u64 {
        host.kill_job();
        let incident = until("an open incident", || host.incident_in("new")).await;
        assert_eq!(incident["rule"]["id"], "job-missing");
        assert_eq!(incident["counters"]["reopens"], opening - 1, "one record for all openings");
        assert_eq!(incident["priority"], "P2");
        host.start_job();
        let resolved = until("its resolve", || host.incident_in("resolved")).await;
        assert_eq!(resolved["id"], incident["id"]);
        assert_eq!(resolved["intervals"].as_array().map(Vec::len), Some(opening as usize));
        assert!(resolved["resolved_at"].as_str() <= resolved["confirmed_at"].as_str(), "back-dated");
    }
    let problem = until("a problem candidate", || host.first("/v1/problems")).await;
    assert_eq!(problem["state"], "candidate");
    assert_eq!(problem["openings"], 3);
    let linked = until("the link on the incident", || async {
        host.first("/v1/incidents").await.filter(|i| i["links"]["problem"] == problem["id"])
    });
    linked.await;
    assert_eq!(host.all("/v1/incidents").await.len(), 1, "never twice");
}

#[tokio::test]
async fn after_kill_9_the_daemon_goes_on_where_it_was() {
    let mut host = Host::start().await;
    host.kill_job();
    let incident = until("an open incident", || host.incident_in("new")).await;
    host.kill_agent();
    host.start_job();
    host.start_agent();
    let resolved = until("the resolve after the crash", || host.incident_in("resolved")).await;
    assert_eq!(resolved["id"], incident["id"], "the same incident, re-judged");
    assert_eq!(resolved["counters"]["reopens"], 0);
    assert_eq!(host.all("/v1/incidents").await.len(), 1);
}

#[tokio::test]
async fn what_opens_and_closes_while_the_desk_is_away_arrives() {
    let mut host = Host::start().await;
    host.stop_desk();
    host.kill_job();
    until("an incident on the host", || async { host.open_here().filter(|n| *n == 1) }).await;
    host.start_job();
    until("its resolve on the host", || async { host.open_here().filter(|n| *n == 0) }).await;
    host.kill_agent();
    host.start_agent();
    host.start_desk().await;
    let resolved = until("the resolved incident at the desk", || host.incident_in("resolved")).await;
    assert_eq!(resolved["rule"]["id"], "job-missing");
}

#[tokio::test]
async fn a_bad_rule_file_is_an_incident_until_it_is_mended_and_the_old_rules_stay() {
    let mut host = Host::start().await;
    host.write_rule("raise = \"proc.cuont < 1\"");
    let bad = until("an incident about the configuration", || host.incident_of("sexton-config")).await;
    assert_eq!(bad["state"], "new");
    let shown = until("the message as evidence", || async {
        let incident = host.whole(&host.incident_of("sexton-config").await?).await?;
        incident["evidence"]["exhibits"][0]["text"].as_str().map(str::to_owned)
    })
    .await;
    assert!(shown.contains("proc.count") && shown.contains("rule.toml"), "{shown}");
    host.kill_job();
    until("an incident by the old rule", || host.incident_of("job-missing")).await;
    host.write_rule("raise = \"proc.count < 1\"");
    until("the configuration incident is over", || async {
        host.incident_of("sexton-config").await.filter(|i| i["state"] == "resolved")
    })
    .await;
    let job = host.incident_of("job-missing").await.unwrap_or(Value::Null);
    assert_eq!(job["state"], "new", "reload keeps what is open");
}

#[tokio::test]
async fn a_changed_threshold_is_judged_at_once_and_keeps_the_incident() {
    let mut host = Host::start().await;
    host.kill_job();
    let incident = until("an open incident", || host.incident_in("new")).await;
    host.write_rule("raise = \"proc.count < 0\"\nclear = \"proc.count >= 0\"");
    let resolved = until("the resolve by the new rule", || host.incident_in("resolved")).await;
    assert_eq!(resolved["id"], incident["id"]);
}

#[tokio::test]
async fn a_storm_of_hangups_and_a_kill_amid_reloads_leave_one_incident_in_its_true_state() {
    let mut host = Host::start().await;
    host.kill_job();
    let incident = until("an open incident", || host.incident_in("new")).await;
    // Killed at once, while the set is examined, and about when it is swapped and committed.
    for (n, wait_ms) in [0, 20, 60, 120, 250, 500, 900].into_iter().enumerate() {
        host.write_rule(&format!(
            "raise = \"proc.count < 1\"\ntitle = \"the job is away, {n}\"\nreopen = \"{}m\"",
            n + 1
        ));
        host.hang_up(50);
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
        host.kill_agent();
        host.start_agent();
        until("an answer after the crash", || async { host.uptime() }).await;
    }
    host.hang_up(200);
    until("the rule as it was written last", || async { host.open_here().filter(|n| *n == 1) }).await;
    host.start_job();
    let resolved = until("the resolve after the crashes", || host.incident_in("resolved")).await;
    assert_eq!((&resolved["id"], &resolved["counters"]["reopens"]), (&incident["id"], &Value::from(0)));
    assert_eq!(host.all("/v1/incidents").await.len(), 1, "never twice");
    let (entries, last): (i64, i64) = host
        .store()
        .query_row("SELECT count(*), max(seq) FROM journal", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("the journal");
    assert_eq!(entries, last, "the journal has no gap");
}

#[tokio::test]
async fn while_the_store_cannot_write_it_answers_and_ends_when_asked() {
    let mut host = Host::start().await;
    let store = host.store();
    store.execute_batch("BEGIN IMMEDIATE").expect("the lock of a writer");
    host.kill_job();
    let said = until("the trouble in the status", || async { host.store_error() }).await;
    assert!(said.contains("locked"), "{said}");
    assert_eq!(host.end_agent(), Some(0));
    drop(store);
    host.start_agent();
    until("the incident after all", || host.incident_in("new")).await;
}

#[tokio::test]
async fn a_store_that_no_retry_mends_ends_the_daemon() {
    let mut host = Host::start().await;
    let foreign = "INSERT INTO journal SELECT max(seq) + 1, 0, 'foreign', '', '' FROM journal";
    host.store().execute_batch(foreign).expect("an entry that is not the daemon's");
    host.kill_job();
    let code = until("the end of the daemon", || std::future::ready(host.agent_ended())).await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn exit_codes_tell_a_finding_from_what_could_not_run() {
    let host = Host::start().await;
    assert_eq!(host.run_again("other.sock"), Some(2), "the store is in use");
    assert_eq!(host.run_again("control.sock"), Some(2), "the store is in use, and so is the socket");
    host.write_rule("raise = \"proc.cuont < 1\"");
    assert_eq!(host.run_again("other.sock"), Some(1), "a mistake in the configuration");
    std::fs::remove_dir_all(host.path("etc")).expect("the configuration");
    assert_eq!(host.run_again("other.sock"), Some(2), "no configuration");
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_panic() {
    let host = Host::start().await;
    assert_eq!(host.status_unread(), Some(0));
}

#[tokio::test]
async fn a_dead_letter_is_an_incident_until_it_is_put_back() {
    let mut host = Host::start().await;
    host.write_rule(
        "raise = \"proc.count < 1\"\n[[rule]]\nid = \"dead-letters\"\non = \"sexton\"\n\
         match = { part = [\"destination\"] }\nfor = \"0s\"\nkeep = \"0s\"\nraise = \"not sexton.ok\"\nclear = \"sexton.ok\"",
    );
    host.stop_desk();
    host.kill_job();
    until("an incident on the host", || async { host.open_here().filter(|n| *n >= 1) }).await;
    let park = "UPDATE outbox SET state = 'parked', due = NULL RETURNING record";
    let store = host.store();
    let record: String = store.query_row(park, [], |row| row.get(0)).expect("the waiting record");
    host.start_desk().await;
    until("the incident at the desk", || host.incident_of("dead-letters")).await;
    until("the destination up", || async { host.destination().filter(|d| d["state"] == "up") }).await;
    let (up, before) = ("an uptime", host.uptime().unwrap_or(0.0));
    until(up, || async { host.uptime().filter(|now| *now > before + 3.0) }).await;
    let open = host.incident_of("dead-letters").await.unwrap_or(Value::Null);
    assert_eq!(open["state"], "new", "the destination takes records, and yet one is refused");
    assert!(host.requeue("nonsense").is_none());
    assert!(host.requeue(&record).is_some());
    until("the record at the desk", || host.incident_in("new")).await;
    until("the end of the trouble", || async {
        host.incident_of("dead-letters").await.filter(|i| i["state"] == "resolved")
    })
    .await;
}

#[tokio::test]
async fn nothing_is_raised_in_a_window_from_the_shell_though_the_daemon_is_killed_in_it() {
    let mut host = Host::start().await;
    assert!(host.maintenance(&["start", "--for", "1h", "--reason", ""]).is_none(), "a reason is needed");
    let said = host.maintenance(&["start", "--for", "1h", "--reason", "new disk", "--change", "CHG7"]);
    assert!(
        said.as_ref().and_then(Value::as_str).is_some_and(|s| s.contains("shell-1 (change CHG7)")),
        "{said:?}"
    );
    host.kill_job();
    let kept = |host: &Host| {
        let list = host.maintenance(&["list", "--json"])?;
        list["suppressed"].as_array()?.iter().find(|kept| kept["rule"] == "job-missing").cloned()
    };
    until("the condition among what is kept", || std::future::ready(kept(&host))).await;
    host.kill_agent();
    host.start_agent();
    let found = until("it after the crash", || std::future::ready(kept(&host))).await;
    assert_eq!(found["reason"], "maintenance window shell-1 (change CHG7)");
    assert!(host.incident_of("job-missing").await.is_none(), "nothing has left the host");
    assert!(host.maintenance(&["end", "shell-1"]).is_some());
    let incident = until("the incident after the window", || host.incident_of("job-missing")).await;
    assert_eq!(incident["links"]["change"], "CHG7");
    assert!(incident["breach_at"].as_str() < incident["raised_at"].as_str());
}

/// Rules that are false, pending, unknown and bind nothing, whatever this machine does.
const WHY: &str = "\
[[rule]]\nid = \"why-false\"\non = \"host\"\nraise = \"mem.total < 1B\"\nclear = \"mem.total > 1B\"
[[rule]]\nid = \"why-pending\"\non = \"host\"\nfor = \"1h\"\nraise = \"mem.total > 1B\"\nclear = \"mem.total < 1B\"
[[rule]]\nid = \"why-unknown\"\non = \"host\"\nraise = \"avg(cpu.busy, 10d) > 90%\"\nclear = \"cpu.busy < 1%\"
[[rule]]\nid = \"why-unbound\"\non = \"fs\"\nmatch = { mount = [\"/nowhere-*\"] }\nraise = \"fs.used > 1%\"\nclear = \"fs.used < 1%\"
";

#[tokio::test]
async fn explain_says_why_a_rule_is_raised_and_why_it_is_not() {
    let mut host = Host::start().await;
    std::fs::write(host.path("etc/rules.d/why.toml"), WHY).expect("rules");
    let judged = |host: &Host, rule: &str| Some(host.explained(&[rule])?["detail"]["judgement"].clone());
    let in_state = |host: &Host, rule: &str, state: &str| {
        judged(host, rule).filter(|judgement| judgement["state"] == state)
    };
    let ready = std::future::ready::<Option<Value>>;
    let pending = until("the pending rule", || ready(in_state(&host, "why-pending", "pending"))).await;
    assert_eq!(pending["steps"][0]["clock"]["of"], "for");
    assert_eq!(pending["steps"][0]["clock"]["needed"], 3600.0);
    let is_not = until("the false rule", || ready(in_state(&host, "why-false", "ok"))).await;
    let compared = &is_not["steps"][0]["raise"];
    assert_eq!((&compared["verdict"], &compared["unit"]), (&"false".into(), &"bytes".into()));
    assert!(compared["margin"]["by"].as_f64().is_some_and(|by| by > 0.0), "{compared}");
    let unknown = until("the unknown rule", || ready(in_state(&host, "why-unknown", "unknown"))).await;
    let why = unknown["verdict"].as_str().unwrap_or_default();
    assert!(why.contains("still warming up") && why.contains("of 10d"), "{why}");
    let nothing = || ready(host.explained(&["why-unbound"]).filter(|a| a["unbound_count"] != 0));
    let nothing = until("file systems that are not bound", nothing).await;
    assert_eq!(nothing["bound"], 0);
    let reason = nothing["unbound"][0]["why"].as_str().unwrap_or_default();
    assert!(reason.contains("match takes only mount = [\"/nowhere-*\"]"), "{reason}");
    let (code, text, _) = host.explain(&["why-unbound", "/"]);
    assert!(code == Some(0) && text.contains("NOT BOUND"), "{text}");
    host.kill_job();
    let incident = until("an incident", || host.incident_in("new")).await;
    let (code, text, _) = host.explain(&["job-missing"]);
    let number = incident["number"].as_str().unwrap_or_default();
    assert_eq!(code, Some(0));
    assert!(text.contains("RAISED critical since") && text.contains("proc.count 0 < 1"), "{text}");
    assert!(text.contains(number) && text.contains("between a raise and an incident"), "{text}");
    for (args, hint) in [
        (&["why-flase"][..], "did you mean the rule `why-false`?"),
        (&["job-missing", "nobody"], "knows no instance `nobody`; it is judged for proc{name="),
        (&["INC009999"], "no rule in force and no incident is called `INC009999`"),
        (&["job"], "rules with that in their name: job-missing"),
    ] {
        let (code, _, said) = host.explain(args);
        assert!(code == Some(1) && said.contains(hint), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn explain_tells_what_became_of_an_incident() {
    let mut host = Host::start().await;
    host.stop_desk();
    host.kill_job();
    until("an incident on the host", || async { host.open_here().filter(|n| *n == 1) }).await;
    let delivery = |host: &Host, wanted: &str| {
        let row = host.explained(&["INC000001"])?["deliveries"][0].clone();
        (row["destination"] == "desk" && row["state"] == wanted).then_some(row)
    };
    let failed = || {
        let row = delivery(&host, "pending").or(delivery(&host, "unknown"));
        std::future::ready(row.filter(|row| row["attempts"].as_u64() > Some(0)))
    };
    let failed = until("a failed attempt", failed).await;
    assert!(failed["last_error"].as_str().is_some_and(|why| !why.is_empty()), "{failed}");
    host.start_desk().await;
    let stored = until("its delivery", || std::future::ready(delivery(&host, "acked"))).await;
    assert_eq!(stored["rev"], stored["acked_rev"]);
    let whole = host.explained(&["INC000001"]).expect("the incident");
    assert_eq!((&whole["schema"], &whole["kind"]), (&"explain/1".into(), &"incident".into()));
    assert_eq!(whole["incident"]["rule"]["id"], "job-missing");
    assert_eq!(whole["rule"]["now"]["state"], "raised");
    let id = whole["incident"]["id"].as_str().unwrap_or_default().to_owned();
    for name in [&id, &id[..13], "inc000001", "INC1"] {
        assert_eq!(
            host.explained(&[name]).map(|a| a["incident"]["id"].clone()),
            Some(id.as_str().into()),
            "{name}"
        );
    }
    let (_, text, _) = host.explain(&["INC000001"]);
    for line in ["why it was raised", "proc.count 0 < 1", "impact 1 × urgency 2 by the matrix = P2", "ACKED"]
    {
        assert!(text.contains(line), "{line}:\n{text}");
    }
}

#[tokio::test]
async fn explain_names_the_window_that_keeps_a_raise() {
    let mut host = Host::start().await;
    assert!(host.maintenance(&["start", "--for", "1h", "--reason", "new disk"]).is_some());
    let hindrance = |host: &Host, effect: &str| {
        let all = host.explained(&["job-missing", host.job_name()])?["detail"]["suppression"].clone();
        all.as_array()?.iter().find(|h| h["effect"] == effect && h["kind"] == "maintenance").cloned()
    };
    until("the window that would keep it", || std::future::ready(hindrance(&host, "would"))).await;
    host.kill_job();
    let keeps = until("the window that keeps it", || std::future::ready(hindrance(&host, "keeps"))).await;
    assert!(keeps["text"].as_str().is_some_and(|text| text.contains("shell-1")), "{keeps}");
    let (_, text, _) = host.explain(&["job-missing"]);
    assert!(text.contains("but    no incident: kept since") && text.contains("KEEPS IT"), "{text}");
    assert!(host.maintenance(&["end", "shell-1"]).is_some());
    until("the incident after the window", || host.incident_of("job-missing")).await;
    let whole = host.explained(&["INC000001"]).expect("the incident");
    assert_eq!(whole["kept"][0]["window"], "shell-1", "{}", whole["kept"]);
}

#[tokio::test]
async fn explain_replays_a_past_moment_with_and_without_the_daemon() {
    let mut host = Host::start().await;
    let before = host.now().expect("the agent's clock");
    host.kill_job();
    until("an incident", || host.incident_in("new")).await;
    let etc = host.path("etc").display().to_string();
    let state = |host: &Host, at: &str| {
        let answer = host.explained(&["job-missing", host.job_name(), "--at", at, "--config", &etc])?;
        answer["detail"]["judgement"]["state"].as_str().map(str::to_owned)
    };
    assert_eq!(state(&host, &before).as_deref(), Some("ok"), "as it was");
    assert_eq!(state(&host, "now").as_deref(), Some("raised"), "what was seen within the last minute counts");
    assert_eq!(host.end_agent(), Some(0));
    let (code, _, said) = host.explain(&["job-missing"]);
    assert_eq!(code, Some(3), "no daemon to ask: {said}");
    assert_eq!(state(&host, "now").as_deref(), Some("raised"), "the history needs no daemon");
    let at = |at: &str| host.explain(&["job-missing", "--at", at, "--config", &etc]);
    let (_, text, _) = at("now");
    assert!(text.starts_with("As of 2") && text.contains("RAISED critical"), "{text}");
    for (time, code, why) in [
        ("2001-01-01T00:00:00Z", 2, "the history has no samples of that time; it has them from 2"),
        ("2199-01-01T00:00:00Z", 2, "lies in the future"),
        ("noonish", 2, "is no time: write 14:05"),
    ] {
        let (found, _, said) = at(time);
        assert!(found == Some(code) && said.contains(why), "{time}: {found:?} {said}");
    }
}
