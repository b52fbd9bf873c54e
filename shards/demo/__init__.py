"""The demo corpus: real recordings in five languages (see ATTRIBUTION.md), as input to ``shards build``."""

from pathlib import Path

DEMO_MANIFEST = Path(__file__).resolve().parent / "manifest.tsv"
