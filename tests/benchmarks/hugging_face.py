"""The Hugging Face adapter recipe, one language after another: the process the comparator times.

    python -m tests.benchmarks.hugging_face JOB.json RESULT.json

`Wav2Vec2ForCTC` with adapters of dimension 16, everything but adapters and head frozen, trained by `Trainer` and saved
as `adapter.<lang>.safetensors`. Made as fast as its options allow:

* `freeze_feature_encoder` as well, so that backpropagation ends at the lowest adapter;
* audio decoded and normalised once and held in memory, so that an epoch costs a padding copy and no worker is needed;
* batches of similar lengths: the very batches that mms-dist trains on (`planned`), or `group_by_length` (`grouped`);
* the fused AdamW, sdpa attention, no logging, no evaluation, no checkpoints but the adapter at the end;
* in bf16 the base is loaded in bf16. `autocast` keeps the adapters in float32 under `bf16=True`, as mms-dist does;
  `pure` holds and steps them in bf16 too, which is faster and loses small updates.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

STARTED = perf_counter()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from transformers import Trainer, TrainingArguments, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC  # noqa: E402

from mms_dist.config import Config, load_config  # noqa: E402
from mms_dist.data.stream import LanguageStream, Position  # noqa: E402
from mms_dist.model.base_files import resolve_base  # noqa: E402
from shards.index import ShardIndex  # noqa: E402
from shards.read import ShardReader  # noqa: E402


@dataclass(frozen=True)
class Job:
    """Attributes:
    config: the configuration mms-dist trains with.
    languages: trained in turn in this process.
    batches: `planned` or `grouped`.
    precision: `float32`, `autocast` or `pure`.
    """

    config: str
    languages: list[str]
    batches: str
    precision: str
    output: str


def main(job_path: str, result_path: str) -> None:
    job = Job(**json.loads(Path(job_path).read_text(encoding="utf-8")))
    config = load_config(job.config, [])
    if config.run.threads is not None:
        torch.set_num_threads(config.run.threads)
    index = ShardIndex.load(config.data.shards, job.languages)
    imported = perf_counter()
    reader = ShardReader(index)
    results = [train_language(job, config, index, reader, language) for language in job.languages]
    reader.close()
    totals = {name: sum(result[name] for result in results) for name in results[0]}
    Path(result_path).write_text(json.dumps({"import_seconds": imported - STARTED, **totals}), encoding="utf-8")


def train_language(job: Job, config: Config, index: ShardIndex, reader: ShardReader, language: str) -> dict[str, float]:
    """Train and save one language; seconds of its parts, and the audio it was trained on."""
    began = perf_counter()
    examples, stream = read_examples(config, index, reader, language)
    read = perf_counter()
    model = adapter_model(config, len(index.language(language).vocabulary), job.precision)
    loaded = perf_counter()
    trainer = recipe(job, config, model, examples, planned_batches(stream, config.optim.steps))
    cpu_began = process_time()
    outcome = trainer.train()
    trained, train_cpu = perf_counter(), process_time() - cpu_began
    folder = Path(job.output)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in model._get_adapters().items()}
    save_file(tensors, folder / f"adapter.{language}.safetensors", metadata={"format": "pt"})
    assert outcome.global_step == config.optim.steps
    return {
        "read_seconds": read - began,
        "load_seconds": loaded - read,
        "train_seconds": trained - loaded,
        "train_cpu_seconds": train_cpu,
        "save_seconds": perf_counter() - trained,
        "updates": outcome.global_step,
        "audio_seconds": trainer.collator.samples / 16_000,
        "loss": outcome.training_loss,
    }


def read_examples(
    config: Config, index: ShardIndex, reader: ShardReader, language: str
) -> tuple[list[dict[str, Any]], LanguageStream]:
    """All training utterances, normalised and labelled, and the plan of their epochs."""
    entry = index.language(language)
    table = entry.table("train")
    optim, data = config.for_language(language).optim, config.data
    stream = LanguageStream(
        table,
        language=language,
        seed=config.run.seed,
        batch_seconds=optim.batch_seconds,
        window_shards=data.window_shards,
    )
    examples = []
    for row in table.rows:
        raw = reader.read(language, "train", int(row))
        audio = raw.audio.astype(np.float32) / 32_768
        normal = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
        examples.append({"input_values": normal, "labels": entry.vocabulary.encode(raw.text)})
    return examples, stream


def planned_batches(stream: LanguageStream, steps: int) -> list[list[int]]:
    """The places of the utterances of the first `steps` optimizer batches."""
    batches, position = [], Position()
    for _ in range(steps):
        batches.append(stream.at(position).tolist())
        position = stream.next(position)
    return batches


def adapter_model(config: Config, vocabulary: int, precision: str) -> Wav2Vec2ForCTC:
    """The base with a new head and adapters, all else frozen."""
    quiet = dict.fromkeys(
        ("attention_dropout", "hidden_dropout", "activation_dropout", "feat_proj_dropout", "final_dropout"), 0.0
    )
    model = Wav2Vec2ForCTC.from_pretrained(
        resolve_base(config.model.base),
        dtype=torch.float32 if precision == "float32" else torch.bfloat16,
        attn_implementation="sdpa",
        adapter_attn_dim=config.adapter.dim,
        vocab_size=vocabulary,
        pad_token_id=0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        layerdrop=0.0,
        mask_time_prob=config.augment.time_prob,
        mask_time_length=config.augment.time_length,
        **quiet,
    )
    model.freeze_base_model()
    model.freeze_feature_encoder()
    for parameter in model._get_adapters().values():
        parameter.requires_grad_()
        if precision == "autocast":
            parameter.data = parameter.data.float()
    return model


class Collator:
    """Pads a batch, its audio in the type that the model takes; counts the audio that passes."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.samples = 0

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [len(example["input_values"]) for example in examples]
        labels = [example["labels"] for example in examples]
        self.samples += sum(lengths)
        audio = np.zeros((len(examples), max(lengths)), dtype=np.float32)
        mask = np.zeros(audio.shape, dtype=np.int64)
        targets = np.full((len(examples), max(map(len, labels))), -100, dtype=np.int64)
        for row, example in enumerate(examples):
            audio[row, : lengths[row]] = example["input_values"]
            mask[row, : lengths[row]] = 1
            targets[row, : len(labels[row])] = labels[row]
        return {
            "input_values": torch.from_numpy(audio).to(self.dtype),
            "attention_mask": torch.from_numpy(mask),
            "labels": torch.from_numpy(targets),
        }


