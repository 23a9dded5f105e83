-- Administrators may give a user another role.
ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'authenticated';
