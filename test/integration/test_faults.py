"""A node whose processes are killed while agents run, fetch SVIDs, make calls and exec.

HEXR_ROUNDS kills (50) at moments that HEXR_SEED names. After each of them everything is back by itself, what an agent was
answered is in the log, the log holds together, and who has ended stays ended, with the SVIDs revoked.
"""
import json
import os
import random
import signal
import threading
import time
import unittest

from faults import Agent, FaultNode, Log
from waiting import alive, wait_for

ROUNDS = int(os.environ.get("HEXR_ROUNDS", "50"))
SEED = int(os.environ.get("HEXR_SEED", "1"))
CHILDREN = ("gateway/default", "spawner", "keeper", "courier", "helper")  # the last is the keeper's own child
LONG_LIVED = ("calls", "svids", "watch", "execs")


class KillRounds(unittest.TestCase):
    def test_rounds(self):
        self.random = random.Random(SEED)
        self.told_serials, self.told_decisions, self.told_calls, self.told_tokens = set(), set(), 0, 0
        kills = dict.fromkeys((*CHILDREN, "supervisor"), 0)
        with FaultNode() as self.node:
            self.log, self.node_log = Log(self.node, "default"), Log(self.node, "")
            self.agents = []
            try:
                self.start_agents()
                for self.n in range(ROUNDS):
                    if self.n % 20 == 19:  # new instances, with new shares of certificates for those that exec
                        self.start_agents()
                    victim = self.random.choice(CHILDREN * 5 + ("supervisor",))
                    kills[victim] += 1
                    try:
                        self.round(victim)
                    except Exception as e:
                        raise AssertionError(f"round {self.n}, HEXR_SEED={SEED}: after the end of {victim}") from e
                    except AssertionError as e:
                        raise AssertionError(f"round {self.n}, HEXR_SEED={SEED}, after the end of {victim}: {e}") from e
            finally:
                for a in self.agents:
                    a.end()
        print(f"{kills}: {self.log.size} records, {len(self.told_serials)} X.509-SVIDs, {self.told_tokens} JWT-SVIDs, "
              f"{self.told_calls} calls, {len(self.told_decisions)} denials", flush=True)

    def start_agents(self):
        for a in self.agents:
            a.end()
        begun = time.time()
        self.agents = [Agent(self.node, what) for what in LONG_LIVED]
        for a in self.agents:
            wait_for(lambda a=a: a.works_since(begun), what=f"{a.what} is answered")

    def round(self, victim):
        self.ended = set()
        doomed = Agent(self.node, "svids", role="doomed")
        wait_for(lambda: doomed.works_since(0), what="the doomed agent is answered")
        running = {i["spiffe_id"].rsplit("/", 1)[1]: i for i in self.node.json("ps")["instances"]}
        before = self.node.pids()
        self.launches, self.scrapes = [], []
        meanwhile = [threading.Thread(target=self.launch_some), threading.Thread(target=self.scrape_some)]
        for m in meanwhile:
            m.start()
        kill_first = self.random.random() < 0.3
        if kill_first:
            self.node.hexr("kill", running["doomed"]["instance"])
        time.sleep(self.random.random() * 0.15)

        moment = time.time()
        if victim == "supervisor":
            os.kill(self.node.supervisor(), signal.SIGKILL)
            self.after_the_end_of_all(before, running)
        else:
            ends = "keeper" if victim == "helper" else victim
            os.kill(self.node.helper() if victim == "helper" else before[victim], signal.SIGKILL)
            if not kill_first:
                wait_for(lambda: self.node.hexr("kill", running["doomed"]["instance"], check=False).returncode == 0,
                         what="an agent can be ended")
            wait_for(lambda: self.node.pids()[ends] != before[ends], what=f"{ends} is started again")
            wait_for(self.node.ready, what="the node is ready again")
        for m in meanwhile:
            m.join()
        self.assertTrue(set(self.launches) <= {0, 125, -signal.SIGKILL}, self.launches)
        for a in self.agents:
            if a.what != "watch" or victim in ("keeper", "helper", "supervisor"):  # else its stream has seen nothing of it
                wait_for(lambda a=a: a.works_since(moment), what=lambda a=a: f"{a.what} is answered again; it said {a.peek()[-3:]}")

        doomed.process.wait(timeout=20)
        self.assertFalse(alive(running["doomed"]["pid"]))
        self.check_records([*self.agents, doomed])
        wait_for(lambda: self.are_revoked(doomed.serials | self.ended), what="the SVIDs of who has ended are revoked")
        self.assertIn("hexr_process_ready", wait_for(self.node.scrape, what="the courier answers"))
        doomed.end()
        if self.n < 50 or self.n % 20 == 0 or self.n == ROUNDS - 1:  # all of the log each time
            self.log.verify()
            self.node_log.verify()
        roles = sorted(i["spiffe_id"].rsplit("/", 1)[1] for i in self.node.json("ps")["instances"])
        self.assertEqual(roles, sorted(LONG_LIVED))

    def launch_some(self):
        """Launches while processes die: each works, is refused or is ended half-way; none hangs."""
        for _ in range(3):
            done = self.node.hexr("run", "--agent", "crew", "--role", "short", "--", "true", check=False, cwd=self.node.work, timeout=30)
            self.launches.append(done.returncode)

    def scrape_some(self):
        """Calls to the courier, and by it to every other process, while they die: each is answered or ends, none hangs."""
        for _ in range(12):
            self.scrapes.append(self.node.scrape() is not None)

    def after_the_end_of_all(self, before, running):
        wait_for(lambda: not any(alive(p) for p in before.values()), what="every process ends with the supervisor")
        wait_for(lambda: not any(alive(i["pid"]) for i in running.values()), what="every agent ends with the supervisor")
        for a in self.agents:
            self.assertEqual(a.process.wait(timeout=20), 125, a.what)
        self.node.up()
        self.check_records(self.agents)
        # The next node's keeper knows whom the last one gave something to.
        self.ended = set().union(*(a.serials for a in self.agents))
        self.start_agents()

    def are_revoked(self, serials):
        done = self.node.busy("revoked")
        crls = json.loads(done.stdout)["crls"] if done.returncode == 0 else []
        return all(any(serial in crl for crl in crls) for serial in serials)

    def check_records(self, agents):
        """What agents were answered is on record."""
        for a in agents:
            for line in a.take():
                a.serials |= {serial for _, serial in line.get("svids", [])}
                self.told_decisions |= {line["decision"]} if "decision" in line else set()
                self.told_calls += line.get("call") == "allowed"
                self.told_tokens += "jwt" in line
            self.told_serials |= a.serials

        def complete():
            self.log.catch_up()
            return (self.told_serials <= self.log.serials and self.told_decisions <= self.log.decisions
                    and self.told_calls <= self.log.opened)
        wait_for(complete, what=lambda: "on record is what was answered; missing are "
                 f"serials {self.told_serials - self.log.serials}, decisions {self.told_decisions - self.log.decisions}, "
                 f"{self.told_calls - self.log.opened} calls")

