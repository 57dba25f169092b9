-- Version 1. Times are i64 nanoseconds; see docs/history.md.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE instance (
    id     INTEGER PRIMARY KEY,
    key    TEXT NOT NULL UNIQUE,
    class  TEXT NOT NULL,
    labels TEXT NOT NULL
) STRICT;

CREATE TABLE series (
    id       INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    metric   TEXT NOT NULL,
    segment  INTEGER NOT NULL,
    rollup   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (instance, metric)
) STRICT;

CREATE TABLE recent (
    id      INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL,
    ahead   INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    sum     INTEGER NOT NULL,
    body    BLOB NOT NULL
) STRICT;

CREATE TABLE segment (
    id      INTEGER PRIMARY KEY,
    kind    INTEGER NOT NULL,
    run     INTEGER NOT NULL,
    ahead   INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    samples INTEGER NOT NULL,
    sum     INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT;

CREATE TABLE stamps (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE chunk (
    id     INTEGER PRIMARY KEY,
    stamps INTEGER NOT NULL,
    body   BLOB NOT NULL
) STRICT;
