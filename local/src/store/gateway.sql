-- Threads of the gateway, by user.
CREATE TABLE threads (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_message_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) STRICT;

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    -- The message as it goes to the model, in JSON.
    message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    FOREIGN KEY (user_id, thread_id) REFERENCES threads (user_id, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX messages_of_thread ON messages (user_id, thread_id, id);

-- What may be spent. An empty subject is the rule for every user or session that has no row of its own.
CREATE TABLE budgets (
    scope TEXT NOT NULL CHECK (scope IN ('project', 'user', 'session')),
    subject TEXT NOT NULL,
    tokens INTEGER,
    cost_nanos INTEGER,
    PRIMARY KEY (scope, subject)
) STRICT;

-- Sums of all usage rows: of the project (both empty), of a user (no session), of a session.
CREATE TABLE spent (
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    PRIMARY KEY (user_id, session_id)
) STRICT;
INSERT INTO spent
    SELECT '', '', coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_nanos), 0) FROM usage
    UNION ALL
    SELECT user_id, '', sum(input_tokens + output_tokens), sum(cost_nanos) FROM usage GROUP BY user_id
    UNION ALL
    SELECT user_id, session_id, sum(input_tokens + output_tokens), sum(cost_nanos) FROM usage GROUP BY user_id, session_id;

-- Chats that are running, with the most they may still spend. Emptied at the start: a chat does not outlive its server.
CREATE TABLE reservations (
    request_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    model TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE days (
    user_id TEXT NOT NULL,
    -- Days since the Unix epoch, in UTC.
    day INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    PRIMARY KEY (user_id, day)
) STRICT;

-- Keys that mint over HTTP, beside the first one in the settings. Only their hashes are kept.
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- Public halves of keys with which servers sign gateway tokens themselves.
CREATE TABLE tenant_keys (
    kid TEXT PRIMARY KEY,
    jwk TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE INDEX usage_by_time ON usage (created_at);

-- Rotation keeps older keys until their tokens have expired: an algorithm has several keys, the newest signs.
CREATE TABLE rotating_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kid TEXT NOT NULL UNIQUE,
    algorithm TEXT NOT NULL,
    pkcs8 BLOB NOT NULL
) STRICT;
INSERT INTO rotating_keys (kid, algorithm, pkcs8) SELECT kid, algorithm, pkcs8 FROM signing_keys;
DROP TABLE signing_keys;
ALTER TABLE rotating_keys RENAME TO signing_keys;
