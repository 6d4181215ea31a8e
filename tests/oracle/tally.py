"""What is counted while replies come in."""


class Tally:
    TORN_KEPT = 10

    def __init__(self):
        self.acknowledged_writes = 0  # keys whose write was acknowledged
        self.replies = 0
        self.errors = 0
        self.error_texts = {}
        self.protocol_errors = 0
        self.torn_keys = set()
        self.torn_examples = []
        self.last_reply_at = 0

    def count_reply(self, now):
        self.replies += 1
        self.last_reply_at = now

    def count_error(self, error):
        self.errors += 1
        text = str(error)[:80]
        if text in self.error_texts or len(self.error_texts) < 20:
            self.error_texts[text] = self.error_texts.get(text, 0) + 1

    def count_torn(self, key, read):
        self.torn_keys.add(key)
        if len(self.torn_examples) < self.TORN_KEPT:
            self.torn_examples.append((key.decode(), read[:120].decode("latin-1")))
