"""The gateway tokens of Behest's own Python SDK and those of this project's server module, natively and on Node, beside each
other: equal in header and claims, and all accepted by the gateway of behest-local."""

import base64
import json
import os
import pathlib
import subprocess

import behest
import httpx

from support import StackCase, run, start, stop

AXUM = os.environ["CONFORMANCE_HOST"]
PACKAGE = pathlib.Path(__file__).parents[2] / "pkg/server.js"
PAGE = "https://app.example.com"
CONVERSATION = "conversation-1"
PER_TOKEN = {"iat", "nbf", "exp", "jti"}

ON_NODE = """
const { createTokenEndpoint } = await import(process.argv[1]);
const headers = { authorization: `Bearer ${process.env.SESSION}`, origin: process.env.CORS_ORIGIN };
const body = JSON.stringify({ session_id: process.env.CONVERSATION });
const request = new Request("http://function/", { method: "POST", headers, body });
process.stdout.write(await (await createTokenEndpoint()(request)).text());
"""


def part(token, index):
    text = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), object_pairs_hook=list)


class Claims(StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway = cls.stack.gateway
        cls.key = cls.stack.environment("--add-signing")
        signed_up = httpx.post(
            f"{cls.stack.supabase}/auth/v1/signup",
            headers={"apikey": cls.stack.publishable_key},
            json={"email": "ada@example.com", "password": "correct horse battery staple"},
        ).raise_for_status()
        cls.session = signed_up.json()["access_token"]
        cls.user = signed_up.json()["user"]["id"]
        settings = {
            "SUPABASE_URL": cls.stack.supabase,
            "SUPABASE_PUBLISHABLE_KEY": cls.stack.publishable_key,
            "CORS_ORIGIN": PAGE,
            **cls.key,
        }
        cls.tokens = {"python": cls.by_python(), "axum": cls.by_axum(settings), "node": cls.by_node(settings)}

    @classmethod
    def by_python(cls):
        client = behest.Behest(
            # The documented form with its prefix is one this library cannot read itself.
            key=cls.key["BEHEST_KEY"].removeprefix("behest_pk_"),
            base_url=cls.gateway,
            kid=cls.key["BEHEST_KID"],
            tenant_id=cls.key["BEHEST_TENANT_ID"],
            project_id=cls.key["BEHEST_PROJECT_ID"],
        )
        return client.auth.mint(user_id=cls.user, ttl=900, tier=1, session_id=CONVERSATION).token

    @classmethod
    def by_axum(cls, settings):
        tables = {"settings": {"sign": settings}, "guards": {}, "webhooks": {}}
        host = start([AXUM], {"SETTINGS": json.dumps(tables)})
        cls.addClassCleanup(stop, host)
        port = host.stdout.readline().split()[-1]
        answer = httpx.post(
            f"http://127.0.0.1:{port}/sign",
            headers={"authorization": f"Bearer {cls.session}", "origin": PAGE},
            json={"session_id": CONVERSATION},
        )
        return answer.json()["token"]

    @classmethod
    def by_node(cls, settings):
        env = {**os.environ, **settings, "SESSION": cls.session, "CONVERSATION": CONVERSATION}
        # The module's log goes to the console as well: the answer is the last line.
        program = ["node", "--input-type=module", "--eval", ON_NODE, PACKAGE.as_uri()]
        told = subprocess.check_output(program, env=env, text=True)
        return json.loads(told.splitlines()[-1])["token"]

    def test_headers_are_equal(self):
        headers = {name: dict(part(token, 0)) for name, token in self.tokens.items()}
        self.assertEqual(headers["axum"], headers["python"])
        self.assertEqual(headers["node"], headers["python"])

    def test_claims_are_equal_in_name_type_and_order(self):
        theirs = part(self.tokens["python"], 1)
        self.assertEqual([name for name, _ in theirs][-1], "tier")
        for name in ["axum", "node"]:
            ours = part(self.tokens[name], 1)
            self.assertEqual([(claim, type(value)) for claim, value in ours], [(claim, type(value)) for claim, value in theirs])
            for (claim, value), (_, expected) in zip(ours, theirs):
                if claim not in PER_TOKEN:
                    self.assertEqual(value, expected, claim)

    def test_times_and_ids_are_made_alike(self):
        ids = set()
        for name, token in self.tokens.items():
            claims = dict(part(token, 1))
            self.assertEqual((claims["nbf"], claims["exp"]), (claims["iat"], claims["iat"] + 900), name)
            self.assertRegex(claims["jti"], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            ids.add(claims["jti"])
        self.assertEqual(len(ids), len(self.tokens))

    def test_the_gateway_accepts_them_alike(self):
        body = {"messages": [{"role": "user", "content": "Hi!"}]}
        for name, token in self.tokens.items():
            headers = {"authorization": f"Bearer {token}", "x-session-id": CONVERSATION}
            answer = httpx.post(f"{self.gateway}/v1/chat/completions", headers=headers, json=body)
            self.assertEqual(answer.status_code, 200, f"{name}: {answer.text}")
        header, claims, signature = self.tokens["axum"].split(".")
        forged = f"{header}.{claims}.{signature[:-4]}AAAA"
        answer = httpx.post(f"{self.gateway}/v1/chat/completions", headers={"authorization": f"Bearer {forged}"}, json=body)
        self.assertEqual(answer.status_code, 401)


if __name__ == "__main__":
    run()
