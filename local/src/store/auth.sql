-- Who vouched for the address: email, or the name of a provider.
ALTER TABLE users ADD COLUMN provider TEXT NOT NULL DEFAULT 'email';

-- One sign-in code per address.
CREATE TABLE codes (
    email TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    metadata TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
) STRICT;

-- Sign-ins through a provider that wait for the page to prove that it began them.
CREATE TABLE flows (
    auth_code TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    challenge TEXT NOT NULL,
    method TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
