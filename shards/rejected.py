"""The exception for an utterance that cannot be used for training."""


class Rejected(Exception):
    """An utterance is left out. `reason` is the name it is counted by (`shards/drops.py`), `detail` what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
