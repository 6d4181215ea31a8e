"""The shipped configuration is understood, as it is and with another address."""

import unittest
from pathlib import Path

from e2e.shipped_layout import ConfigurationError, ShippedLayout

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = CHECKOUT / "conf" / "quickstart.conf"


class Shipped(unittest.TestCase):
    def test_as_it_is(self):
        layout = ShippedLayout(SHIPPED)
        self.assertEqual(layout.configuration_path, SHIPPED)
        self.assertEqual(layout.nodes["a"].serve_port, 7001)
        self.assertEqual(layout.nodes["b"].serve_port, 7002)
        self.assertEqual(layout.nodes["a"].run_directory.parent, layout.directory)
        self.assertEqual(layout.nodes["b"].image_directory.parent, layout.images)
        self.assertNotEqual(layout.nodes["a"].run_directory, layout.nodes["b"].run_directory)

    def test_what_it_removes_is_its_own(self):
        layout = ShippedLayout(SHIPPED)
        self.assertEqual(layout.directory, Path("/tmp/tandem-quickstart"))
        self.assertEqual(layout.images, Path("/dev/shm/tandem-quickstart"))

    def test_with_a_device(self):
        layout = ShippedLayout(SHIPPED, address="192.0.2.7", provider="rdma")
        text = layout.configuration()
        self.assertEqual(layout.nodes["a"].address, "192.0.2.7")
        self.assertEqual(text.count('    address = "192.0.2.7";'), 2)
        self.assertIn('provider = "rdma";', text)
        self.assertNotEqual(layout.configuration_path, SHIPPED)

    def test_a_file_of_another_form(self):
        with self.assertRaises(ConfigurationError):
            ShippedLayout(CHECKOUT / "CMakeLists.txt")


if __name__ == "__main__":
    unittest.main()
