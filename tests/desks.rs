//! Forwarding to products that cannot run here: servers that behave as the products are documented, traps
//! included, under the real pump and the real store.
//!
//! `world` is the harness; each product is one file with its server and its tests. The smallest example is
//! `own`, sexton's own desk.

#[path = "desks/alertmanager.rs"]
mod alertmanager;
#[path = "desks/glpi.rs"]
mod glpi;
#[path = "desks/itop.rs"]
mod itop;
#[path = "desks/jira.rs"]
mod jira;
#[path = "desks/opsgenie.rs"]
mod opsgenie;
#[path = "desks/own.rs"]
mod own;
#[path = "desks/pagerduty.rs"]
mod pagerduty;
#[path = "desks/schemas.rs"]
mod schemas;
#[path = "desks/servicenow.rs"]
mod servicenow;
#[path = "desks/webhook.rs"]
mod webhook;
#[path = "desks/world.rs"]
mod world;
#[path = "desks/zammad.rs"]
mod zammad;
#[path = "desks/znuny.rs"]
mod znuny;
