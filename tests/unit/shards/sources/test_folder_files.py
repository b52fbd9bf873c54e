"""A folder of recordings is read one folder at a time, in the order of its paths."""

import os
import tracemalloc

from shards.sources.registry import read_source, source_named
from shards.sources.rows import SourceRow
from shards.sources.source import SourceOptions
from shards.sources.source_place import SourcePlace
from tests.layouts.folder import lay_out


def test_rows_are_sorted_by_path_also_where_files_lie_beside_folders(tmp_path):
    names = "b.wav a/eng/x.wav a/eng/y/eng/z.wav a/eng/zz.wav a.b/eng/c.wav a-b/eng/c.wav c/eng/w.wav->../../b.wav"
    lay_out(tmp_path, names + " c/eng/x.wav->../../a/eng/x.wav B.wav")
    found = [row.name for row in read_source(tmp_path, language="eng")]
    assert found == sorted(found, key=lambda name: name.split("/")) and len(found) == 6


def test_the_files_of_one_folder_at_a_time_are_in_memory(tmp_path):
    (tmp_path / "clip").write_bytes(b"unu doi")
    peaks = []
    for folders in (10, 60):
        for number in range(folders):
            folder = tmp_path / str(folders) / "eng" / "train" / f"speaker{number:03}"
            folder.mkdir(parents=True)
            for clip in range(40):
                os.link(tmp_path / "clip", folder / f"{clip:030}.wav")
                os.link(tmp_path / "clip", folder / f"{clip:030}.txt")
        source = source_named("folder").read(SourcePlace(str(tmp_path / str(folders))), SourceOptions())
        tracemalloc.start()
        assert sum(isinstance(found, SourceRow) for found in source) == folders * 40
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2000 * 100  # 2,000 more clips, whose names alone are longer than 100 bytes
