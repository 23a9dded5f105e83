"""Python clients written by others, unchanged but for URLs and keys, against behest-local."""

import subprocess

import behest
import httpx
import openai
from behest.v1_5 import BehestAuthError, BehestBadRequestError, BehestQuotaError, BehestRateLimitError

from support import PROGRAM, QUESTION, StackCase, run


def in_thread(stack, token, thread, content):
    headers = {"authorization": f"Bearer {token}", "x-thread-id": thread}
    body = {"messages": [{"role": "user", "content": content}]}
    httpx.post(f"{stack.gateway}/v1/chat/completions", headers=headers, json=body).raise_for_status()


class BehestAi(StackCase):
    """PyPI behest-ai 1.5.0b1."""

    flags = ("--tier-limits", "--budget", "user:spent=1", "--block", "forbidden-word")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.key = cls.stack.environment("--add")["BEHEST_KEY"]

    def client(self):
        return behest.Behest(key=self.key, base_url=self.stack.gateway)

    def test_mint(self):
        minted = self.client().auth.mint(user_id="ada", ttl=900, tier=2, session_id="s-1")
        self.assertEqual((minted.session_id, minted.ttl), ("s-1", 900))
        claims = behest.v1_5.decode_token(minted.token)
        self.assertEqual((claims["uid"], claims["tier"], claims["sid"]), ("ada", 2, "s-1"))
        self.assertLessEqual(abs(minted.expires_at - claims["exp"]), 2)

    def test_chat(self):
        answer = self.client().chat.completions.create(messages=QUESTION, user_id="chat")
        self.assertIn("“Hi!”", answer["choices"][0]["message"]["content"])
        self.assertGreater(answer["usage"]["completion_tokens"], 0)

    def test_stream(self):
        chunks = list(self.client().chat.completions.create(messages=QUESTION, user_id="stream", stream=True))
        text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        self.assertIn("“Hi!”", text)
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")
        self.assertGreater(len(chunks), 10)

    def test_threads(self):
        client = self.client()
        token = client.auth.mint(user_id="threads").token
        self.assertEqual(client.threads.list(token=token), [])
        in_thread(self.stack, token, "a-thread", "One")
        in_thread(self.stack, token, "a-thread", "Two")
        self.assertEqual([thread["id"] for thread in client.threads.list(token=token)], ["a-thread"])
        self.assertEqual(client.threads.get("a-thread", token=token)["title"], "One")
        roles = [message["role"] for message in client.threads.messages("a-thread", token=token)]
        self.assertEqual(roles, ["user", "assistant", "user", "assistant"])
        client.threads.delete("a-thread", token=token)
        self.assertEqual(client.threads.list(token=token), [])
        with self.assertRaises(behest.v1_5.BehestError) as caught:
            client.threads.get("a-thread", token=token)
        self.assertEqual((caught.exception.status, caught.exception.code), (404, "not_found"))

    def test_usage(self):
        client = self.client()
        token = client.auth.mint(user_id="usage").token
        client.chat.completions.create(messages=QUESTION, token=token)
        report = client.usage.get(token=token)
        self.assertGreater(report["totals"]["tokens"], 0)
        self.assertEqual(sum(row["tokens"] for row in report["breakdown"]), report["totals"]["tokens"])

    def test_typed_errors(self):
        client = self.client()
        create = client.chat.completions.create
        with self.assertRaises(BehestBadRequestError) as bad:
            create(messages=[], user_id="errors")
        self.assertEqual(bad.exception.code, "validation_error")
        self.assertRegex(bad.exception.trace_id, r"^[0-9a-f-]{36}$")
        with self.assertRaises(BehestAuthError) as auth:
            create(messages=QUESTION, token="a.b.c")
        self.assertEqual((auth.exception.status, auth.exception.code), (401, "invalid_token"))
        with self.assertRaises(BehestAuthError):
            behest.Behest(key="behest_sk_live_" + "0" * 32, base_url=self.stack.gateway).auth.mint(user_id="x")
        with self.assertRaises(BehestQuotaError) as quota:
            create(messages=QUESTION, user_id="spent")
        self.assertEqual((quota.exception.status, quota.exception.code), (402, "budget_exceeded"))
        with self.assertRaises(behest.v1_5.BehestError) as blocked:
            create(messages=[{"role": "user", "content": "forbidden-word"}], user_id="errors")
        self.assertEqual((blocked.exception.status, blocked.exception.code), (451, "content_blocked"))
        with self.assertRaises(BehestRateLimitError) as rate:
            for _ in range(12):
                create(messages=QUESTION, user_id="fast")
        self.assertGreaterEqual(rate.exception.retry_after, 1)

    def test_signing(self):
        names = self.stack.environment("--add-signing")
        client = behest.Behest(
            # The documented form with its prefix is one this library cannot read itself.
            key=names["BEHEST_KEY"].removeprefix("behest_pk_"),
            base_url=self.stack.gateway,
            kid=names["BEHEST_KID"],
            tenant_id=names["BEHEST_TENANT_ID"],
            project_id=names["BEHEST_PROJECT_ID"],
        )
        mints = self.stack.counter("mint")
        answer = client.chat.completions.create(messages=QUESTION, user_id="signed")
        self.assertIn("“Hi!”", answer["choices"][0]["message"]["content"])
        self.assertEqual(self.stack.counter("mint"), mints)
        subprocess.check_output([PROGRAM, "keys", "--data", self.stack.data, "--revoke", names["BEHEST_KID"]])
        with self.assertRaises(BehestAuthError):
            client.chat.completions.create(messages=QUESTION, user_id="signed")


class OpenAi(StackCase):
    """openai for Python."""

    flags = ("--budget", "user:spent=1")

    def client(self, user):
        token = self.stack.token(user)
        return openai.OpenAI(api_key=token, base_url=f"{self.stack.gateway}/v1", max_retries=0)

    def test_chat(self):
        answer = self.client("ada").chat.completions.create(model="default", messages=QUESTION)
        self.assertIn("“Hi!”", answer.choices[0].message.content)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)

    def test_stream(self):
        stream = self.client("ada").chat.completions.create(
            model="default", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertIn("“Hi!”", text)
        self.assertGreater(chunks[-1].usage.completion_tokens, 0)

    def test_abort(self):
        before = self.stack.counter("chat.aborted")
        stream = self.client("ada").chat.completions.create(model="default", messages=QUESTION, stream=True)
        next(iter(stream))
        stream.close()
        self.stack.reached("chat.aborted", before)

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError) as bad:
            self.client("ada").chat.completions.create(model="default", messages=[])
        self.assertEqual(bad.exception.body["code"], "validation_error")
        client = openai.OpenAI(api_key="a.b.c", base_url=f"{self.stack.gateway}/v1", max_retries=0)
        with self.assertRaises(openai.AuthenticationError):
            client.chat.completions.create(model="default", messages=QUESTION)
        spent = self.client("spent")
        with self.assertRaises(openai.APIStatusError) as quota:
            spent.chat.completions.create(model="default", messages=QUESTION)
        self.assertEqual((quota.exception.status_code, quota.exception.body["code"]), (402, "budget_exceeded"))


if __name__ == "__main__":
    run()
