"""Modified Kneser-Ney smoothing as Chen and Goodman 1999 write it, with dictionaries, to compare the fast one with."""

import random
from collections import Counter, defaultdict

from mms_dist.language_model.units import Unit, split

NGram = tuple[str, ...]
FALLBACK = {1: 0.5, 2: 1.0, 3: 1.5}


class SlowModel:
    """`prob(word, history)` is the interpolated probability; `unigram_share` says who gets the mass of unseen words."""

    def __init__(self, texts: list[str], order: int, unit: Unit, *, interpolate_unigrams: bool = True) -> None:
        self.order = order
        self.interpolate_unigrams = interpolate_unigrams
        self.seen: list[Counter[NGram]] = [Counter() for _ in range(order + 1)]
        for text in texts:
            tokens = ["<s>", *split(text, unit), "</s>"]
            for size in range(1, order + 1):
                for start in range(len(tokens) - size + 1):
                    self.seen[size][tuple(tokens[start : start + size])] += 1
        self.words = sorted({word for (word,) in self.seen[1]} | {"<unk>"})
        self.counts = [self._adjusted(size) for size in range(order + 1)]
        self.discounts = [self._discounts(self.counts[size]) for size in range(order + 1)]
        self.after: list[dict[NGram, list[NGram]]] = [defaultdict(list) for _ in range(order + 1)]
        for size in range(1, order + 1):
            for ngram in self.counts[size]:
                self.after[size][ngram[:-1]].append(ngram)

    def _adjusted(self, size: int) -> dict[NGram, int]:
        if size in (0, self.order):
            adjusted = dict(self.seen[size])
        else:
            left: dict[NGram, set[str]] = defaultdict(set)
            for ngram in self.seen[size + 1]:
                left[ngram[1:]].add(ngram[0])
            adjusted = {
                ngram: count if ngram[0] == "<s>" else len(left[ngram]) for ngram, count in self.seen[size].items()
            }
        if size == 1:
            adjusted.pop(("<s>",), None)
        return adjusted

    @staticmethod
    def _discounts(counts: dict[NGram, int]) -> dict[int, float]:
        of = Counter(counts.values())
        if not (of[1] and of[2] and of[3]):
            return FALLBACK
        share = of[1] / (of[1] + 2 * of[2])
        found = {times: times - (times + 1) * share * of[times + 1] / of[times] for times in (1, 2, 3)}
        return found if all(0 <= found[times] <= times for times in found) else FALLBACK

    def prob(self, word: str, history: NGram) -> float:
        size = len(history) + 1
        counts, discounts = self.counts[size], self.discounts[size]
        followers = self.after[size].get(history, [])
        total = sum(counts[ngram] for ngram in followers)
        if not total:
            return self.prob(word, history[1:])
        rest = sum(discounts[min(counts[ngram], 3)] for ngram in followers) / total
        own = counts.get((*history, word), 0)
        found = (own - discounts[min(own, 3)]) / total if own else 0.0
        if history:
            return found + rest * self.prob(word, history[1:])
        if self.interpolate_unigrams:
            return found + rest / (len(self.words) - 1)  # `<s>` is never predicted
        return found + (rest if word == "<unk>" else 0.0)


def random_texts(sentences: int, words: int, seed: int) -> list[str]:
    """Return sentences of made-up words, of which few are frequent."""
    generator = random.Random(seed)
    texts = []
    for _ in range(sentences):
        numbers = [min(int(generator.paretovariate(0.8)), words) for _ in range(generator.randint(1, 9))]
        texts.append(" ".join(word_of(number) for number in numbers))
    return texts


def word_of(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in str(number))
