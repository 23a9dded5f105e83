-- Administrators may suspend a user, and say what Supabase calls app_metadata.
ALTER TABLE users ADD COLUMN banned_until INTEGER;
ALTER TABLE users ADD COLUMN app_metadata TEXT NOT NULL DEFAULT '{}';

-- A code also goes out as a link, for a sign-in that may have begun with a challenge.
ALTER TABLE codes ADD COLUMN token_hash TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN challenge TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN challenge_method TEXT NOT NULL DEFAULT '';
CREATE INDEX codes_by_hash ON codes (token_hash);

-- Sums of usage, kept by the triggers below: a report reads them, not every chat there ever was.
CREATE TABLE usage_minutes (
    minute INTEGER PRIMARY KEY,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    broken INTEGER NOT NULL
) STRICT;

CREATE TABLE usage_users (
    hour INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    broken INTEGER NOT NULL,
    -- By user first: sums of a user stand together, and need no sorting.
    PRIMARY KEY (user_id, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_models (
    hour INTEGER NOT NULL,
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    broken INTEGER NOT NULL,
    PRIMARY KEY (model, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_sessions (
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    broken INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_sessions_by_time ON usage_sessions (last_used);

INSERT INTO usage_minutes
    SELECT created_at / 60000, count(*), sum(input_tokens), sum(output_tokens), sum(cost_nanos),
        sum(outcome IN ('truncated', 'aborted', 'failed')) FROM usage GROUP BY 1;
INSERT INTO usage_users
    SELECT created_at / 3600000, user_id, count(*), sum(input_tokens), sum(output_tokens), sum(cost_nanos),
        sum(outcome IN ('truncated', 'aborted', 'failed')) FROM usage GROUP BY 1, 2;
INSERT INTO usage_models
    SELECT created_at / 3600000, model, count(*), sum(input_tokens), sum(output_tokens), sum(cost_nanos),
        sum(outcome IN ('truncated', 'aborted', 'failed')) FROM usage GROUP BY 1, 2;
INSERT INTO usage_sessions
    SELECT user_id, session_id, count(*), sum(input_tokens), sum(output_tokens), sum(cost_nanos),
        sum(outcome IN ('truncated', 'aborted', 'failed')), max(created_at) FROM usage GROUP BY 1, 2;

CREATE TRIGGER usage_is_summed AFTER INSERT ON usage BEGIN
    INSERT INTO usage_minutes VALUES (NEW.created_at / 60000, 1, NEW.input_tokens, NEW.output_tokens, NEW.cost_nanos,
        NEW.outcome IN ('truncated', 'aborted', 'failed'))
        ON CONFLICT (minute) DO UPDATE SET requests = requests + 1, input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens, cost_nanos = cost_nanos + excluded.cost_nanos,
        broken = broken + excluded.broken;
    INSERT INTO usage_users VALUES (NEW.created_at / 3600000, NEW.user_id, 1, NEW.input_tokens, NEW.output_tokens,
        NEW.cost_nanos, NEW.outcome IN ('truncated', 'aborted', 'failed'))
        ON CONFLICT (user_id, hour) DO UPDATE SET requests = requests + 1,
        input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
        cost_nanos = cost_nanos + excluded.cost_nanos, broken = broken + excluded.broken;
    INSERT INTO usage_models VALUES (NEW.created_at / 3600000, NEW.model, 1, NEW.input_tokens, NEW.output_tokens,
        NEW.cost_nanos, NEW.outcome IN ('truncated', 'aborted', 'failed'))
        ON CONFLICT (model, hour) DO UPDATE SET requests = requests + 1,
        input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
        cost_nanos = cost_nanos + excluded.cost_nanos, broken = broken + excluded.broken;
    INSERT INTO usage_sessions VALUES (NEW.user_id, NEW.session_id, 1, NEW.input_tokens, NEW.output_tokens,
        NEW.cost_nanos, NEW.outcome IN ('truncated', 'aborted', 'failed'), NEW.created_at)
        ON CONFLICT (user_id, session_id) DO UPDATE SET requests = requests + 1,
        input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,
        cost_nanos = cost_nanos + excluded.cost_nanos, broken = broken + excluded.broken, last_used = max(last_used, excluded.last_used);
END;
