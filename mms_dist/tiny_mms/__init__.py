"""The small MMS-shaped base that ships with mms-dist, and the code that trained it."""

from pathlib import Path

TINY_MMS_FOLDER = Path(__file__).resolve().parent
