"""The statistics as the C side writes them are what the harness reads."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from kill import stats_file

CHECKOUT = Path(__file__).resolve().parents[2]

WRITER = r"""
#include <stdio.h>
#include <string.h>
#include <tandem/stats_page.h>

static struct tandem_stats stats;

int main(void)
{
	stats.magic = TANDEM_STATS_MAGIC;
	stats.incarnation = 11;
	stats.process_id = 12;
	stats.phase = TANDEM_PHASE_SEAL;
	stats.is_pair = 1;
	stats.channel_count = 4;
	stats.generation = 13;
	stats.epochs_committed = 14;
	stats.epochs_aborted = 15;
	stats.epoch_committed = 16;
	stats.copy_bytes_done = 17;
	stats.copy_bytes_per_s = 30;
	stats.copy_held_ns = 31;
	stats.pages_staged = 25;
	stats.stages_short = 26;
	stats.pages_beside = 27;
	stats.pages_vain = 28;
	stats.pauses_misfit = 29;
	stats.pace = TANDEM_PACE_OVERDUE;
	stats.is_staging = 1;
	stats.committed_ns = 22;
	stats.held_since_ns = 23;
	stats.behind_since_ns = 24;
	strcpy(stats.transport, "tcp");
	strcpy(stats.transport_detail, "detail");
	strcpy(stats.tracker, "compare");
	stats.channels[3].state = 3;
	stats.channels[3].rail = 1;
	stats.channels[3].bytes = 18;
	stats.channels[3].inflight_count = 19;
	stats.channels[3].lost_count = 20;
	stats.channels[3].oldest_posted_ns = 21;
	strcpy(stats.channels[3].first_error, "the first error");
	for (unsigned i = 1; i <= 1000; i++)
		tandem_histogram_add(&stats.pause_ns, i * 1000);
	tandem_histogram_add(&stats.stage_ns, 78);
	tandem_histogram_add(&stats.apply_ns, 77);
	for (unsigned i = 0; i <= 1000; i += 10)
		fprintf(stderr, "%llu ", (unsigned long long)tandem_histogram_at(&stats.pause_ns, i));
	return fwrite(&stats, sizeof(stats), 1, stdout) == 1 ? 0 : 1;
}
"""


class Layout(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as scratch:
            program = Path(scratch) / "writer"
            source = program.with_suffix(".c")
            source.write_text(WRITER)
            base = CHECKOUT / "base"
            subprocess.run(
                ["cc", "-std=c11", "-D_GNU_SOURCE", "-I", str(base / "include"), str(source),
                 str(base / "core/histogram.c"), "-o", str(program)],
                check=True,
            )
            ended = subprocess.run([program], capture_output=True, check=True)
        cls.data = ended.stdout
        cls.per_mille = [int(text) for text in ended.stderr.split()]

    def test_fields(self):
        stats = stats_file.parse(self.data)
        self.assertEqual((stats.incarnation, stats.process_id), (11, 12))
        self.assertEqual((stats.phase, stats.is_pair, stats.channel_count), ("seal", True, 4))
        self.assertEqual(stats.generation, 13)
        self.assertEqual((stats.epochs_committed, stats.epochs_aborted), (14, 15))
        self.assertEqual(
            (stats.epoch_committed, stats.copy_bytes_done, stats.copy_bytes_per_s), (16, 17, 30)
        )
        self.assertEqual(stats.copy_held_ns, 31)
        self.assertEqual((stats.pages_staged, stats.stages_short), (25, 26))
        self.assertEqual((stats.pages_beside, stats.pages_vain, stats.pauses_misfit), (27, 28, 29))
        self.assertEqual((stats.pace, stats.is_staging), (3, True))
        self.assertEqual(
            (stats.committed_ns, stats.held_since_ns, stats.behind_since_ns), (22, 23, 24)
        )
        self.assertEqual((stats.transport, stats.transport_detail), ("tcp", "detail"))
        self.assertEqual(stats.tracker, "compare")
        self.assertEqual(len(stats.channels), 4)
        self.assertEqual(stats.channels[0].state, "down")
        self.assertEqual(stats.channels[3], ("lost", 1, 18, 19, 20, 21, "the first error"))

    def test_histograms(self):
        stats = stats_file.parse(self.data)
        read = [stats.histograms["pause"].at(per_mille) for per_mille in range(0, 1001, 10)]
        self.assertEqual(read, self.per_mille)
        self.assertEqual(stats.histograms["stage"].max, 78)
        self.assertEqual(stats.histograms["apply"].max, 77)
        self.assertEqual(stats.histograms["scan"].at(500), 0)

    def test_other_bytes(self):
        self.assertIsNone(stats_file.parse(b""))
        self.assertIsNone(stats_file.parse(self.data[:-1]))
        self.assertIsNone(stats_file.parse(bytes(len(self.data))))


if __name__ == "__main__":
    unittest.main()
