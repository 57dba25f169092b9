-- incident and problem have the same shape: what is searched and sorted by, then the JSON as it came.
-- Times are i64 nanoseconds UTC. `received_at` is the desk's own clock.
CREATE TABLE incident (
    host        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    rev         INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    open        INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    until       INTEGER,
    weight      REAL    NOT NULL,
    received_at INTEGER NOT NULL,
    summary     TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (host, id)
);
CREATE INDEX incident_open ON incident (priority, since) WHERE open = 1;
CREATE INDEX incident_over ON incident (until) WHERE open = 0;
CREATE INDEX incident_id ON incident (id);

CREATE TABLE problem (
    host        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    rev         INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    open        INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    until       INTEGER,
    weight      REAL    NOT NULL,
    received_at INTEGER NOT NULL,
    summary     TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (host, id)
);
CREATE INDEX problem_weight ON problem (open, weight);
CREATE INDEX problem_id ON problem (id);

CREATE TABLE link (
    host        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    incident    TEXT    NOT NULL,
    problem     TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (host, id)
);
CREATE INDEX link_incident ON link (host, incident);
CREATE INDEX link_problem ON link (host, problem);

-- `heard_at` is when anything last came from the host, by the desk's clock;
-- `heartbeat_at` is the newest heartbeat's own stamp.
CREATE TABLE host (
    id           TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    first_at     INTEGER NOT NULL,
    heard_at     INTEGER NOT NULL,
    heartbeat_at INTEGER,
    interval     INTEGER,
    version      TEXT,
    body         TEXT
);
CREATE INDEX host_heard ON host (heard_at);

-- Every stored event but heartbeats, newest kept: what a page that was away for a moment asks for.
CREATE TABLE event (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    event       TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    host        TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    rev         INTEGER NOT NULL,
    received_at INTEGER NOT NULL
);
