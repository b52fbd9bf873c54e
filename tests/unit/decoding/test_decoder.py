"""The decoder is chosen by its name, for each language, and an unknown one is refused where it is configured."""

from pkgutil import resolve_name
from typing import Any

import numpy as np
import pytest
import torch

from mms_dist.config import parse_config
from mms_dist.config.decoders import DECODERS
from mms_dist.decoding.decoder import decoders_of
from mms_dist.decoding.greedy import Greedy
from mms_dist.errors import ConfigError
from shards.vocabulary import Vocabulary

RON = Vocabulary.build("ron", ["abc"])


class Named(Greedy):
    """Says which language and settings it was made for."""

    def __init__(self, language: str, vocabulary: Vocabulary, settings: Any) -> None:
        super().__init__(language, vocabulary, settings)
        self.made_for = language, settings.decoder


def test_every_registered_decoder_can_be_found_and_made() -> None:
    for name in DECODERS:
        decoder = decoders_of(parse_config({"evaluation": {"decoder": name}}))("ron", RON)
        a, b, c = RON.encode("abc")
        logits_BTV = torch.nn.functional.one_hot(torch.tensor([[a, a, 0, b, c]]), len(RON)).float() * 20
        assert decoder.texts(decoder.keep(logits_BTV).numpy(), np.array([4])) == ["ab"]


def test_a_language_can_have_its_own_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECODERS, "named", f"{__name__}:Named")
    own = {"ita": {"evaluation": {"decoder": "named"}}}
    make = decoders_of(parse_config({"languages": own}))
    assert type(make("ron", RON)) is Greedy
    named: Any = make("ita", RON)
    assert type(named).__name__ == "Named" and named.made_for == ("ita", "named")
    assert type(named) is resolve_name(DECODERS["named"])


@pytest.mark.parametrize(("name", "fix"), [("greddy", "did you mean 'greedy'"), ("beam", "expected one of greedy")])
def test_an_unknown_decoder_is_refused(name: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=rf"evaluation\.decoder: found '{name}'.*{fix}"):
        parse_config({"evaluation": {"decoder": name}})


def test_only_the_decoder_of_evaluation_is_set_per_language() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.every_steps cannot be set per language"):
        parse_config({"languages": {"ron": {"evaluation": {"every_steps": 5}}}})
