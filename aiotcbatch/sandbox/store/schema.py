"""
The tables of a sandbox's database. What stands here is documented: read it with any SQLite tool.

What hangs on an entity stands in its row, as JSON, so that an entity is written as one row; views
show it as tables.

Times are seconds since the epoch (REAL) where the sandbox sets them, and ISO 8601 text in UTC where
a client sent them.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "TABLES", "VERSION"]

#: Stands in ``PRAGMA user_version``; a file of another version is refused.
VERSION = 4

SCHEMA = """
-- What must survive a restart and is no row of anything else: 'next_entity' and
-- 'next_attribute', the ids that are given out next.
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
    date_added    REAL NOT NULL,
    last_modified REAL NOT NULL,
    fields        TEXT NOT NULL DEFAULT '{}',  -- JSON: everything else that the type has
    tags          TEXT NOT NULL,     -- JSON array of names
    labels        TEXT NOT NULL,     -- JSON array of names
    attributes    TEXT NOT NULL,     -- JSON array of what the view 'attribute' shows
    occurrences   TEXT NOT NULL DEFAULT '[]'   -- JSON array: file name, path and date of each
);
CREATE UNIQUE INDEX entity_identity ON entity (owner_id, identity);

-- Each hash, lower case, of each File that has several: a hash belongs to one File of an owner.
-- That of a File with a single one stands in its identity, and so needs no row here.
CREATE TABLE multi_hash (
    owner_id  INTEGER NOT NULL,
    hash      TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    PRIMARY KEY (owner_id, hash)
) WITHOUT ROWID;

CREATE VIEW file_hash AS
SELECT owner_id, hash, entity_id FROM multi_hash
UNION ALL
SELECT owner_id, substr(identity, length('File:') + 1), id FROM entity
WHERE type = 'File' AND instr(identity, ' : ') = 0;

CREATE VIEW file_occurrence AS
SELECT
    entity.id AS entity_id,
    json_extract(one.value, '$[0]') AS file_name,
    json_extract(one.value, '$[1]') AS path,
    json_extract(one.value, '$[2]') AS date
FROM entity, json_each(entity.occurrences) AS one;

-- Those that are false or NULL do not stand in the JSON.
CREATE VIEW attribute AS
SELECT
    json_extract(one.value, '$.id') AS id,
    entity.id AS entity_id,
    json_extract(one.value, '$.type') AS type,
    json_extract(one.value, '$.value') AS value,
    json_extract(one.value, '$.displayed') IS 1 AS displayed,
    json_extract(one.value, '$.pinned') IS 1 AS pinned,
    json_extract(one.value, '$.source') AS source,
    json_extract(one.value, '$.labels') AS labels,  -- JSON array of label names
    json_extract(one.value, '$.date_added') AS date_added
FROM entity, json_each(entity.attributes) AS one;

-- Every tag that was ever on an entity of its owner.
CREATE TABLE tag (
    id       INTEGER PRIMARY KEY,
    owner_id INTEGER NOT NULL,
    name     TEXT NOT NULL,
    UNIQUE (owner_id, name)
);

CREATE VIEW entity_tag AS
SELECT entity.id AS entity_id, tag.id AS tag_id
FROM entity, json_each(entity.tags) AS one
JOIN tag ON tag.owner_id = entity.owner_id AND tag.name = one.value;

-- Security labels. Those that every owner has belong to owner 0.
CREATE TABLE label (
    id          INTEGER PRIMARY KEY,
    owner_id    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    description TEXT,
    color       TEXT,
    UNIQUE (owner_id, name)
);

CREATE VIEW entity_label AS
SELECT entity.id AS entity_id, (
    SELECT label.id FROM label
    WHERE label.owner_id IN (0, entity.owner_id) AND label.name = one.value
    ORDER BY label.owner_id LIMIT 1
) AS label_id
FROM entity, json_each(entity.labels) AS one;

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
    "label",
    "tag",
    "multi_hash",
    "entity",
    "job_error",
    "job_body",
    "job",
    "owner",
    "meta",
)
