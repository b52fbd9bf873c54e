"""How fast this machine trains: a few rounds of the user's own configuration, in a folder that goes at the end."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from mms_dist.checkpoint.store import CheckpointStore
from mms_dist.config import Config
from mms_dist.debugging.rounds import SilentMonitor
from mms_dist.distributed.device import use_device
from mms_dist.training.assembly import assemble, load_base, resolved_alone
from mms_dist.training.census import LanguageEntry, take_census
from mms_dist.training.devices import set_threads
from mms_dist.training.restore import fresh_start

LANGUAGES = 4
WARM_ROUNDS, ROUNDS = 2, 5


def measured_speed(config: Config, census: Sequence[LanguageEntry]) -> float:
    """Audio seconds that one process trains on in a second: the median of a few rounds, the first ones left out.

    A CPU keeps the front end's output of audio that it has met before; these rounds meet all of theirs first.

    Raises:
        MmsDistError, ShardsError: what a user can mend.
    """
    set_threads(config.run.threads)
    device = use_device(config.run.device)
    resolved = resolved_alone(config, census, device)
    longest = sorted(census, key=lambda entry: -entry.seconds)[:LANGUAGES]
    with tempfile.TemporaryDirectory(prefix="mms-dist-plan-") as folder:
        short = _shortened(config, [entry.language for entry in longest], Path(folder) / "run")
        index, entries = take_census(short)
        directory = Path(short.run.directory)
        with (
            CheckpointStore(directory / "adapters", keep=1) as store,
            SilentMonitor(directory, [entry.plan() for entry in entries]) as monitor,
            assemble(
                short,
                index,
                entries,
                load_base(short, device, resolved),
                fresh_start(entries),
                store,
                monitor,
                resolved=resolved,
            ) as parts,
        ):
            parts.loop.run()
            store.drain()
            return median(line.audio_seconds / line.seconds for line in monitor.rounds[WARM_ROUNDS:])


def _shortened(config: Config, languages: Sequence[str], directory: Path) -> Config:
    """A few rounds of a few languages; batches, forward passes and base as they are."""
    rounds = WARM_ROUNDS + ROUNDS
    own = {}
    for language in languages:
        sections = dict(config.languages.get(language, {}))
        sections["optim"] = dict(sections.get("optim", {})) | {"steps": rounds, "warmup_steps": 0}
        sections["stopping"] = {"patience": None, "target_cer": None}
        own[language] = sections
    return replace(
        config,
        run=replace(config.run, directory=str(directory)),
        data=replace(config.data, languages=tuple(languages)),
        rounds=replace(config.rounds, slots=len(languages)),
        evaluation=replace(config.evaluation, every_steps=rounds, max_utterances=1),
        checkpoint=replace(config.checkpoint, every_rounds=rounds),
        languages=own,
    )
