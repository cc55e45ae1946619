-- The schema of release 0.1.0, as it made it.

CREATE TABLE abloop_schema (
    version BIGINT NOT NULL,
    PRIMARY KEY (version)
);

CREATE TABLE abloop_blueprints (
    strategy TEXT NOT NULL,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (strategy, version)
);

CREATE TABLE abloop_allocations (
    strategy TEXT NOT NULL,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (strategy, version)
);

CREATE TABLE abloop_servings (
    id SERIAL NOT NULL,
    strategy TEXT NOT NULL,
    version BIGINT NOT NULL,
    phase TEXT NOT NULL,
    release TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_abloop_servings_strategy ON abloop_servings (strategy);

CREATE TABLE abloop_artefacts (
    name TEXT NOT NULL,
    body BYTEA NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE abloop_verdicts (
    id SERIAL NOT NULL,
    strategy TEXT NOT NULL,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_abloop_verdicts_strategy ON abloop_verdicts (strategy);

CREATE TABLE abloop_segments (
    name TEXT NOT NULL,
    shipped BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE abloop_decisions (
    strategy TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    body BYTEA,
    PRIMARY KEY (strategy, decision_id)
);

CREATE INDEX abloop_decisions_waiting ON abloop_decisions (strategy, version, at) WHERE body IS NOT NULL;

CREATE TABLE abloop_observations (
    strategy TEXT NOT NULL,
    record TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    name TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (strategy, record)
);

CREATE INDEX abloop_observations_decision ON abloop_observations (strategy, decision_id);

CREATE TABLE abloop_files (
    name TEXT NOT NULL,
    strategy TEXT NOT NULL,
    version BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    observed TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name)
);

CREATE INDEX ix_abloop_files_strategy ON abloop_files (strategy);

CREATE TABLE abloop_comparisons (
    id SERIAL NOT NULL,
    strategy TEXT NOT NULL,
    entries TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_abloop_comparisons_strategy ON abloop_comparisons (strategy);

CREATE TABLE abloop_sticky (
    strategy TEXT NOT NULL,
    unit TEXT NOT NULL,
    arm TEXT NOT NULL,
    propensity DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (strategy, unit)
);

CREATE TABLE abloop_entities (
    strategy TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    key TEXT NOT NULL,
    entity TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (strategy, decision_id, key)
);

CREATE INDEX ix_abloop_entities_at ON abloop_entities (at);

CREATE TABLE abloop_tallies (
    strategy TEXT NOT NULL,
    key TEXT NOT NULL,
    entity TEXT NOT NULL,
    metric TEXT NOT NULL,
    resolution BIGINT NOT NULL,
    bucket BIGINT NOT NULL,
    count BIGINT NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    last DOUBLE PRECISION NOT NULL,
    last_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (strategy, key, entity, metric, resolution, bucket)
);

CREATE INDEX abloop_tallies_old ON abloop_tallies (resolution, bucket);

INSERT INTO abloop_schema (version) VALUES (1);
