"""hexr crew: several roles from one file, on a real node."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from node import BIN, Node


class Crew(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.node.__enter__()
        cls.addClassCleanup(cls.node.__exit__, None, None, None)

    def write(self, text, name):
        folder = self.node.home / name
        folder.mkdir()
        (folder / "crew.yaml").write_text(text)
        return folder

    def crew(self, text, name, *args):
        folder = self.write(text, name)
        return self.node.hexr("crew", str(folder / "crew.yaml"), *args, check=False, cwd="/")

    def test_roles_run_with_their_own_identity_folder_and_environment(self):
        folder = self.write("""\
agent: content-crew
roles:
  - role: editor
    command: [sh, -c, "echo $HEXR_AGENT/$HEXR_ROLE in $(basename $PWD) on $TOPIC; echo oops >&2"]
    dir: desk
    env: {TOPIC: whales}
  - {role: researcher, command: "true", agent: other}
""", "identity")
        (folder / "desk").mkdir()
        done = self.node.hexr("crew", str(folder / "crew.yaml"), cwd="/")
        self.assertIn("editor     | content-crew/editor in desk on whales\n", done.stdout)
        self.assertIn("editor     | oops\n", done.stderr)
        self.assertRegex(done.stdout, r"ROLE +CODE +ENDED +TIME +INSTANCE\n")
        self.assertRegex(done.stdout, r"content-crew/editor +0 +exit code 0 +\d+\.\d s +[a-z2-7]{26}\n")
        self.assertRegex(done.stdout, r"other/researcher +0 ")

    def test_json_stands_alone_on_stdout(self):
        done = self.crew("roles:\n  - {role: a, command: [sh, -c, \"echo hello; exit 3\"]}\n", "json", "--output", "json")
        found = json.loads(done.stdout)
        self.assertIn("a | hello", done.stderr)
        self.assertEqual((done.returncode, found["code"]), (3, 3))
        role = found["roles"][0]
        self.assertEqual((role["agent"], role["role"], role["code"], role["ended"]), ("crew", "a", 3, "exit code 3"))
        self.assertEqual(role["spiffe_id"], "spiffe://example.test/agent/default/crew/a")

    def test_a_line_without_end_is_shown_all_the_same(self):
        kMaxCrewLineBytes = 64 * 1024
        done = self.crew(f"""\
agent: content-crew
roles:
  - role: writer
    command: [sh, -c, "head -c {kMaxCrewLineBytes + 10} /dev/zero | tr '\\\\0' x; sleep 0.5; echo; echo end"]
""", "endless")
        lines = [line.split("| ", 1)[1] for line in done.stdout.splitlines() if line.startswith("writer ") and "| " in line]
        self.assertEqual([len(line) for line in lines], [kMaxCrewLineBytes, 10, 3], done.stdout[-300:])

    def test_order_waits_for_the_line_that_says_ready(self):
        done = self.crew("""\
stop: never
roles:
  - {role: first, command: [sh, -c, "echo warming; sleep 0.3; echo now serving; sleep 0.5; echo last"], ready: now serving}
  - {role: second, command: [sh, -c, "echo second runs"], after: first}
""", "order")
        out = done.stdout
        self.assertEqual(done.returncode, 0)
        self.assertLess(out.index("now serving"), out.index("second runs"))
        self.assertLess(out.index("second runs"), out.index("last"))

    def test_what_waits_for_one_that_failed_is_not_started(self):
        done = self.crew("""\
stop: never
roles:
  - {role: first, command: [sh, -c, "exit 9"], ready: never said}
  - {role: second, command: [sh, -c, "echo must not run"], after: first}
""", "unready")
        self.assertEqual(done.returncode, 9)
        self.assertNotIn("must not run", done.stdout)
        self.assertIn("not started: first ended before it was ready", done.stdout)

    def test_the_first_failure_ends_the_others_and_gives_the_code(self):
        done = self.crew("""\
roles:
  - {role: long, command: [sleep, "100"]}
  - {role: bad, command: [sh, -c, "exit 7"], after: long}
""", "failure")
        self.assertEqual(done.returncode, 7)
        self.assertRegex(done.stdout, r"crew/long +143 +signal 15 \(Terminated\), ended with the crew")

    def test_stop_any_ends_with_the_first_and_is_no_failure(self):
        done = self.crew('stop: any\nroles:\n  - {role: long, command: [sleep, "100"]}\n  - {role: short, command: "true", after: long}\n', "any")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_signals_go_to_all(self):
        folder = self.write("""\
roles:
  - {role: a, command: [sh, -c, "trap 'echo a got it; exit 4' INT; echo up; while :; do sleep 0.1; done"], ready: up}
  - {role: b, command: [sh, -c, "trap 'echo b got it; exit 5' INT; echo all up; while :; do sleep 0.1; done"], after: a}
""", "signals")
        process = subprocess.Popen([BIN / "hexr", "crew", str(folder / "crew.yaml")], env=self.node.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in process.stdout:
            if "all up" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        process.stdout.close()
        self.assertIn("a | a got it", rest)
        self.assertIn("b | b got it", rest)
        self.assertIn(process.wait(timeout=30), (4, 5))

    def test_the_end_of_the_crew_is_the_end_of_its_agents(self):
        folder = self.write('roles:\n  - {role: a, command: [sh, -c, "echo up; sleep 100"]}\n', "orphans")
        process = subprocess.Popen([BIN / "hexr", "crew", str(folder / "crew.yaml")], env=self.node.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertIn("up", process.stdout.readline())
        process.kill()
        process.wait()
        process.stdout.read()  # until its `hexr run`, and with it the agent, has gone
        process.stdout.close()
        for _ in range(200):
            if not any(i["role"] == "a" and "crew" == i["agent"] for i in self.node.json("ps")["instances"]):
                return
        self.fail("the agent is still there")

    def test_a_bad_file_names_its_place(self):
        folder = self.write("roles:\n  - {role: a, comand: x}\n", "bad")
        done = self.node.hexr("crew", str(folder / "crew.yaml"), check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{folder}/crew.yaml:2:15: roles[0].comand: unknown key; did you mean 'command'?", done.stderr)
        self.assertEqual(self.node.hexr("crew", str(folder / "none.yaml"), check=False).returncode, 2)

    def test_help_has_an_example_and_completion_knows_it(self):
        self.assertIn("Example:\n  hexr crew crew.yaml", self.node.hexr("crew", "--help").stdout)
        self.assertIn("crew\t", self.node.hexr("complete", "cr").stdout)


if __name__ == "__main__":
    unittest.main()
