"""A primary that is made of bytes: everything it sends can be wrong."""

import secrets

from e2e.bad_input import colo, transport, wires


class TurnedAway(Exception):
    """A hello was answered by another verdict than JOINED."""


class Joined:
    """A session whose connections have joined; nothing was said on it yet."""

    def __init__(self, address, channels=4):
        self.address = address
        self.channels = channels
        nonce = secrets.token_bytes(16)
        self.control = wires.connect(address)
        name = transport.key_id(address.key)
        self.control.sendall(transport.hello(channels=channels, value=nonce, name=name))
        answer = self._answer(self.control)
        self.session = answer.session
        self.secrets = transport.Secrets(address.key, channels, answer.session, nonce,
                                         answer.nonce)
        assert answer.proof == self.secrets.listening_proof, answer
        self.control.sendall(transport.proof(self.secrets.connecting_proof))
        self.data = []
        for channel in range(channels):
            connection = wires.connect(address)
            self.data.append(connection)
            connection.sendall(self.data_hello(channel))
            answer = self._answer(connection)
            assert answer.proof == self.secrets.token(channel, 1, is_answer=True), answer
        self.sequences = [0] * (1 + channels)

    def data_hello(self, channel, attempt=1, **fields):
        fields.setdefault("value", self.secrets.token(channel, attempt))
        return transport.hello(transport.DATA, channel=channel, channels=self.channels,
                               session=self.session, attempt=attempt, **fields)

    @staticmethod
    def _answer(connection):
        answer = transport.parse_answer(wires.read_exactly(connection, transport.ANSWER_BYTES))
        if answer.verdict != transport.JOINED:
            raise TurnedAway(answer)
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for connection in [self.control, *self.data]:
            connection.close()

    def connection(self, index):
        """0 is the control connection, 1 and more are data connections."""
        return self.data[index - 1] if index else self.control

    def send_frame(self, index, kind, payload=b"", sequence=None, **fields):
        """A frame with the next sequence number, or with the one given."""
        fields.setdefault("length", len(payload))
        if sequence is None:
            sequence = self.sequences[index]
            self.sequences[index] += 1
        head = transport.frame(kind, sequence=sequence, **fields)
        tag = b"" if index else self.secrets.tag(False, sequence, head, payload)
        return wires.send(self.connection(index), head + payload + tag)

    def send_message(self, data):
        return self.send_frame(0, transport.MESSAGE, data)

    def read_frame(self):
        head = wires.read_exactly(self.control, transport.FRAME_BYTES)
        frame = transport.parse_frame(head)
        data = b""
        if frame.type == transport.MESSAGE:
            data = wires.read_exactly(self.control, frame.length)
        tag = wires.read_exactly(self.control, transport.TAG_BYTES)
        assert tag == self.secrets.tag(True, frame.sequence, head, data), frame
        return frame, data

    def was_dropped(self):
        """Every connection is ended by the other side; TimeoutError when not."""
        for connection in [self.control, *self.data]:
            wires.read_until_closed(connection)
        return True


class Refused(Exception):
    """The secondary's answer to HELLO was REFUSED."""


class Primary(Joined):
    """A session that was welcomed: identity, generation and layout are right."""

    def __init__(self, address, identity, hello=None):
        super().__init__(address, identity.channels)
        self.identity = identity
        self.layout = colo.Layout(identity.regions, identity.channels, identity.state_max)
        self.memories = {}  # id: (bytes, key)
        self.said = []  # messages that were read past
        self.send_message(hello or identity.hello())
        self.peer, self.copy, self.committed, self.is_fresh = self.read_message(colo.WELCOME).fields

    def read_message(self, kind):
        """The next one of that type; exposures are noted."""
        while True:
            frame, data = self.read_frame()
            if frame.type == transport.EXPOSE:
                self.memories[frame.memory] = (frame.offset, frame.key)
                continue
            message = colo.parse(data)
            if message.type == kind:
                return message
            if message.type == colo.REFUSED:
                raise Refused(message.fields[1].split(b"\0")[0].decode())
            self.said.append(message)

    def write(self, channel, memory, offset, data, kind=transport.WRITE, immediate=0, **fields):
        fields.setdefault("key", self.memories[memory][1])
        return self.send_frame(1 + channel, kind, data, memory=memory, offset=offset,
                               immediate=immediate, **fields)

    def write_page(self, page, data):
        region, inside = self.layout.region(page)
        return self.write(self.layout.channel(page), region, inside * colo.PAGE_BYTES, data)

    def write_state(self, epoch, state):
        return self.write(0, colo.SLOTS_ID, self.layout.state_offset(epoch), state)

    def seal(self, epoch, channel, mask, runs, state=b"", immediate=None, listed=None, **wrong):
        """Run list and trailer of one channel; `wrong` are fields of the trailer."""
        wrong.setdefault("generation", self.identity.generation)
        wrong.setdefault("base", self.committed)
        trailer_epoch = wrong.pop("trailer_epoch", epoch)
        trailer_channel = wrong.pop("trailer_channel", channel)
        trailer_mask = wrong.pop("trailer_mask", mask)
        listed = colo.run_list(runs) if listed is None else listed
        if listed:
            self.write(channel, colo.SLOTS_ID, self.layout.runs_offset(epoch, channel), listed)
        trailer = colo.trailer(epoch=trailer_epoch, channel=trailer_channel, mask=trailer_mask,
                               runs=runs, state=state, **wrong)
        return self.write(channel, colo.SLOTS_ID, self.layout.trailer_offset(epoch, channel),
                          trailer, transport.NOTIFY,
                          epoch & 0xFFFFFFFF if immediate is None else immediate)

    def push(self, epoch, pages, state=b""):
        """Writes of an epoch, without its seals; runs by channel. A page of None is a zero page."""
        runs = {}
        for page in sorted(pages):
            channel = self.layout.channel(page)
            if pages[page] is not None:
                self.write_page(page, pages[page])
            kind = colo.ZERO if pages[page] is None else colo.DATA
            runs.setdefault(channel, []).append(colo.Run(page, 1, kind))
        if state:
            self.write_state(epoch, state)
            runs.setdefault(0, [])
        return runs or {0: []}

    def commit(self, epoch, pages, state=b""):
        """A right epoch, until it is applied: of few pages that may be said before it is so [C15],
        and then nothing else is answered."""
        runs = self.push(epoch, pages, state)
        mask = sum(1 << channel for channel in runs)
        for channel in runs:
            self.seal(epoch, channel, mask, runs[channel], state)
        for kind in (colo.COMMITTED, colo.APPLIED)[len(pages) <= colo.FEW_PAGES:]:
            message = self.read_message(kind)
            assert message.fields[0] == epoch, message
        self.ping(epoch)
        self.committed = epoch

    def ping(self, number):
        self.send_message(colo.ping(self.identity.generation, number))
        return self.read_message(colo.PONG)


class Identity:
    """Who a primary says that it is."""

    def __init__(self, pair, incarnation, generation, regions, channels=4, state_max=4096):
        self.pair = pair
        self.incarnation = incarnation
        self.generation = generation
        self.regions = regions
        self.channels = channels
        self.state_max = state_max

    def hello(self, **wrong):
        right = dict(pair=self.pair, generation=self.generation, incarnation=self.incarnation,
                     regions=self.regions, channels=self.channels, state_max=self.state_max)
        return colo.hello(**{**right, **wrong})
