"""What needs no node: help, configuration, completion, exit codes."""
import json
import subprocess
import unittest

from node import Node


class Cli(unittest.TestCase):
    def setUp(self):
        self.node = Node(start=False)
        self.node.__enter__()
        self.addCleanup(self.node.__exit__, None, None, None)

    def commands(self, *words):
        """Every command, as --help lists them, groups followed down."""
        text = self.node.hexr(*words, "--help").stdout
        listed = text.partition("Subcommands:\n")[2].partition("\n\n")[0].splitlines()
        if not listed:
            return [list(words)]
        found = []
        for line in listed:
            self.assertRegex(line, r"^  \S+ +\S", f"hexr {' '.join(words)}: a word without a summary")
            found += self.commands(*words, line.split()[0])
        return found

    def test_every_command_has_help_with_an_example(self):
        commands = self.commands()
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
            stubs = "compdef() {}\n_describe() { print -rl -- ${(P)2%%:*}; }\n"
            typed = " ".join(f"'{w}'" for w in words)
            probe = f"{stubs}{script}\nwords=({typed}); CURRENT={len(words)}; _hexr"
        done = subprocess.run([shell, *(["-f"] if shell == "zsh" else []), "-c", probe], text=True, capture_output=True, check=True,
                              env={**self.node.env, "HOME": str(self.node.home)})
        self.assertEqual(done.stderr, "")
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    def test_completion_completes_in_every_shell(self):
        for shell in ("bash", "zsh", "fish"):
            with self.subTest(shell=shell):
                top = self.completed(shell, ["hexr", ""])
                self.assertLessEqual({"up", "run", "entry", "authority", "backup", "restore", "demo", "bench", "policy"}, top)
                self.assertNotIn("bench-agent", top)
                self.assertLessEqual({"create", "list", "show", "delete"}, self.completed(shell, ["hexr", "entry", ""]))
                # Neither a flag's value nor an argument leads astray.
                self.assertIn("--hint", self.completed(shell, ["hexr", "entry", "create", "service/db", "--ttl", "5m", "--"]))
                self.assertNotIn("up", self.completed(shell, ["hexr", "run", "--agent", "crew", "--", ""]))


if __name__ == "__main__":
    unittest.main()
