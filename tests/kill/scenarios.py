"""The single stories by name."""

from kill.chaos import Chaos
from kill.heartbeat_cut import HeartbeatCut
from kill.ocf_tester import OcfTester
from kill.pacemaker import Pacemaker
from kill.pacemaker_links import PacemakerLinks
from kill.partition import Partition
from kill.rail_loss import RailLoss
from kill.secondary_kill import SecondaryKill

SCENARIOS = {
    scenario.name: scenario
    for scenario in (SecondaryKill, HeartbeatCut, Partition, RailLoss, Pacemaker,
                     PacemakerLinks, OcfTester, Chaos)
}
