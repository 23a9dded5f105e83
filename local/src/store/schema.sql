-- Times are milliseconds since the Unix epoch; ids are UUIDs as text.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL UNIQUE,
    pkcs8 BLOB NOT NULL
) STRICT;

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    -- NULL for an anonymous user.
    email TEXT UNIQUE,
    password_hash TEXT,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_sign_in_at INTEGER
) STRICT;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    parent TEXT,
    revoked INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

CREATE TABLE profiles (
    id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    plan TEXT
) STRICT;

CREATE TABLE usage (
    request_id TEXT PRIMARY KEY,
    -- No reference to users: tokens can be minted for anybody.
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    -- Billionths of a US dollar, so that sums are exact.
    cost_nanos INTEGER NOT NULL,
    source TEXT NOT NULL,
    outcome TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_of_user ON usage (user_id, created_at);
