"""What the tests with Python's libraries stand on: a running system, and the counts at their end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import httpx

PROGRAM = os.environ["BEHEST_LOCAL"]
QUESTION = [{"role": "user", "content": "Hi!"}]


def start(command, environment=None):
    env = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)
    process.stdout.close()


class Stack:
    """The whole system on free ports, with a data file, so that keys can be added."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        self.data = os.path.join(self.folder.name, "data.sqlite")
        ports = ["--supabase-port", "0", "--gateway-port", "0", "--page-port", "0"]
        self.process = start([PROGRAM, "start", "--json", "--data", self.data, *ports, *flags])
        where = json.loads(self.process.stdout.readline())
        self.gateway, self.supabase, self.dashboard = where["gateway"], where["supabase"], where["dashboard"]
        self.publishable_key = where["publishableKey"]

    def environment(self, flag):
        lines = subprocess.check_output([PROGRAM, "keys", "--data", self.data, flag], text=True).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def token(self, user, *flags):
        command = [PROGRAM, "mint", "--data", self.data, "--user", user, *flags]
        return subprocess.check_output(command, text=True).strip()

    def counter(self, name):
        return httpx.get(f"{self.gateway}/_local/counters").json().get(name, 0)

    def stop(self):
        stop(self.process)
        self.folder.cleanup()

    def reached(self, name, count):
        """Waits until the servers have counted more than this."""
        deadline = time.monotonic() + 10
        while self.counter(name) <= count:
            if time.monotonic() > deadline:
                raise AssertionError(f"the gateway did not count {name}")


class StackCase(unittest.TestCase):
    """Tests that share a system, started with these flags."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(*cls.flags)
        cls.addClassCleanup(cls.stack.stop)


def run():
    """Runs the tests of the program, and prints counts in the form of Rust's."""
    result = unittest.main(exit=False, verbosity=2, warnings="ignore").result
    failed = len(result.failures) + len(result.errors)
    passed = result.testsRun - failed - len(result.skipped)
    verdict = "ok" if result.wasSuccessful() else "FAILED"
    print(f"test result: {verdict}. {passed} passed; {failed} failed; {len(result.skipped)} ignored", flush=True)
    sys.exit(not result.wasSuccessful())
