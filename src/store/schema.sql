-- Version 1. Times are i64 nanoseconds UTC; flags are 0 or 1. See docs/store.md.
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;

CREATE TABLE state (
    kind TEXT NOT NULL,
    key  TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT;

CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY,
    destination   TEXT NOT NULL,
    record        TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('incident', 'problem', 'link')),
    state         TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'acked', 'unknown', 'parked')),
    due           INTEGER,
    rank          INTEGER NOT NULL,
    priority      INTEGER NOT NULL,
    queued        INTEGER NOT NULL,
    rev           INTEGER NOT NULL,
    over          INTEGER NOT NULL,
    body          INTEGER,
    acked_rev     INTEGER NOT NULL DEFAULT 0,
    acked_over    INTEGER NOT NULL DEFAULT 0,
    remote_id     TEXT,
    created_at    INTEGER NOT NULL,
    settled_at    INTEGER,
    op            TEXT CHECK (op IN ('create', 'update', 'resolve', 'reopen', 'link')),
    op_key        TEXT,
    op_rev        INTEGER,
    op_over       INTEGER,
    op_body       INTEGER,
    sent          INTEGER NOT NULL DEFAULT 0,
    maybe         INTEGER NOT NULL DEFAULT 0,
    attempts      INTEGER NOT NULL DEFAULT 0,
    last_error    TEXT,
    link_incident TEXT,
    link_problem  TEXT,
    bytes         INTEGER NOT NULL,
    UNIQUE (destination, record)
) STRICT;

CREATE INDEX outbox_order ON outbox (destination, rank, priority, queued, due) WHERE due IS NOT NULL;
CREATE INDEX outbox_due ON outbox (destination, due) WHERE due IS NOT NULL;
CREATE INDEX outbox_sending ON outbox (id) WHERE state = 'sending';
CREATE INDEX outbox_parked ON outbox (id) WHERE state = 'parked';
CREATE INDEX outbox_acked ON outbox (settled_at) WHERE state = 'acked';
CREATE INDEX outbox_blocked ON outbox (created_at) WHERE state = 'pending' AND due IS NULL;
CREATE INDEX outbox_updates ON outbox (priority, queued) WHERE rank = 1 AND op IS NULL AND due IS NOT NULL;
CREATE INDEX outbox_unsent ON outbox (priority, queued) WHERE sent = 0;
CREATE INDEX outbox_link_incident ON outbox (destination, link_incident) WHERE link_incident IS NOT NULL;
CREATE INDEX outbox_link_problem ON outbox (destination, link_problem) WHERE link_problem IS NOT NULL;

CREATE TABLE outbox_body (
    id   INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE outbox_dropped (
    destination TEXT NOT NULL,
    record      TEXT NOT NULL,
    at          INTEGER NOT NULL,
    by_hand     INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    PRIMARY KEY (destination, record)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows and bytes of the outbox by destination and state, kept by triggers: nothing ever counts the outbox.
CREATE TABLE tally (
    destination TEXT NOT NULL,
    state       TEXT NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (destination, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER outbox_inserted AFTER INSERT ON outbox BEGIN
    INSERT INTO tally VALUES (new.destination, new.state, 1, new.bytes)
    ON CONFLICT DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER outbox_changed AFTER UPDATE OF state, bytes ON outbox
WHEN old.state <> new.state OR old.bytes <> new.bytes BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - old.bytes
    WHERE destination = old.destination AND state = old.state;
    INSERT INTO tally VALUES (new.destination, new.state, 1, new.bytes)
    ON CONFLICT DO UPDATE SET rows = rows + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER outbox_deleted AFTER DELETE ON outbox BEGIN
    UPDATE tally SET rows = rows - 1, bytes = bytes - old.bytes
    WHERE destination = old.destination AND state = old.state;
END;
