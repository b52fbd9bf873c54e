"""I8, spot check: the adapter file gives the same logits and hypotheses in Hugging Face's model as in ours.

Legend: B utterances, N audio samples, T frames, V vocabulary.
"""

import json
from pathlib import Path
from typing import Any

import torch

from mms_dist.checkpoint.adapter_file import adapter_filename, read_adapter, write_adapter
from mms_dist.checkpoint.hugging_face import quiet
from mms_dist.debugging.bench import Bench
from mms_dist.debugging.debug_report import Check, verdict
from mms_dist.decoding.greedy import greedy
from mms_dist.model.waveform import normalised

BOUND = 1e-5
"""Fraction of the largest logit, or of 1 if that is larger: the rounding error grows with the logits."""


@torch.no_grad()
def hugging_face_agrees(bench: Bench, folder: Path) -> Check:
    """Load every language's file into `Wav2Vec2ForCTC` and `Wav2Vec2CTCTokenizer`, and compare in at least float32."""
    worst, largest, transcripts, differing = 0.0, 1.0, 0, []
    dtype = bench.exact_model.base.dtype
    for language, batch in bench.batches.items():
        path = folder / adapter_filename(language)
        slot = bench.active_languages[language].slot
        write_adapter(path, {name: tensor.to(dtype) for name, tensor in bench.components.bank.tensors(slot).items()})
        ours = bench.forward(batch.utterances, bench.exact_model)
        size = bench.components.bank.vocabulary_sizes[slot]
        theirs = _model(bench, path, size)
        samples_B = ours.collated.samples_B
        audio_BN = normalised(ours.collated.audio_BS, samples_B)
        mask_BN = torch.arange(audio_BN.shape[1]) < samples_B[:, None]
        logits_BTV = theirs(
            audio_BN.to(theirs.device, dtype), attention_mask=mask_BN.long().to(theirs.device)
        ).logits.cpu()
        ids_BT = logits_BTV.argmax(-1)
        frames_B = ours.batch.frames_B
        for row, frames in enumerate(frames_B.tolist()):
            own_TV = ours.logits_BTV[row, :frames, :size].cpu()
            worst = max(worst, float((own_TV - logits_BTV[row, :frames]).abs().max()))
            largest = max(largest, float(own_TV.abs().max()))
        vocabulary = bench.active_languages[language].vocabulary
        hypotheses = greedy(ours.logits_BTV[..., :size].argmax(-1).cpu().numpy(), frames_B.numpy(), vocabulary)
        tokenizer = _tokenizer(folder, vocabulary.nested(), language)
        for row, text in enumerate(hypotheses):
            transcripts += 1
            their_text = tokenizer.decode(ids_BT[row, : int(frames_B[row])].tolist())
            if _plain(their_text) != _plain(text):
                differing.append(language)
        del theirs
    name = str(dtype).removeprefix("torch.")
    share = worst / largest
    measured = f"logits differ by {share:.0e} of the largest ≤ {BOUND:.0e} in {name}; {transcripts} equal transcripts"
    if differing:
        measured = (
            f"{len(differing)} of {transcripts} transcripts differ, the first in {differing[0]}; logits differ by "
            f"{worst:.0e}"
        )
    claim = "Hugging Face loads the adapter files and gives the same logits and transcripts"
    return verdict("I8", claim, share <= BOUND and not differing, measured)


def _model(bench: Bench, path: Path, vocabulary_size: int) -> Any:
    """Load Hugging Face's model on the same base, with the tensors of the adapter file."""
    from transformers import Wav2Vec2ForCTC

    layout, base = bench.components.bank.layout, bench.exact_model.base
    with quiet():
        model = Wav2Vec2ForCTC.from_pretrained(
            base.path,
            adapter_attn_dim=layout.dim,
            vocab_size=vocabulary_size,
            pad_token_id=0,
            ignore_mismatched_sizes=True,
            dtype=base.dtype,
        )
    adapter = read_adapter(path, vocabulary_size=vocabulary_size)
    places = model._get_adapters()
    assert set(places) == set(adapter), "the file holds exactly what the library asks for"
    for name, tensor in adapter.items():
        places[name].copy_(tensor)
    return model.eval().to(base.device)


def _tokenizer(folder: Path, vocabulary: dict[str, dict[str, int]], language: str) -> Any:
    from transformers import Wav2Vec2CTCTokenizer

    path = folder / f"vocab.{language}.json"
    path.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    return Wav2Vec2CTCTokenizer(
        str(path),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        word_delimiter_token="|",
        target_lang=language,
    )


def _plain(text: str) -> str:
    """Remove sentence marks, which we drop and the tokenizer spells out, and double spaces."""
    return " ".join(text.replace("<s>", "").replace("</s>", "").split())
