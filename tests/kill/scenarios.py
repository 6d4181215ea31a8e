"""The single stories by name."""

from kill.chaos import Chaos
from kill.heartbeat_cut import HeartbeatCut
from kill.partition import Partition
from kill.rail_loss import RailLoss
from kill.secondary_kill import SecondaryKill

SCENARIOS = {
    scenario.name: scenario
    for scenario in (SecondaryKill, HeartbeatCut, Partition, RailLoss, Chaos)
}
