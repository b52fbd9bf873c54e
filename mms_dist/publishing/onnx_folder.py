"""Write a language as ONNX files: float32, int8 and tokens.txt, compared with torch on real recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mms_dist.checkpoint.adapter_file import check_adapter
from mms_dist.checkpoint.hugging_face import ExportedBase
from mms_dist.config import Config
from mms_dist.errors import ConfigError
from mms_dist.language_names import language_name
from mms_dist.publishing.export import UNPUBLISHED, Described, WrittenFolder
from mms_dist.publishing.exported_language import format_error_rate
from mms_dist.publishing.onnx_check import compare, read_recordings, table_of
from mms_dist.publishing.onnx_graph import check_packages, tokens_text, write_graph, write_quantised
from mms_dist.usage_programs import sherpa_usage
from shards.schema import SAMPLE_RATE
from shards.vocabulary import Vocabulary

FLOAT32_NAME, INT8_NAME, TOKENS_NAME = "model.onnx", "model.int8.onnx", "tokens.txt"
_NOT_COMPARED = "They were not compared: the export was asked to skip that (`--check-utterances 0`)."


@dataclass
class OnnxWriter:
    """Writes folders of one language each.

    Args:
        config: the run's configuration, which says where the recordings are.
        check_utterances: how many utterances to compare on; 0: none.
    """

    base: ExportedBase
    config: Config
    check_utterances: int

    def write(
        self, folder: Path, described: Iterator[Described], *, published_as: str | None, dry_run: bool
    ) -> WrittenFolder:
        """Write the files of the one language. A dry run reads the recordings, and estimates the size of the files.

        Raises:
            OnnxError: the float32 file's logits differ from torch's.
            DataError, ShardsError: the recordings cannot be read.
        """
        ((snapshot, item),) = described
        adapter = {name: tensor.float() for name, tensor in snapshot.adapter.items()}
        shape = check_adapter(adapter)
        vocabulary = Vocabulary.from_nested(snapshot.vocabulary, item.language)
        (folder / TOKENS_NAME).write_text(tokens_text(vocabulary), encoding="utf-8")
        read = read_recordings(self.config, item.language, self.check_utterances) if self.check_utterances else None
        title = f"{language_name(item.language) or item.language}: MMS as ONNX"
        usage = sherpa_usage(published_as or UNPUBLISHED, FLOAT32_NAME, on_hub=published_as is not None)
        if dry_run:
            planned = dict(zip((FLOAT32_NAME, INT8_NAME), self.base.planned_onnx(shape), strict=True))
            return WrittenFolder((item,), shape.dim, usage, planned, title, _NOT_COMPARED)
        metadata = {
            "language": item.language,
            "sample_rate": str(SAMPLE_RATE),
            "vocab_size": str(len(vocabulary)),
            "step": str(item.step),
        }
        paths = [folder / FLOAT32_NAME, folder / INT8_NAME]
        module = write_graph(self.base.model(adapter, shape), paths[0], metadata)
        write_quantised(paths[0], paths[1])
        if read is None:
            return WrittenFolder((item,), shape.dim, usage, {}, title, _NOT_COMPARED)
        check = compare(module, paths, vocabulary, *read)
        same, of = check.files[0].same_texts, f"{check.torch.utterances:,} {check.split} utterances"
        rate = format_error_rate(check.files[0].scores.cer)
        note = f"{item.language}: {FLOAT32_NAME} gives torch's text of {same:,} of {of} (CER {rate}); {check.verdict}"
        return WrittenFolder((item,), shape.dim, usage, {}, title, table_of(check), (note,))


def onnx_writer_of(
    config: Config, check_utterances: int, *, adapters_only: bool, dtype: str | None
) -> Callable[[ExportedBase], OnnxWriter]:
    """Return what makes the writer of ONNX files, once the packages and options are checked.

    Raises:
        ConfigError: a package is missing, or an option does not go with ONNX files.
    """
    if adapters_only or dtype not in (None, "float32"):
        option = "--adapters-only" if adapters_only else f"--dtype {dtype}"
        raise ConfigError(
            f"{option} does not go with --onnx, which writes base and adapter as float32 and int8",
            fix=f"leave out {option}",
        )
    check_packages()
    return lambda base: OnnxWriter(base, config, check_utterances)
