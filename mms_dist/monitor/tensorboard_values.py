"""Values of TensorBoard's event files: scalars, texts, audio, and what the HParams and Custom Scalars pages need."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import soundfile
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.audio import metadata as audio_metadata
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar_metadata
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.text import metadata as text_metadata

from shards.schema import SAMPLE_RATE


def scalars(prefix: str, values: Mapping[str, float]) -> list[Summary.Value]:
    """Return values tagged `prefix/name`."""
    return [Summary.Value(tag=f"{prefix}/{name}", simple_value=value) for name, value in values.items()]


def text(tag: str, content: str, description: str) -> Summary.Value:
    """Return a text in Markdown."""
    return _strings(tag, [content.encode()], [], text_metadata.create_summary_metadata("", description))


def audio(tag: str, content: bytes, description: str) -> Summary.Value:
    """Return a recording, given the content of a WAV file."""
    metadata = audio_metadata.create_summary_metadata("", description, audio_metadata.Encoding.Value("WAV"))
    return _strings(tag, [content, b""], [1, 2], metadata)  # one recording and its label, which is no longer shown


def wav(samples: np.ndarray) -> bytes:
    """Encode 16-bit samples at 16 kHz as a WAV file of 8 bits a sample (µ-law), which every browser plays."""
    target = io.BytesIO()
    soundfile.write(target, samples, SAMPLE_RATE, format="WAV", subtype="ULAW")
    return target.getvalue()


def experiment(columns: Mapping[str, type], metrics: Mapping[str, str]) -> Summary.Value:
    """Return the columns of the HParams page.

    Args:
        columns: names, each with the type of its values: `str` or `float`.
        metrics: tags of scalars, each with its title.
    """
    found = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_STRING if kind is str else api_pb2.DATA_TYPE_FLOAT64)
            for name, kind in columns.items()
        ],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=title) for tag, title in metrics.items()
        ],
    )
    return _hparams(hparams_metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=found))


def session_start(columns: Mapping[str, str | float], seconds: float) -> Summary.Value:
    """Return the row of one run on the HParams page, given the time in seconds since the epoch."""
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=seconds)
    for name, value in columns.items():
        if isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    return _hparams(hparams_metadata.SESSION_START_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_start_info=info))


def session_end(succeeded: bool, seconds: float) -> Summary.Value:
    """Return how the run of a row on the HParams page ended, and when."""
    status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=seconds)
    return _hparams(hparams_metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=info))


def layout(categories: Mapping[str, Sequence[layout_pb2.Chart]]) -> Summary.Value:
    """Return the layout of the Custom Scalars page: charts by category."""
    found = layout_pb2.Layout(category=[layout_pb2.Category(title=t, chart=own) for t, own in categories.items()])
    metadata = custom_scalar_metadata.create_summary_metadata()
    return _strings(custom_scalar_metadata.CONFIG_SUMMARY_TAG, [found.SerializeToString()], [], metadata)


def margin_chart(title: str, middle: str, low: str, high: str) -> layout_pb2.Chart:
    """Return a chart of one curve with a band around it, given their tags."""
    series = layout_pb2.MarginChartContent.Series(value=middle, lower=low, upper=high)
    return layout_pb2.Chart(title=title, margin=layout_pb2.MarginChartContent(series=[series]))


def line_chart(title: str, tags: Sequence[str]) -> layout_pb2.Chart:
    """Return a chart of several curves, given regular expressions of their tags."""
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))


def _strings(tag: str, contents: Sequence[bytes], shape: Sequence[int], metadata: SummaryMetadata) -> Summary.Value:
    dimensions = [TensorShapeProto.Dim(size=size) for size in shape]
    tensor = TensorProto(dtype=DT_STRING, string_val=contents, tensor_shape=TensorShapeProto(dim=dimensions))
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)


def _hparams(tag: str, content: plugin_data_pb2.HParamsPluginData) -> Summary.Value:
    metadata = hparams_metadata.create_summary_metadata(content)
    return Summary.Value(tag=tag, metadata=metadata, tensor=hparams_metadata.NULL_TENSOR)
