"""supabase for Python, unchanged but for URL and key, against behest-local."""

import uuid

import httpx
from supabase import create_client
from supabase_auth.errors import AuthApiError

from support import StackCase, run

PASSWORD = "correct horse battery"


class SupabasePy(StackCase):
    """PyPI supabase."""

    def client(self, key=None):
        return create_client(self.stack.supabase, key or self.stack.publishable_key)

    def secret_key(self):
        settings = httpx.get(f"{self.stack.dashboard}/settings").text
        start = settings.index("sb_secret_")
        return settings[start : settings.index("<", start)]

    def address(self):
        return f"{uuid.uuid4()}@example.com"

    def signed_in(self):
        client, email = self.client(), self.address()
        user = client.auth.sign_up({"email": email, "password": PASSWORD}).user
        return client, email, user

    def test_from_sign_up_to_sign_out(self):
        client, email, user = self.signed_in()
        again = client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        self.assertEqual(again.user.id, user.id)
        self.assertEqual(client.auth.get_user().user.email, email)
        self.assertEqual(client.auth.get_claims()["claims"]["sub"], user.id)
        changed = client.auth.update_user({"data": {"name": "Lovelace"}}).user
        self.assertEqual(changed.user_metadata["name"], "Lovelace")
        before = client.auth.get_session().refresh_token
        self.assertNotEqual(client.auth.refresh_session().session.refresh_token, before)
        client.auth.sign_out()
        self.assertIsNone(client.auth.get_session())

    def test_typed_errors(self):
        client, email, _ = self.signed_in()
        for code, call in [
            ("user_already_exists", lambda: client.auth.sign_up({"email": email, "password": PASSWORD})),
            ("invalid_credentials", lambda: client.auth.sign_in_with_password({"email": email, "password": "no"})),
        ]:
            with self.assertRaises(AuthApiError) as caught:
                call()
            self.assertEqual(caught.exception.code, code)

    def test_a_letters_code_and_its_hash(self):
        for field in ["token", "token_hash"]:
            client, email = self.client(), self.address()
            client.auth.sign_in_with_otp({"email": email})
            letters = httpx.get(f"{self.stack.supabase}/_local/mail").json()
            letter = next(letter for letter in letters if letter["to"] == email)
            given = {"token": letter["code"], "email": email} if field == "token" else {field: letter[field]}
            self.assertEqual(client.auth.verify_otp({"type": "email", **given}).user.email, email)

    def test_anonymous(self):
        user = self.client().auth.sign_in_anonymously().user
        self.assertTrue(user.is_anonymous)

    def test_rows(self):
        client, _, user = self.signed_in()
        table = client.table("profiles")
        self.assertEqual(table.select("plan").eq("id", user.id).single().execute().data, {"plan": "free"})
        self.assertEqual(table.select("level:plan").neq("plan", "max").in_("plan", ["free"]).execute().data, [{"level": "free"}])
        self.assertEqual(table.select("*", count="exact").execute().count, 1)
        with self.assertRaises(Exception) as caught:
            client.rpc("hello").execute()
        self.assertEqual(caught.exception.code, "PGRST202")

    def test_the_token_function(self):
        client, _, _ = self.signed_in()
        bundle = client.functions.invoke("behest-token", {"body": {}, "responseType": "json"})
        self.assertEqual(bundle["ttl"], 900)

    def test_administration(self):
        admin = self.client(self.secret_key()).auth.admin
        email = self.address()
        user = admin.create_user({"email": email, "password": PASSWORD, "email_confirm": True}).user
        self.assertIn(user.id, [one.id for one in admin.list_users()])
        admin.update_user_by_id(user.id, {"ban_duration": "1h"})
        with self.assertRaises(AuthApiError) as caught:
            self.client().auth.sign_in_with_password({"email": email, "password": PASSWORD})
        self.assertEqual(caught.exception.code, "user_banned")
        admin.delete_user(user.id)
        with self.assertRaises(AuthApiError) as caught:
            admin.get_user_by_id(user.id)
        self.assertEqual(caught.exception.code, "user_not_found")


if __name__ == "__main__":
    run()
