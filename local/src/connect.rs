//! What an app needs to connect: addresses, keys, and the first lines of code. For the terminal and the dashboard.

use crate::servers::shared::Shared;
use crate::servers::supabase::FUNCTION_NAME;

/// See the module.
pub(crate) struct Connect<'a> {
    /// What a page may know: names and values.
    pub(crate) public: [(&'static str, &'a str); 4],
    /// What servers alone may know.
    pub(crate) secret: [(&'static str, &'a str); 2],
    /// The first lines, by language.
    pub(crate) code: [(&'static str, String); 3],
}

impl<'a> Connect<'a> {
    pub(crate) fn to(shared: &'a Shared) -> Self {
        let (supabase, gateway, identity) = (&shared.supabase_url, &shared.gateway_url, &shared.identity);
        let key = &identity.publishable_key;
        let javascript = format!(
            "import {{ createClient as createSupabase }} from \"@supabase/supabase-js\";\n\
             import {{ createClient }} from \"behest-client\";\n\n\
             const supabase = createSupabase(\"{supabase}\", \"{key}\");\n\
             const behest = createClient({{ supabase, behestUrl: \"{gateway}\" }});\n\
             await supabase.auth.signInWithPassword({{ email: \"demo@example.com\", password: \"…\" }});\n\
             console.log(await behest.ask(\"Hi!\"));\n"
        );
        let rust = format!(
            "use behest_client::{{Client, auth::Supabase}}; // with the feature `auth`\n\n\
             let supabase = Supabase::new(\"{supabase}\", \"{key}\")?;\n\
             let client = Client::builder(\"{gateway}\").supabase(&supabase, \"{FUNCTION_NAME}\").build()?;\n\
             supabase.sign_in_with_password(\"demo@example.com\", \"…\").await?;\n\
             println!(\"{{}}\", client.ask(\"Hi!\").await?);\n"
        );
        let curl = format!(
            "# BEHEST_KEY is the gateway API key.\n\
             TOKEN=$(curl -s {gateway}/v1/auth/mint -H \"Authorization: Bearer $BEHEST_KEY\" \\\n  \
             -d '{{\"user_id\":\"me\"}}' | sed 's/.*\"jwt\":\"\\([^\"]*\\).*/\\1/')\n\
             curl {gateway}/v1/chat/completions -H \"Authorization: Bearer $TOKEN\" \\\n  \
             -d '{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hi!\"}}]}}'\n"
        );
        Self {
            public: [
                ("Supabase URL", supabase),
                ("Publishable key", key),
                ("Gateway URL", gateway),
                ("Token function", FUNCTION_NAME),
            ],
            secret: [
                ("Supabase secret key", identity.secret_key.expose()),
                ("Gateway API key", identity.behest_key.expose()),
            ],
            code: [("JavaScript", javascript), ("Rust", rust), ("curl", curl)],
        }
    }
}
