"""Choose how a language model takes part in the beam search."""

from mms_dist.decoding.character_fusion import CharacterFusion
from mms_dist.decoding.fusion import Fusion
from mms_dist.decoding.word_fusion import WordFusion
from mms_dist.language_model.interface import LanguageModel
from shards.vocabulary import Vocabulary


def fuse(model: LanguageModel, vocabulary: Vocabulary, alpha: float = 0.5, beta: float = 0.0) -> Fusion:
    """Fuse a model of words or of characters; see `WordFusion` and `CharacterFusion`.

    Raises:
        DataError: the model is not one of the vocabulary's language or script.
    """
    kind = CharacterFusion if model.unit == "char" else WordFusion
    return kind(model, vocabulary, alpha, beta)
