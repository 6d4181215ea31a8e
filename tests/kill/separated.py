"""Two nodes in network namespaces, joined by a link that can be cut, with the clients outside."""

from kill.layout import Layout, NodeLayout, new_directories
from kill.network import Network
from kill.pair import Pair

PORT = 7400
HEARTBEAT_PORT = 7401
SERVE_PORT = 6379


class SeparatedPair(Pair):
    """The primary's end cuts the link first, as when a host dies: what its kernel still held for
    the peer never arrives. A stopped one gets the link back when it goes on."""

    network_class = Network

    def __init__(self, programs, provider, has_rail=False, has_second_heartbeat=False, **options):
        self.network = self.network_class()
        layout = _lay_out(self.network, has_rail, has_second_heartbeat, provider=provider, **options)
        super().__init__(layout, programs)

    def __enter__(self):
        try:
            self.network.add()
        except BaseException:
            self.layout.remove()
            raise
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self.network.remove()

    def end_primary(self, number):
        self.network.cut()
        super().end_primary(number)

    def resume_primary(self):
        self.network.heal()
        super().resume_primary()


def _lay_out(network, has_rail, has_second_heartbeat, **options):
    directory, images = new_directories()
    heartbeat_links = [network.between, network.rail] if has_second_heartbeat else [network.between]
    nodes = {
        name: NodeLayout(
            name=name,
            address=network.between[name],
            port=PORT,
            heartbeats=[(link[name], HEARTBEAT_PORT) for link in heartbeat_links],
            serve_address=network.outside[name],
            serve_port=SERVE_PORT,
            run_directory=directory / name,
            image_directory=images / name,
            namespace=network.namespaces[name],
            rails=[network.rail[name]] if has_rail else [],
        )
        for name in "ab"
    }
    layout = Layout(directory, images, nodes, directory / "arbiter", **options)
    layout.write()
    return layout
