//! Connector `jira`: issues of Jira Service Management and Jira Software, Cloud (API 3) and Data Center
//! (API 2).
//!
//! An incident is an issue, a problem candidate an issue of another type, a link an issue link between them.
//! Record key and alert key are labels, because a search finds nothing else without an app; the search lags
//! behind what was written by up to minutes. States are ways: a transition is chosen by the category of where
//! it leads, unless the map names it. The conversation is the one of all ticket desks ([`super::tickets`]).

mod adf;
mod hello;
mod issue;
mod product;

use std::time::Duration;

use super::login::{ANY_TOKEN, BEARER, OAUTH_CLIENT, OAUTH_SCOPE, OAUTH_SECRET, OAUTH_URL, PASSWORD, USER};
use super::names::Names;
use super::talk::Talk;
use super::{CA, Connector, Exchange, Login, MAP, Next, PROXY, Target, URL, WireKind};
use crate::engine::effect::{Held, Job};
use crate::engine::option::{DoorSpec, OptionKind, OptionSpec, Options};
use product::Issues;

/// The ways to log in: mail address and API token (Cloud), an access token (Data Center), OAuth 2.0.
const LOGINS: &[Login] = &[Login::Basic, BEARER, Login::OAuth2];

/// Defaults of the option `map`: those of a service project made from the template for IT.
const DEFAULTS: &[(&str, &str)] = &[
    ("type.incident", "[System] Incident"),
    ("type.problem", "[System] Problem"),
    ("project.problem", ""),
    ("priority.p1", "Highest"),
    ("priority.p2", "High"),
    ("priority.p3", "Medium"),
    ("priority.p4", "Low"),
    ("priority.p5", "Lowest"),
    ("transition.in_progress", ""),
    ("transition.on_hold", "Pending"),
    ("transition.resolved", ""),
    ("transition.cancelled", ""),
    ("transition.reopen", ""),
    ("status.on_hold", "Pending, On hold, Waiting for customer, Waiting for support, Blocked"),
    ("status.cancelled", "Canceled, Cancelled, Declined, Rejected, Won't do"),
    ("status.closed", "Closed"),
    ("resolution", "Done"),
    ("link", "Problem/Incident"),
    ("label", "sexton"),
];

/// The connector.
pub const CONNECTOR: Connector = Connector {
    door: DoorSpec {
        kind: "jira",
        about: "Jira Service Management and Jira Software: issues, linked",
        options: &[
            URL,
            OptionSpec {
                key: "project",
                kind: OptionKind::RequiredText,
                about: "key of the project that takes the issues, as OPS in OPS-123",
            },
            OptionSpec {
                key: "api",
                kind: OptionKind::Choice(&["3", "2"]),
                about: "3 for Jira Cloud, 2 for Jira Data Center",
            },
            OptionSpec {
                key: "search_lag",
                kind: OptionKind::Duration(0),
                about: "how long the search may not show what was written; default 5m for Cloud, 30s for Data Center",
            },
            USER,
            PASSWORD,
            ANY_TOKEN,
            OAUTH_URL,
            OAUTH_CLIENT,
            OAUTH_SECRET,
            OAUTH_SCOPE,
            MAP,
            PROXY,
            CA,
        ],
        signals: &[],
        check,
    },
    wire: WireKind::Http,
    logins: LOGINS,
    batch: 1,
    concurrency: 2,
    hello: Some(hello),
    heartbeat: None,
    next,
    read: Some(read),
    read_batch: 50,
};

fn check(options: &Options) -> Result<(), String> {
    Login::choose(LOGINS, options)?;
    Names::check(options, DEFAULTS, &["set."])?;
    let project = options.text("project");
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !project.is_empty() && !project.chars().all(plain) {
        return Err(format!(
            "project '{project}' is no project key: letters, digits and _, as OPS in OPS-123"
        ));
    }
    Ok(())
}

fn issues(target: &Target) -> Issues<'_> {
    Issues {
        names: Names::of(&target.options, DEFAULTS),
        project: target.options.text("project"),
        cloud: target.options.text("api") != "2",
        lag: Duration::from_nanos(target.options.duration("search_lag").unsigned_abs()),
    }
}

fn hello(target: &Target, exchanges: &[Exchange]) -> Next {
    hello::hello(&issues(target), &mut Talk::new(exchanges, false))
}

fn next(target: &Target, jobs: &[Job], exchanges: &[Exchange]) -> Next {
    super::tickets::next(&issues(target), target, jobs, exchanges)
}

fn read(target: &Target, held: &[Held], exchanges: &[Exchange]) -> Next {
    let all = issues(target).remotes(&mut Talk::new(exchanges, false), held);
    all.map_or_else(|next| next, Next::Done)
}

#[cfg(test)]
mod tests;
