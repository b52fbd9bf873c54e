"""A job that `mms-dist submit` asks SLURM for: the command line of sbatch, and its variables.

sbatch itself ranks them: its command line before `SBATCH_…` variables (`slurm/site.sh`) before a script's `#SBATCH`
lines.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.slurm.site import read_site, site_for
from mms_dist.errors import ConfigError
from mms_dist.run_directory.paths import LOGS_NAME, RunPaths
from shards.storage import is_url

if TYPE_CHECKING:
    from mms_dist.config import Config

SCRIPTS = ("train", "shards", "eval", "transcribe", "debug")
ONE_MACHINE = ("shards", "eval", "transcribe")
ARRAYS = ("shards", "transcribe")
"""Scripts whose jobs may be arrays."""
EXPECTED = {
    "train": "CONFIG, such as configs/train/mms-300m.yaml, and settings such as --optim.lr 5e-4",
    "debug": "CONFIG, such as configs/train/mms-300m.yaml, and settings such as --optim.lr 5e-4",
    "eval": "RUN, such as runs/mms-300m",
    "shards": "SOURCE SHARDS, such as recordings.tsv corpus/",
    "transcribe": "MODEL and perhaps recordings, such as exported/ talks/",
}
NOT_PER_NODE = ("gpus", "gpus-per-task", "gpus-per-socket", "ntasks", "ntasks-per-gpu", "tres-per-task")
"""Options that do not set the number of processes per machine, since SLURM may distribute them unevenly."""
OF_SBATCH_ITSELF = ("help", "parsable", "quiet", "test-only", "usage", "verbose", "version", "wait", "wrap")
WRITTEN_BY = "# Written by `mms-dist submit`. To submit the same job again, run this file with bash."


@dataclass(frozen=True)
class JobTarget:
    """The input of a job. `folder` names the job and gets its logs; `config` is trained or debugged."""

    script: str
    folder: Path
    config: "Config | None" = None


@dataclass(frozen=True)
class Submission:
    """A job that has not been submitted yet."""

    script: str
    """One of `SCRIPTS`."""
    home: Path
    """The folder that has `slurm/`, in which the job will run."""
    flags: Mapping[str, str]
    """Options on sbatch's command line, by their long names; a flag's value is empty."""
    site: Mapping[str, str]
    """Variables `SBATCH_…`."""
    arguments: Sequence[str]
    """Arguments of the script."""
    log_folder: Path

    @property
    def name(self) -> str:
        return self.flags["job-name"]

    @property
    def words(self) -> list[str]:
        """The arguments of sbatch, to be run in `home`."""
        flags = [f"--{name}={value}" if value else f"--{name}" for name, value in self.flags.items()]
        return [*flags, f"slurm/{self.script}.sbatch", *self.arguments]

    @property
    def text(self) -> str:
        """A bash script that submits the job."""
        flags, rest = self.words[: len(self.flags)], self.words[len(self.flags) :]
        command = ["exec sbatch", *map(shlex.quote, flags), shlex.join(rest)]
        return "\n".join(
            [
                "#!/bin/bash",
                WRITTEN_BY,
                f"cd {shlex.quote(str(self.home))} || exit",
                'unset "${!SBATCH_@}"',
                *(f"export {name}={shlex.quote(value)}" for name, value in self.variables.items()),
                " \\\n    ".join(command) + "\n",
            ]
        )

    @property
    def options(self) -> dict[str, str]:
        """The sbatch options set by the site and the user, by name. The script may set more."""
        return _options_of(self.site) | dict(self.flags)

    @property
    def variables(self) -> dict[str, str]:
        """The variables that sbatch and the job need."""
        # Inside the job, sbatch's command line is not visible, but its variables are: see `lead_time.signal_of_job`.
        signal = {"SBATCH_SIGNAL": self.flags["signal"]} if self.flags.get("signal") else {}
        return {**self.site, **signal, "MMS_DIST_HOME": str(self.home)}

    def log(self, job: str) -> Path:
        """Return the log file of the job; for an array, that of its first task."""
        first = self.flags.get("array", "0").partition("-")[0]
        values = {"%x": self.name, "%A": job, "%j": job, "%a": first, "%%": "%"}
        return self.home / re.sub("%[xAja%]", lambda match: values[match[0]], self.flags["output"])


def parse_target(script: str, what: Sequence[str], settings: Sequence[str], options: Sequence[str] = ()) -> JobTarget:
    """Parse a script's arguments.

    Args:
        script: one of `SCRIPTS`.
        what: what the user named without an option.
        settings: of the configuration.
        options: for the command that the script runs.

    Raises:
        ConfigError: there are too few or too many, a named file does not exist, or the configuration is invalid.
    """
    from mms_dist.config import load_config  # takes time, and help must appear immediately

    if script == "transcribe":
        return JobTarget(script, _output_folder([*what, *options]))
    if len(what) != (2 if script == "shards" else 1):
        raise ConfigError(f"--script {script}: found {' '.join(what)}, expected {EXPECTED[script]}")
    if script in ("train", "debug"):
        config = load_config(what[0], settings)
        return JobTarget(script, Path(config.run.directory), config)
    if script == "eval":
        run = Path(what[0])
        stored = RunPaths(run).config
        if not stored.is_file():
            raise ConfigError(f"{stored} does not exist", fix="pass the run directory of a trained run")
        load_config(stored, settings)
        return JobTarget(script, run)
    if settings:
        raise ConfigError(
            f"--script shards: found {settings[0]}, but building shards has no configuration", fix="leave it out"
        )
    source, shards = what
    if not Path(source).exists():
        raise ConfigError(f"{source} does not exist", fix="pass a manifest (.tsv, .jsonl) or a folder of recordings")
    # The logs of a build on a server are here, in a folder of the same name.
    return JobTarget(script, Path(shards.rstrip("/").rpartition("/")[2]) if is_url(shards) else Path(shards))


def _output_folder(arguments: Sequence[str]) -> Path:
    """Return the folder for the transcripts, after checks of all that can be known before the job.

    Raises:
        CheckpointError: the model lacks a language.
        ConfigError: an option cannot be used in a job that is requeued and goes on.
        DataError: the model, a recording, a list or a language model does not exist, or a language is missing.
    """
    from launcher.cli import Parser, split_settings
    from launcher.commands import transcribe
    from mms_dist.language_model.finding import find_model
    from mms_dist.transcription.inputs import check_named, check_outputs, find_items, languages_of

    parser = Parser(prog="mms-dist")
    transcribe.add_parser(parser.add_subparsers(required=True))
    settings, others = split_settings(arguments)
    args = parser.parse_args(["transcribe", *others])
    if args.to is None:
        raise ConfigError(
            "--script transcribe: found no folder for the transcripts",
            fix='name it with the other options, as in --options="--list talks.tsv --to texts/"',
        )
    if args.force:
        raise ConfigError(
            "--script transcribe: found --force, with which a requeued task would begin anew each time",
            fix="choose another folder with --to, or remove the transcripts that are to be made again",
        )
    items = find_items(args.audio, args.lists, args.lang)
    if any(item.path is None for item in items):
        raise ConfigError(
            "--script transcribe: found - (standard input), which a job does not have", fix="give files or a list"
        )
    check_outputs(items)
    check_named(items)
    languages = languages_of(items)
    _check_model(args.model, languages, settings)
    for language in languages if args.lm else ():
        find_model(args.lm, language)
    return Path(args.to)


def _check_model(place: str, languages: Sequence[str], settings: Sequence[str]) -> None:
    """
    Raises:
        CheckpointError, ConfigError, DataError: it is not a run, an export or an MMS model with these languages.
    """
    from mms_dist.checkpoint.adapter_folder import AdapterFolder
    from mms_dist.checkpoint.choice import choose_languages
    from mms_dist.checkpoint.store import CheckpointStore
    from mms_dist.config import load_config

    run = RunPaths(place)
    if run.config.is_file():
        load_config(run.config, settings)
        with CheckpointStore(run.adapters, keep=1) as store:
            choose_languages(store.languages(), languages, run.adapters)
        return
    folder = AdapterFolder(place)
    for language in languages:
        folder.vocabulary(language)


def prepare(
    script: str,
    arguments: Sequence[str],
    *,
    home: Path,
    folder: Path,
    flags: Mapping[str, str],
    environment: Mapping[str, str],
) -> Submission:
    """Put a job's command together.

    Args:
        script: one of `SCRIPTS`.
        arguments: of the script.
        home: the folder that has `slurm/`, in which the job will run.
        folder: the folder that the job works on: it names the job, and its subfolder gets the logs.
        flags: sbatch's options from the command line.
        environment: of this process.

    Raises:
        ConfigError: a script or the site's file is missing, or an option cannot be used.
    """
    if not (home / "slurm" / f"{script}.sbatch").is_file():
        raise ConfigError(
            f"{home / 'slurm' / script}.sbatch does not exist",
            fix="run this in a clone of the repository, or in a folder that `mms-dist init` has filled",
        )
    site = site_for(script, read_site(home / "slurm" / "site.sh", environment), flags)
    _check_options(script, flags, site)
    log_folder = folder / LOGS_NAME
    pattern = "%x-%A-%a.out" if "array" in flags else "%x-%j.out"
    output = str(log_folder.absolute()).replace("%", "%%") + "/" + pattern
    tag = re.sub(r"[^\w.+-]+", "-", folder.resolve().name) or "run"
    defaults = {"job-name": f"mms-{script}-{tag}", "output": output}
    return Submission(
        script=script,
        home=home,
        flags=defaults | dict(flags),
        site=site,
        arguments=arguments,
        log_folder=log_folder,
    )


def _options_of(site: Mapping[str, str]) -> dict[str, str]:
    """Return the options that variables `SBATCH_…` stand for."""
    return {name.removeprefix("SBATCH_").lower().replace("_", "-"): value for name, value in site.items()}


def _check_options(script: str, flags: Mapping[str, str], site: Mapping[str, str]) -> None:
    """
    Raises:
        ConfigError: sbatch would accept an option, but the job could not work as meant.
    """
    for name in flags:
        if name in OF_SBATCH_ITSELF:
            raise ConfigError(
                f"--sbatch {name}: this is an option of the sbatch command, expected an option of the job",
                fix="leave it out",
            )
    if script not in ARRAYS and "array" in flags:
        raise ConfigError(
            f"--array={flags['array']}: the {script} script is a single job",
            fix=f"use a job array (--tasks N) only with --script {' or '.join(ARRAYS)}",
        )
    if script in ONE_MACHINE:
        if flags.get("nodes", "1") != "1":
            fix = "use more tasks with --tasks N" if script in ARRAYS else "leave --nodes out"
            raise ConfigError(f"--nodes: found {flags['nodes']}, but the {script} script runs on one machine", fix=fix)
        return
    of_site = _options_of(site)
    for name, value in (of_site | dict(flags)).items():
        if name in NOT_PER_NODE and value:
            raise ConfigError(
                f"--{name}={value} (from --sbatch or slurm/site.sh) can give machines different numbers of processes",
                fix="request the same number on each: --gpus-per-node G, or --processes-per-node P without GPUs",
            )
    for name in ("mem-per-gpu", "mem-per-cpu"):
        if of_site.get(name):
            raise ConfigError(
                f"SBATCH_{name.upper().replace('-', '_')}={of_site[name]}: sbatch ignores this variable, because the "
                f"{script} script has a line --mem",
                fix="set the memory of a machine instead, with SBATCH_MEM_PER_NODE in slurm/site.sh",
            )
