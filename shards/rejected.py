"""Why one utterance cannot be trained on."""


class Rejected(Exception):
    """An utterance that is left out: `reason` is a name to count by (`shards/drops.py`), `detail` what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
