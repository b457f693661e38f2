"""What needs no node: help, configuration, completion, exit codes."""
import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import unittest

from node import BIN, Node


class Cli(unittest.TestCase):
    def setUp(self):
        self.node = Node(start=False)
        self.node.__enter__()
        self.addCleanup(self.node.__exit__, None, None, None)

    def test_every_command_has_help_with_an_example(self):
        commands = self.node.commands()
        for known in (["up"], ["run"], ["vault", "put"], ["policy", "eval"], ["ledger", "witness"]):
            self.assertIn(known, commands)
        for path in commands:
            example = self.node.hexr(*path, "--help").stdout.split("Example:\n")[1]
            self.assertIn("hexr " + " ".join(path), example)

    def test_usage_errors_are_code_2_and_on_stderr(self):
        for args in ([], ["no-such"], ["up", "--no-such"], ["config", "check", "--output", "xml"], ["completion", "tcsh"]):
            done = self.node.hexr(*args, check=False)
            self.assertEqual((args, done.returncode, done.stdout), (args, 2, ""))
            self.assertNotEqual(done.stderr, "")

    def test_config_problems_name_file_line_column(self):
        self.node.config_file.write_text("trust_domain: td\negres: {}\nidentity: {svid_ttl: 3h}\n")
        done = self.node.hexr("config", "check", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{self.node.config_file}:2:1: egres: unknown key; did you mean 'egress'?", done.stderr)
        self.assertIn(":3:22: identity.svid_ttl: 3h is outside 1m to 1h", done.stderr)
        found = json.loads(self.node.hexr("config", "check", "--output", "json", check=False).stdout)
        self.assertEqual((found["valid"], len(found["problems"])), (False, 2))
        self.assertEqual(self.node.hexr("up", check=False).returncode, 2)

    def test_what_config_check_accepts_no_process_of_a_node_refuses(self):
        """Every mistake that a gateway or the keeper would only find when it starts, at its own place."""
        self.node.config_file.write_text(
            "trust_domain: td\n"
            "entries: [{id: service/x, selectors: ['cgroup:/system.slice', 'unix:uid:x']}]\n"
            "egress:\n"
            "  allow: [example.org]\n"
            "  ports: [443, 443]\n"
            "  resolve: {files.test: localhost}\n"
            "  allow_private: [10.0.0.1/8]\n"
        )
        done = self.node.hexr("config", "check", check=False)
        self.assertEqual(done.returncode, 2)
        places = [line.removeprefix(f"hexr: {self.node.config_file}").split(": ")[:2] for line in done.stderr.splitlines() if ".yaml:" in line]
        self.assertEqual(
            places,
            [
                [":2:63", "entries[0].selectors"],
                [":4:11", "egress.allow"],
                [":5:16", "egress.ports"],
                [":6:13", "egress.resolve"],
                [":7:19", "egress.allow_private"],
            ],
        )

    def test_who_may_start_agents_is_a_user_of_this_machine(self):
        with Node(config='trust_domain: td\nroles:\n  - {agent: a, exe: x, user: [root, no-such-user]}\n', start=False) as node:
            place = f"{node.config_file}:3:37: roles[0].user: 'no-such-user' is no user of this machine; write a name that `getent passwd` knows"
            for words in (["config", "check"], ["up"], ["up", "--foreground"]):
                done = node.hexr(*words, check=False)
                self.assertEqual((words, done.returncode), (words, 2), done.stderr)
                self.assertIn(place, done.stderr)
            self.assertIn("no-such-user", node.hexr("config", "show").stdout)

    def test_config_show_prints_defaults_that_check_accepts(self):
        shown = self.node.hexr("config", "show").stdout
        self.assertIn("svid_ttl: 15m", shown)
        other = self.node.home / "shown.yaml"
        other.write_text(shown)
        self.node.hexr("config", "check", str(other))

    def test_without_a_node_the_code_is_3_and_the_next_step_is_named(self):
        done = self.node.hexr("down", check=False)
        self.assertEqual(done.returncode, 3)
        found = json.loads(self.node.hexr("doctor", "--output", "json", check=False).stdout)
        node = [c for c in found["checks"] if c["check"] == "node"][0]
        self.assertEqual(node["remedy"], "hexr up")

    def on_a_terminal(self, *args, **env):
        """What `hexr ARGS` writes on a terminal."""
        ours, its = pty.openpty()
        try:
            environment = {k: v for k, v in self.node.env.items() if k != "NO_COLOR"} | env
            subprocess.run([BIN / "hexr", *args], env=environment, stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.DEVNULL,
                           timeout=60, check=False)
            os.write(its, b"END")  # there is something to read, then
            text = b""
            while not text.endswith(b"END"):
                text += os.read(ours, 65536)
            return text[:-3].replace(b"\r\n", b"\n").decode()
        finally:
            os.close(its)
            os.close(ours)

    def test_colour_is_for_terminals_and_for_those_who_want_it(self):
        coloured = self.on_a_terminal("doctor")
        self.assertIn("\033[31mmissing\033[0m", coloured)  # the node
        self.assertIn("\033[1mCHECK\033[0m", coloured)
        plain = self.on_a_terminal("doctor", NO_COLOR="1")
        self.assertNotIn("\033", plain)
        self.assertEqual(re.sub("\033\\[\\d+m", "", coloured), plain)  # and the columns are the same
        env = {k: v for k, v in self.node.env.items() if k != "NO_COLOR"}
        self.assertEqual(self.node.hexr("doctor", check=False, env=env).stdout, plain)  # a pipe
        self.assertNotIn("\033", self.on_a_terminal("doctor", "--output", "json"))

    def test_a_fault_of_ours_is_code_4(self):
        alone = self.node.home / "bin"
        alone.mkdir()
        shutil.copy(BIN / "hexr", alone)
        done = subprocess.run([alone / "hexr", "ps"], env=self.node.env, text=True, capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assertIn("hexr-commands: No such file or directory; it belongs beside hexr", done.stderr)
        # A node is here, and what it left does not say which process it is.
        (self.node.home / "run" / "private").mkdir(parents=True)
        with open(self.node.home / "run" / "private" / "hexrd.pid", "w", encoding="utf-8") as pid:
            pid.write("rubbish")
            pid.flush()
            fcntl.flock(pid, fcntl.LOCK_EX)
            done = self.node.hexr("down", check=False)
        self.assertEqual((done.returncode, done.stdout), (4, ""))
        self.assertIn("does not hold a pid", done.stderr)

    def test_a_mistyped_command_is_named_with_the_nearest(self):
        for words, said in ((["pss"], "no command is called 'pss'; did you mean 'hexr ps'?"),
                            (["kil", "x"], "no command is called 'kil'; did you mean 'hexr kill'?"),
                            (["--output", "json", "vault", "gett"], "no command is called 'vault gett'; did you mean 'hexr vault get'?"),
                            (["policy", "push"], "no command is called 'policy push'"),
                            (["zzzzzzzz"], "no command is called 'zzzzzzzz'"),
                            (["ledger"], "subcommand is required"),
                            (["authority", "rotate", "--use", "x50"], "--use: 'x50' is not one of: x509, jwt, wit")):
            done = self.node.hexr(*words, check=False)
            self.assertEqual((words, done.returncode, done.stdout), (words, 2, ""))
            self.assertTrue(done.stderr.startswith("hexr: "), done.stderr)
            self.assertIn(said, done.stderr)
            if "--use" not in words:
                self.assertIn("--help`", done.stderr)

    def test_what_is_common_to_all_stands_anywhere_and_once(self):
        for words in (["--output", "json", "config", "show"], ["config", "--output", "json", "show"], ["config", "show", "--output=json"]):
            self.assertEqual(json.loads(self.node.hexr(*words).stdout)["config"]["trust_domain"], "example.test")
        done = self.node.hexr("--output", "json", "config", "show", "--output", "text", check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_a_flag_of_one_value_is_given_once(self):
        for words in (["ledger", "tail", "--tenant", "a", "--tenant", "b"], ["vault", "get", "x", "--tenant", "a", "--tenant=b"],
                      ["entry", "create", "service/x", "--selector", "unix:uid:1", "--ttl", "5m", "--ttl", "6m"],
                      ["run", "--agent", "a", "--agent", "b", "--", "true"]):
            done = self.node.hexr(*words, check=False)
            self.assertEqual((words, done.returncode, done.stdout), (words, 2, ""))
            self.assertIn(next(w for w in words[1:] if words.count(w) == 2 or w == "--tenant"), done.stderr)

    def test_no_secret_is_taken_from_the_command_line(self):
        for words in (["vault", "put", "db/prod", "hunter2"], ["vault", "put", "db/prod", "--value", "hunter2"],
                      ["backup", "node.backup", "--passphrase", "hunter2hunter2"], ["up", "--passphrase", "hunter2hunter2"]):
            done = self.node.hexr(*words, check=False, input="")
            self.assertEqual((words, done.returncode, done.stdout), (words, 2, ""))

    def test_config_is_read_where_it_means_something_and_never_silently_ignored(self):
        other = self.node.home / "other.yaml"
        other.write_text("trust_domain: other.test\n")
        self.assertIn("other.test", self.node.hexr("--config", str(other), "config", "show").stdout)
        self.assertIn("--config changes nothing", self.node.hexr("ps", "--config", str(other), check=False).stderr)
        self.assertNotIn("--config", self.node.hexr("ps", "--help").stdout)
        self.assertIn("--config", self.node.hexr("up", "--help").stdout)

    def test_an_svid_is_asked_for_only_where_it_can_be_written(self):
        for command in ("fetch", "watch"):
            done = self.node.hexr("svid", command, "--write", "no-such-folder", check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("--write no-such-folder: no such folder", done.stderr)

    def test_help_of_a_command(self):
        self.assertEqual(self.node.hexr("help", "vault", "put").stdout, self.node.hexr("vault", "put", "--help").stdout)
        self.assertEqual(self.node.hexr("help").stdout, self.node.hexr("--help").stdout)
        self.assertIn("did you mean 'hexr vault put'", self.node.hexr("help", "vault", "putt", check=False).stderr)

    def test_a_log_that_is_not_there_is_a_mistake_and_not_a_forgery(self):
        for words in (["--log", "/nonexistent"], ["--tenant", "nosuch"], ["--tenant", "../../x"]):
            done = self.node.hexr("ledger", "verify", *words, check=False)
            self.assertEqual((words, done.returncode, done.stdout), (words, 2, ""))
        self.assertIn("see `hexr ledger list`", self.node.hexr("ledger", "tail", "--tenant", "nosuch", check=False).stderr)

    def completed(self, shell, words):
        """What the shell offers after these words."""
        script = self.node.hexr("completion", shell).stdout
        if shell == "bash":
            typed = " ".join(f"'{w}'" for w in words)
            probe = f'{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _hexr; printf "%s\\n" "${{COMPREPLY[@]}}"'
        elif shell == "fish":
            probe = f"{script}\ncomplete -C '{' '.join(words)}'"
        else:
            # _describe gets its list in an array; compdef and the rest of zsh's completion are not loaded.
            stubs = "compdef() {}\n_describe() { print -rl -- ${(P)2%%:*}; }\n_files() { print -rl -- *(N); }\n"
            typed = " ".join(f"'{w}'" for w in words)
            probe = f"{stubs}{script}\nwords=({typed}); CURRENT={len(words)}; _hexr"
        done = subprocess.run([shell, *(["-f"] if shell == "zsh" else []), "-c", probe], text=True, capture_output=True, check=True,
                              env={**self.node.env, "HOME": str(self.node.home)}, cwd=self.node.home)
        self.assertEqual(done.stderr, "")
        return {line.split("\t")[0] for line in done.stdout.splitlines()} - {""}

    def test_completion_completes_in_every_shell(self):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell):
                top = self.completed(shell, ["hexr", ""])
                self.assertLessEqual({"up", "run", "entry", "authority", "backup", "restore", "demo", "bench", "policy"}, top)
                self.assertFalse({"bench-agent", "complete"} & top)
                self.assertLessEqual({"create", "list", "show", "delete"}, self.completed(shell, ["hexr", "entry", ""]))
                self.assertEqual(self.completed(shell, ["hexr", "entry", "cr"]), {"create"})
                # Neither a flag's value nor an argument leads astray.
                self.assertIn("--hint", self.completed(shell, ["hexr", "entry", "create", "service/db", "--ttl", "5m", "--"]))
                self.assertNotIn("up", self.completed(shell, ["hexr", "run", "--agent", "crew", "--", ""]))
                # Values.
                self.assertEqual(self.completed(shell, ["hexr", "authority", "rotate", "--use", ""]), {"x509", "jwt", "wit"})
                self.assertEqual(self.completed(shell, ["hexr", "--output", "j"]), {"json"})
                self.assertEqual(self.completed(shell, ["hexr", "completion", "z"]), {"zsh"})
                self.assertIn("put", self.completed(shell, ["hexr", "help", "vault", ""]))
                self.assertEqual(self.completed(shell, ["hexr", "nosuch", ""]), set())
                # No node: nothing to offer, and nothing said about it.
                self.assertEqual(self.completed(shell, ["hexr", "tenant", "freeze", ""]), set())
        for shell in ("zsh", "fish"):  # bash finds files by itself, outside of the function
            self.assertIn("config", {f.rstrip("/") for f in self.completed(shell, ["hexr", "config", "check", ""])})

    def test_completion_knows_what_the_node_knows(self):
        self.node.up()
        self.node.hexr("tenant", "create", "acme")
        self.node.hexr("vault", "put", "openai-key", input="sk")
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell):
                self.assertEqual(self.completed(shell, ["hexr", "tenant", "freeze", ""]), {"acme", "default"})
                self.assertEqual(self.completed(shell, ["hexr", "run", "--tenant", "a"]), {"acme"})
                self.assertEqual(self.completed(shell, ["hexr", "vault", "get", ""]), {"openai-key"})


if __name__ == "__main__":
    unittest.main()
