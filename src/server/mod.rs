//! The companion server module: verifies who is signed in and mints the gateway token.
