"""py-spiffe, the registry's own package, unmodified in an agent: it finds the Workload API by the variable that is set."""
import json
import pathlib
import shutil
import unittest

from clients import environment
from node import Node

HERE = pathlib.Path(__file__).resolve().parent


class PySpiffe(unittest.TestCase):
    def test_an_agent_that_uses_it(self):
        venv = environment()
        with Node() as node:
            work = node.home / "work"
            work.mkdir()
            shutil.copy(HERE / "agents" / "py_spiffe.py", work)
            done = node.hexr("run", "--agent", "crew", "--role", "py", "--", str(venv / "bin/python3"), "py_spiffe.py", cwd=work)
        said = json.loads(done.stdout)
        me = "spiffe://example.test/agent/default/crew/py"
        self.assertEqual([said[k] for k in ("id", "token_id", "validated")], [me, me, me])
        self.assertEqual(said["context"], [me])
        self.assertTrue(said["own_key"] and said["issued"], said)
        self.assertGreaterEqual(min(said["authorities"], said["keys"]), 1)
        self.assertEqual(set(said) & {"other_audience", "other_subject"}, {"other_audience", "other_subject"}, "both are refused")


if __name__ == "__main__":
    unittest.main()
