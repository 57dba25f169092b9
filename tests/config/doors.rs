//! Doors as the tests write them: one option of every kind.

use sexton::config::Doors;
use sexton::engine::option::{DoorSpec, OptionKind, OptionSpec};

const fn option(key: &'static str, kind: OptionKind, about: &'static str) -> OptionSpec {
    OptionSpec { key, kind, about }
}

const fn plain(kind: &'static str, signals: &'static [&'static str]) -> DoorSpec {
    DoorSpec { kind, about: "", options: &[], signals }
}

static CPU: DoorSpec = plain("cpu", &["cpu.busy"]);
static NET: DoorSpec = plain("net", &["net.rx"]);
static FS: DoorSpec = DoorSpec {
    kind: "fs",
    about: "",
    options: &[
        option("exclude", OptionKind::List(&["/run*"]), "mounts that are left out"),
        option("deadline", OptionKind::Duration(2_000_000_000), "longest wait for one mount"),
    ],
    signals: &["fs.used"],
};
static PROC: DoorSpec = DoorSpec {
    kind: "proc",
    about: "",
    options: &[option("watch", OptionKind::List(&[]), "names of processes")],
    signals: &["proc.count"],
};
static TCP: DoorSpec = DoorSpec {
    kind: "tcp",
    about: "",
    options: &[option("address", OptionKind::RequiredText, "host:port to connect to")],
    signals: &["check.up"],
};
static HTTP: DoorSpec = DoorSpec {
    kind: "http",
    about: "",
    options: &[
        option("url", OptionKind::RequiredText, "what is asked for, https://host/path"),
        option("method", OptionKind::Choice(&["GET", "HEAD"]), "request method"),
        option("status", OptionKind::Int(200, 100, 599), "expected status"),
        option("verify", OptionKind::Bool(true), "check the certificate"),
    ],
    signals: &["check.up"],
};
static RT: DoorSpec = DoorSpec {
    kind: "rt",
    about: "",
    options: &[
        option("url", OptionKind::RequiredText, "address of the API, https://host/REST/2.0"),
        option("token", OptionKind::RequiredSecret, "where the access token is read"),
        option("proxy", OptionKind::Text(None), "HTTP proxy"),
        option("map", OptionKind::Map, "names used at this RT"),
    ],
    signals: &[],
};
static DESK: DoorSpec = DoorSpec {
    kind: "desk",
    about: "",
    options: &[
        option("url", OptionKind::RequiredText, "address of the desk"),
        option("token", OptionKind::RequiredSecret, "where the access token is read"),
    ],
    signals: &[],
};

/// All of them.
pub fn doors() -> Doors {
    Doors {
        collectors: vec![&CPU, &FS, &NET, &PROC],
        checks: vec![&TCP, &HTTP],
        connectors: vec![&RT, &DESK],
    }
}
