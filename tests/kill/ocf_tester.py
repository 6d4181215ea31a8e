"""The resource agent does what OCF asks of a promotable one: the resource-agents' own tester."""

from kill.layout import PAIR
from kill.pacemaker import ClusterScenario

AGENT = "/usr/lib/ocf/resource.d/tandem/pair"
TESTER_SECONDS = 150


class OcfTester(ClusterScenario):
    """Node a's agent is driven by the tester, the cluster only knows the nodes."""

    name = "ocf-tester"
    must_read_back = False
    with_resource = False

    def _start(self, pair):
        pair.start()
        pair.wait_online()

    def play(self, pair):
        parameters = {"pair": PAIR, "config": pair.layout.configuration_path,
                      "tandemctl": pair.programs / "tandemctl"}
        options = [word for name, value in parameters.items() for word in ("-o", f"{name}={value}")]
        ended = pair.a.run("ocf-tester", "-v", "-n", "kv", *options, AGENT, seconds=TESTER_SECONDS)
        lines = (ended.stdout + ended.stderr).splitlines()
        for line in lines:
            if line.startswith("*") or "tests" in line:
                self.tell(line)
        self.check(ended.returncode == 0 and f"{AGENT} passed all tests" in lines,
                   f"ocf-tester exits with {ended.returncode}")
        if ended.returncode:
            print(ended.stdout + ended.stderr)
