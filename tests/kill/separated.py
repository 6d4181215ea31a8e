"""Two nodes in network namespaces, joined by a link that can be cut, with the clients outside."""

from kill.layout import Layout, NodeLayout, new_directories
from kill.network import Network
from kill.scenario import Scenario

PORT = 7400
HEARTBEAT_PORT = 7401
SERVE_PORT = 6379


class Separated(Scenario):
    def surroundings(self):
        return Network()

    def lay_out(self, surroundings):
        directory, images = new_directories()
        nodes = {
            name: NodeLayout(
                name=name,
                address=surroundings.between[name],
                port=PORT,
                heartbeats=[(surroundings.between[name], HEARTBEAT_PORT)],
                serve_address=surroundings.outside[name],
                serve_port=SERVE_PORT,
                run_directory=directory / name,
                image_directory=images / name,
                namespace=surroundings.namespaces[name],
            )
            for name in "ab"
        }
        layout = Layout(directory, images, nodes, directory / "arbiter", provider=self.provider)
        layout.write()
        return layout
