"""The beam search against decoders that try everything."""

import math

import numpy as np
import pytest

from mms_dist.decoding.beam_search import EXACT, Beam, BeamSearch
from mms_dist.decoding.character_fusion import CharacterFusion
from mms_dist.decoding.fusion import Fusion, State
from mms_dist.decoding.greedy import greedy
from mms_dist.decoding.word_fusion import WordFusion
from mms_dist.language_model.kneser_ney import train
from shards.vocabulary import FIXED, Vocabulary
from tests.slow_decoders import every_path, prefix_search, random_log_probs

SMALL = Vocabulary("xxx", (*FIXED, "a", "b"))
LETTERS = Vocabulary("xxx", (*FIXED, *"abcde"))
TEXTS = ["ab a", "ba ab", "a b a", "abba ab", "b a ab ba", "aa ab", "cab dab", "bead cab a", "dead bee", "a bad cab"]


def fusions(vocabulary: Vocabulary) -> list[Fusion | None]:
    return [
        None,
        CharacterFusion(train(TEXTS, 3, "char"), vocabulary, 0.7, 0.3),
        WordFusion(train(TEXTS[:6], 2), vocabulary, 0.8, 0.6),
    ]


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("seed", range(4))
def test_an_unpruned_search_finds_the_best_of_all_texts(kind: int, seed: int) -> None:
    fusion = fusions(SMALL)[kind]
    log_prob_TV = random_log_probs(5, SMALL, seed)
    acoustic = every_path(log_prob_TV, SMALL)
    texts = list(acoustic)
    score = dict(acoustic)
    if fusion:
        log_prob, units = fusion.score(texts)
        for text, value, count in zip(texts, log_prob, units, strict=True):
            score[text] += fusion.alpha * value + fusion.beta * count
    (found,) = BeamSearch(SMALL, fusion, beam=EXACT).decode([log_prob_TV], nbest=len(texts) + 10)
    assert {each.text for each in found} == set(texts)
    best_first = sorted(texts, key=lambda text: -score[text])
    assert [each.text for each in found] == best_first
    for each in found:
        assert each.acoustic == pytest.approx(acoustic[each.text], abs=1e-9)
        assert each.score == pytest.approx(score[each.text], abs=1e-4)


@pytest.mark.parametrize("kind", range(3))
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 3, 20])
def test_a_narrow_search_equals_the_plain_prefix_search(kind: int, seed: int, width: int) -> None:
    fusion = fusions(LETTERS)[kind]
    log_prob_TV = random_log_probs(30, LETTERS, seed)
    plain = prefix_search(log_prob_TV, LETTERS, width, PrefixScores(fusion))
    beam = Beam(width, threshold=math.inf, token_threshold=-math.inf)
    (found,) = BeamSearch(LETTERS, fusion, beam=beam).decode([log_prob_TV], nbest=width)
    texts: dict[str, float] = {}
    for prefix, acoustic in plain:
        text = prefix.strip()
        texts[text] = float(np.logaddexp(texts.get(text, -math.inf), acoustic))
    assert {each.text for each in found} == set(texts)
    for each in found:
        assert each.acoustic == pytest.approx(texts[each.text], abs=1e-6)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


class PrefixScores:
    """What the language model says of prefixes, label by label through the fusion's own steps."""

    def __init__(self, fusion: Fusion | None) -> None:
        self._fusion = fusion
        self._known: dict[str, tuple[float, State]] = {"": (0.0, fusion.start(1) if fusion else ())}

    def __call__(self, prefix: str) -> float:
        return self.after(prefix)[0]

    def after(self, prefix: str) -> tuple[float, State]:
        """Return the score, and the state to go on from."""
        if self._fusion is None:
            return 0.0, ()
        if prefix not in self._known:
            total, state = self.after(prefix[:-1])
            label = np.array([LETTERS.encode(prefix[-1:])])
            total += float(self._fusion.extend(state, label)[0, 0, 0])
            self._known[prefix] = total, self._fusion.advance(state, label)
        return self._known[prefix]


@pytest.mark.parametrize("kind", range(3))
def test_steps_through_a_text_add_up_to_its_score(kind: int) -> None:
    fusion = fusions(LETTERS)[kind]
    if fusion is None:
        return
    texts = ["ab a", "cab dab", "eeee", "a ded cab", "", "a"]
    log_prob, units = fusion.score(texts)
    expected = fusion.alpha * log_prob + fusion.beta * units
    for text, value in zip(texts, expected, strict=True):
        for written in (text, text + " ") if text else (text,):
            total, state = PrefixScores(fusion).after(written)
            total += float(fusion.finish(state)[0, 0])
            assert total == pytest.approx(value, abs=1e-4), written


@pytest.mark.parametrize("kind", range(3))
def test_the_result_does_not_depend_on_the_batch(kind: int) -> None:
    fusion = fusions(LETTERS)[kind]
    lengths = (25, 3, 40, 1, 17, 40, 8)
    emissions = [random_log_probs(frames, LETTERS, n, sharpness=1 + n) for n, frames in enumerate(lengths)]
    beam = Beam(30, threshold=8, token_threshold=-4)
    together = BeamSearch(LETTERS, fusion, beam=beam).decode(emissions, nbest=4)
    for log_prob_TV, found in zip(emissions, together, strict=True):
        (alone,) = BeamSearch(LETTERS, fusion, beam=beam, batch=1).decode([log_prob_TV], nbest=4)
        assert [each.text for each in alone] == [each.text for each in found]
        assert [each.score for each in alone] == pytest.approx([each.score for each in found])


def test_confident_outputs_are_decoded_as_greedy_does() -> None:
    path = [4, 0, 5, 5, 0, 5, 4, 0, 4, 6, 3, 6, 1, 0, 4, 4]
    log_prob_TV = np.full((len(path), len(SMALL)), math.log(1e-6))
    log_prob_TV[np.arange(len(path)), path] = math.log(1 - 6e-6)
    (found,) = BeamSearch(SMALL).decode([log_prob_TV])
    assert [found[0].text] == greedy(np.array([path]), np.array([len(path)]), SMALL) == ["aa bb"]
    assert found[0].score == found[0].acoustic == pytest.approx(0, abs=1e-3)


def test_a_word_never_seen_can_be_written() -> None:
    log_prob_TV = np.full((7, len(LETTERS)), math.log(1e-4))
    for frame, label in enumerate(LETTERS.encode("cab ede")):
        log_prob_TV[frame, label] = math.log(0.999)
    model = train(TEXTS, 2)
    (open_found,) = BeamSearch(LETTERS, WordFusion(model, LETTERS)).decode([log_prob_TV])
    closed = WordFusion(model, LETTERS, unknown_offset=-math.inf)
    (closed_found,) = BeamSearch(LETTERS, closed).decode([log_prob_TV])
    assert open_found[0].text == "cab ede"
    assert set(closed_found[0].text.split()) <= set(model.words)


def test_no_frames_give_the_empty_text() -> None:
    (found,) = BeamSearch(SMALL).decode([np.zeros((0, len(SMALL)))])
    assert [each.text for each in found] == [""]