class RecipeTrainer(Trainer):
    """The stock Trainer; with a plan, on the batches of the plan."""

    collator: Collator
    plan: list[list[int]] | None

    def get_train_dataloader(self) -> DataLoader:
        if self.plan is None:
            return super().get_train_dataloader()
        return DataLoader(self.train_dataset, batch_sampler=self.plan, collate_fn=self.collator)


def recipe(
    job: Job, config: Config, model: Wav2Vec2ForCTC, examples: list[dict[str, Any]], plan: list[list[int]]
) -> RecipeTrainer:
    """The Trainer with as many updates, as much audio in each, and the same optimizer settings."""
    optim = config.optim
    per_update = max(1, round(sum(map(len, plan)) / len(plan)))
    arguments = TrainingArguments(
        output_dir=job.output,
        use_cpu=True,
        bf16=job.precision == "autocast",
        max_steps=optim.steps,
        per_device_train_batch_size=per_update,
        train_sampling_strategy="group_by_length" if job.batches == "grouped" else "random",
        learning_rate=optim.lr,
        warmup_steps=optim.warmup_steps,
        lr_scheduler_type="linear",
        adam_beta1=optim.betas[0],
        adam_beta2=optim.betas[1],
        max_grad_norm=optim.clip_norm,
        optim="adamw_torch_fused",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        seed=config.run.seed,
    )
    collator = Collator(torch.bfloat16 if job.precision == "pure" else torch.float32)
    trainer = RecipeTrainer(
        model=model,
        args=arguments,
        train_dataset=examples,
        data_collator=collator,
        processing_class=Wav2Vec2FeatureExtractor(),  # says what to measure lengths by
    )
    trainer.collator, trainer.plan = collator, plan if job.batches == "planned" else None
    return trainer


if __name__ == "__main__":
    main(*sys.argv[1:])