class Quarantine(unittest.TestCase):
    def test_outlives_the_processes_that_hold_it(self):
        with FaultNode() as node:
            agents = [Agent(node, "calls"), Agent(node, "svids")]
            try:
                for a in agents:
                    wait_for(lambda a=a: a.works_since(0), what=f"{a.what} is answered")
                node.hexr("quarantine", "spiffe://example.test/agent/default/crew")
                for victims in (["keeper"], ["keeper", "gateway/default"], ["gateway/default"], ["keeper", "spawner"]):
                    before, starts = node.pids(), time.time()
                    for v in victims:
                        os.kill(before[v], signal.SIGKILL)
                    wait_for(lambda: all(node.pids()[v] != before[v] for v in victims), what="they are started again")  # noqa: B023
                    wait_for(node.ready, what="the node is ready again")
                    wait_for(lambda: [i["state"] for i in node.json("ps")["instances"]] == ["quarantined"] * 2, what="both are known")
                    wait_for(lambda: all(len([x for x in a.peek() if x["begun"] > starts]) > 3 for a in agents),  # noqa: B023
                             what="both have tried again")
                    for a in agents:
                        self.assertFalse(a.works_since(starts), f"{victims}: {a.what}")
                back = time.time()
                node.hexr("release", "spiffe://example.test/agent/default/crew")
                for a in agents:
                    wait_for(lambda a=a: a.works_since(back), what=f"{a.what} is answered again")
            finally:
                for a in agents:
                    a.end()


if __name__ == "__main__":
    unittest.main()
