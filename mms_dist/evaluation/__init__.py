"""Turn logits into transcripts, error rates and a results table."""

from mms_dist.decoding.greedy import greedy
from mms_dist.evaluation.metrics import Edits, Scores, score
from mms_dist.evaluation.table import evaluation_json, evaluation_table

__all__ = ["Edits", "Scores", "evaluation_json", "evaluation_table", "greedy", "score"]
