"""What the schema of a dataset says: which columns hold recordings, and what its numbers stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def bytes_path(field: pa.Field) -> tuple[str, ...] | None:
    """Return the path of the column that holds the bytes of recordings; None if the field holds none."""
    import pyarrow as pa

    if pa.types.is_struct(field.type):
        if field.type.get_field_index("bytes") < 0:
            return None
        return (field.name, "bytes") if _is_binary(field.type.field("bytes").type) else None
    if _is_binary(field.type):
        return (field.name,)
    is_list = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    return (field.name,) if is_list and field.type.value_type in (pa.int8(), pa.uint8()) else None


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def holds_text(field: pa.Field) -> bool:
    """Whether a field holds text, such as the paths of recordings."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def class_labels(metadata: Mapping[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """Return the names that numbers stand for, by column, from the features that `datasets` stores with a schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return labels_of(features)
    except (KeyError, TypeError, ValueError):
        return {}


def labels_of(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return the names that numbers stand for, by column, from the features of a dataset."""
    return {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
