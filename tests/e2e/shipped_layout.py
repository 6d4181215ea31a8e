"""The nodes of a shipped configuration file that keeps both on this machine."""

import re
from pathlib import Path

from kill.layout import Layout, NodeLayout


class ConfigurationError(Exception):
    """The file is not of the form that conf/quickstart.conf has."""


class ShippedLayout(Layout):
    """Uses the file as it is, or a copy with another address and provider."""

    def __init__(self, path, address="", provider=""):
        self._path = Path(path)
        self._text = self._path.read_text()
        if address:
            self._text = re.sub(r'(\n +address = )"127\.0\.0\.1"', rf'\1"{address}"', self._text)
        if provider:
            self._text = self._text.replace(
                'nodes = ["a", "b"];', f'nodes = ["a", "b"]; provider = "{provider}";'
            )
        self._is_changed = bool(address or provider)
        nodes = {name: self._node(name) for name in "ab"}
        super().__init__(
            directory=nodes["a"].run_directory.parent,
            images=nodes["a"].image_directory.parent,
            nodes=nodes,
            arbiter=Path(self._value('type = "file"; path')),
        )
        if address:  # not loopback any more
            self._text = self._text.replace(
                'nodes = ["a", "b"];', f'nodes = ["a", "b"]; key_file = "{self.key_path}";'
            )

    @property
    def configuration_path(self):
        return self.directory / self._path.name if self._is_changed else self._path

    def configuration(self):
        return self._text

    def write(self):
        """Removes what an earlier run left; both directories are only this file's."""
        self.remove()
        self.directory.mkdir(mode=0o700)
        if self._is_changed:
            super().write()

    def _node(self, name):
        block = self._match(rf'\{{\s*name = "{name}";.*?\n  \}}', re.DOTALL)[0]
        port = self._match(rf"(?:\b{name}|\*)\) port=(\d+)" if name == "b" else r"\ba\) port=(\d+)")
        return NodeLayout(
            name=name,
            address=self._value("address", block),
            port=int(self._match(r"\n    port = (\d+)", text=block)[1]),
            heartbeats=[],
            serve_address="127.0.0.1",
            serve_port=int(port[1]),
            run_directory=Path(self._value("run_directory", block)),
            image_directory=Path(self._value("image_directory", block)),
        )

    def _value(self, key, text=None):
        return self._match(rf'{key} = "([^"]*)"', text=text)[1]

    def _match(self, pattern, flags=0, text=None):
        found = re.search(pattern, self._text if text is None else text, flags)
        if not found:
            raise ConfigurationError(f"{self._path}: nothing like {pattern}")
        return found
