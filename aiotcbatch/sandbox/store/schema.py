"""
The tables of a sandbox's database. What stands here is documented: read it with any SQLite tool.

Times are seconds since the epoch (REAL) where the sandbox sets them, and ISO 8601 text in UTC where
a client sent them.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "TABLES", "VERSION"]

#: Stands in ``PRAGMA user_version``; a file of another version is refused.
VERSION = 2

SCHEMA = """
-- What must survive a restart and is no row of anything else: 'next_id', 'next_job'.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Organizations, communities and sources. Data belongs to exactly one of them.
CREATE TABLE owner (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL
);

-- Batch jobs. 'inline' is 1 when createAndUpload answered with the result and without an id.
CREATE TABLE job (
    id           INTEGER PRIMARY KEY,
    owner        TEXT NOT NULL,
    config       TEXT NOT NULL,      -- JSON as the client sent it
    inline       INTEGER NOT NULL DEFAULT 0,
    state        TEXT NOT NULL,      -- Created, Queued, Running, Completed
    created      REAL NOT NULL,
    queued       REAL,
    started      REAL,
    completed    REAL,
    body_size    INTEGER,            -- bytes of its document
    position     INTEGER NOT NULL DEFAULT 0,  -- entities and associations that are done
    counts       TEXT NOT NULL DEFAULT '{}'   -- JSON: what became of its entities
);
CREATE INDEX job_waiting ON job (id) WHERE state IN ('Queued', 'Running');

-- Documents of jobs, byte by byte; those that are not kept any more have no row, and no room
-- either: as columns of a job they would leave all that they took in one page behind.
CREATE TABLE job_body (
    job_id    INTEGER PRIMARY KEY,
    body      BLOB,                  -- when it is small
    body_file TEXT                   -- else the name of a file in the spool directory
);

-- What went wrong in a job, in the order in which it was met.
CREATE TABLE job_error (
    job_id   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    section  TEXT NOT NULL,          -- group, indicator, association, or '' for the whole document
    position INTEGER NOT NULL,       -- index in that section
    code     TEXT NOT NULL,          -- 0x1001 ...
    severity TEXT NOT NULL,          -- Error, Warning, Info
    reason   TEXT NOT NULL,
    source   TEXT NOT NULL,
    message  TEXT NOT NULL,
    xid      TEXT,
    PRIMARY KEY (job_id, seq)
) WITHOUT ROWID;

-- Groups (kind 'G') and indicators (kind 'I').
CREATE TABLE entity (
    id            INTEGER PRIMARY KEY,
    owner_id      INTEGER NOT NULL,
    identity      TEXT NOT NULL,     -- '@' and the xid of a group; 'Type:key' of an indicator
    kind          TEXT NOT NULL,
    type          TEXT NOT NULL,
    xid           TEXT,
    summary       TEXT NOT NULL,     -- name of a group, summary of an indicator
    rating        REAL,
    confidence    INTEGER,
    active        INTEGER,
    fields        TEXT NOT NULL,     -- JSON: everything else that the type has
    date_added    REAL NOT NULL,
    last_modified REAL NOT NULL
);
CREATE UNIQUE INDEX entity_identity ON entity (owner_id, identity);

-- Each hash of each File, lower case. A hash belongs to one File of an owner.
CREATE TABLE file_hash (
    owner_id  INTEGER NOT NULL,
    hash      TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    PRIMARY KEY (owner_id, hash)
) WITHOUT ROWID;

CREATE TABLE file_occurrence (
    id        INTEGER PRIMARY KEY,
    entity_id INTEGER NOT NULL,
    file_name TEXT,
    path      TEXT,
    date      TEXT
);
CREATE INDEX file_occurrence_entity ON file_occurrence (entity_id);

CREATE TABLE attribute (
    id         INTEGER PRIMARY KEY,
    entity_id  INTEGER NOT NULL,
    type       TEXT NOT NULL,
    value      TEXT NOT NULL,
    displayed  INTEGER NOT NULL,
    pinned     INTEGER NOT NULL,
    source     TEXT,
    labels     TEXT,                 -- JSON array of label names, NULL for none
    date_added REAL NOT NULL
);
CREATE INDEX attribute_entity ON attribute (entity_id);

CREATE TABLE tag (
    id       INTEGER PRIMARY KEY,
    owner_id INTEGER NOT NULL,
    name     TEXT NOT NULL,
    UNIQUE (owner_id, name)
);

CREATE TABLE entity_tag (
    entity_id INTEGER NOT NULL,
    tag_id    INTEGER NOT NULL,
    PRIMARY KEY (entity_id, tag_id)
) WITHOUT ROWID;

-- Security labels. Those that every owner has belong to owner 0.
CREATE TABLE label (
    id          INTEGER PRIMARY KEY,
    owner_id    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    color       TEXT,
    UNIQUE (owner_id, name)
);

CREATE TABLE entity_label (
    entity_id INTEGER NOT NULL,
    label_id  INTEGER NOT NULL,
    PRIMARY KEY (entity_id, label_id)
) WITHOUT ROWID;

-- Links between two entities; the lower id stands first. 'type' is '' unless both are indicators.
CREATE TABLE association (
    low        INTEGER NOT NULL,
    high       INTEGER NOT NULL,
    type       TEXT NOT NULL,
    PRIMARY KEY (low, high, type)
) WITHOUT ROWID;
CREATE INDEX association_high ON association (high);

-- Contents of Documents and Reports.
CREATE TABLE content (
    entity_id INTEGER PRIMARY KEY,
    size      INTEGER NOT NULL,
    sha256    TEXT NOT NULL,
    body      BLOB,                  -- when it is small
    body_file TEXT,                  -- else the name of a file in the spool directory
    uploaded  REAL NOT NULL
);
"""

#: All tables, children before what they point to.
TABLES = (
    "content",
    "association",
    "entity_label",
    "label",
    "entity_tag",
    "tag",
    "attribute",
    "file_occurrence",
    "file_hash",
    "entity",
    "job_error",
    "job_body",
    "job",
    "owner",
    "meta",
)
