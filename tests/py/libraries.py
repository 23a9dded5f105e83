"""Libraries that speak OpenAI's API, against behest-local: they answer, stream, call a tool, tell errors and are cancelled."""

import os

# Or it fetches a list of prices from the network when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from support import QUESTION, StackCase, run

WEATHER = [{"role": "user", "content": "Use get_weather, please."}]


class LiteLlm(StackCase):
    """litellm."""

    flags = ("--budget", "user:spent=1")

    def ask(self, user="ada", **more):
        url = f"{self.stack.gateway}/v1"
        given = {"model": "openai/default", "messages": QUESTION, "api_base": url, "api_key": self.stack.token(user)}
        return litellm.completion(**{**given, "num_retries": 0, "max_retries": 0, **more})

    def test_chat(self):
        answer = self.ask()
        self.assertIn("“Hi!”", answer.choices[0].message.content)
        self.assertGreater(answer.usage.total_tokens, 0)

    def test_stream(self):
        pieces = [chunk.choices[0].delta.content or "" for chunk in self.ask(stream=True)]
        self.assertGreater(len(pieces), 10)
        self.assertIn("“Hi!”", "".join(pieces))

    def test_tool(self):
        function = {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}
        answer = self.ask(messages=WEATHER, tools=[{"type": "function", "function": function}])
        self.assertEqual([call.function.name for call in answer.choices[0].message.tool_calls], ["get_weather"])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")

    def test_errors(self):
        with self.assertRaises(litellm.BadRequestError):
            self.ask(model="openai/no-such-model")
        with self.assertRaises(litellm.AuthenticationError):
            self.ask(api_key="a.b.c")
        with self.assertRaises(litellm.APIError) as quota:
            self.ask("spent")
        self.assertEqual(quota.exception.status_code, 402)


class LangChain(StackCase):
    """langchain-openai."""

    def model(self):
        url = f"{self.stack.gateway}/v1"
        return ChatOpenAI(model="default", base_url=url, api_key=self.stack.token("ada"), max_retries=0)

    def test_chat(self):
        answer = self.model().invoke("Hi!")
        self.assertIn("“Hi!”", answer.content)
        self.assertGreater(answer.usage_metadata["total_tokens"], 0)

    def test_stream_and_abort(self):
        pieces = [chunk.content for chunk in self.model().stream("Hi!")]
        self.assertGreater(len(pieces), 10)
        self.assertIn("“Hi!”", "".join(pieces))
        before = self.stack.counter("chat.aborted")
        stream = self.model().stream("Tell me a long story.")
        next(stream)
        stream.close()
        self.stack.reached("chat.aborted", before)

    def test_tool(self):
        @tool
        def get_weather() -> str:
            """The weather."""
            return "sunny"

        answer = self.model().bind_tools([get_weather]).invoke(WEATHER[0]["content"])
        self.assertEqual([call["name"] for call in answer.tool_calls], ["get_weather"])

    def test_errors(self):
        with self.assertRaises(openai.BadRequestError):
            self.model().invoke([])


if __name__ == "__main__":
    run()
