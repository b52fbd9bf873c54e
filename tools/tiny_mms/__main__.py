"""Train the shipped base from scratch: ``python -m tools.tiny_mms --help``."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from tools.tiny_mms.corpus import TEST_KINDS, CorpusPlan, build_corpus
from tools.tiny_mms.export import export_base
from tools.tiny_mms.languages import BASE_LANGUAGES, UNSEEN_LANGUAGES
from tools.tiny_mms.measure import phone_error_rate
from tools.tiny_mms.network import PhoneRecognizer
from tools.tiny_mms.phases import PHASES, Budget, Phase, train_phase
from tools.tiny_mms.recordings import SCRIPTS
from tools.tiny_mms.store import SpeechStore
from tools.tiny_mms.texts import (
    TextSource,
    babel_phrases,
    dialogue_phrases,
    django_phrases,
    number_phrases,
)

_TEXT_SOURCES: dict[str, TextSource] = {
    "django": django_phrases,
    "babel": babel_phrases,
    "numbers": number_phrases,
}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.tiny_mms", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished base")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus; built there if missing")
    parser.add_argument("--recordings", type=Path, help="unpacked fillets-ng-data packages (default: no recordings)")
    parser.add_argument("--demo", type=Path, help="manifest of the demo corpus, used only to evaluate")
    parser.add_argument("--texts", nargs="+", choices=sorted(_TEXT_SOURCES), default=sorted(_TEXT_SOURCES))
    parser.add_argument("--languages", nargs="+", help="only these espeak-ng voices (default: all)")
    parser.add_argument("--seconds-per-language", type=float, default=1800.0, help="synthetic speech")
    parser.add_argument("--seconds", type=float, default=3600.0, help="training time of all phases together")
    parser.add_argument("--steps-limit", type=int, help="maximum steps per phase")
    parser.add_argument("--batch-seconds", type=float, default=30.0)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export-every-seconds", type=float, default=180.0)
    parser.add_argument("--from-phase", choices=[phase.name for phase in PHASES], help="resume at this phase")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def corpus_plan(arguments: argparse.Namespace) -> CorpusPlan:
    """Return the corpus that ``arguments`` ask for."""
    languages = [one for one in BASE_LANGUAGES if not arguments.languages or one.voice in arguments.languages]
    sources = [_TEXT_SOURCES[name] for name in arguments.texts]
    if arguments.recordings:
        sources.append(dialogue_phrases(arguments.recordings / SCRIPTS))
    return CorpusPlan(
        languages=tuple(languages),
        unseen_languages=UNSEEN_LANGUAGES,
        sources=tuple(sources),
        seconds_per_language=arguments.seconds_per_language,
        unseen_seconds_per_language=min(60.0, arguments.seconds_per_language),
        recordings_folder=arguments.recordings,
        demo_manifest=arguments.demo,
        processes=arguments.threads,
        seed=arguments.seed,
    )


class Reporter:
    """Prints the running loss, and exports the base from time to time so that it can be tested during training."""

    def __init__(self, model: PhoneRecognizer, out: Path, export_every_seconds: float) -> None:
        self._model, self._out, self._every_seconds = model, out, export_every_seconds
        self._exported_at = self._printed_at = time.monotonic()
        self._losses: list[float] = []

    def __call__(self, phase: Phase, step: int, progress: float, loss: float, audio_seconds: float) -> None:
        """See ``train_phase``."""
        now = time.monotonic()
        self._losses.append(loss)
        if now - self._printed_at >= 15.0:
            mean = float(np.mean(self._losses))
            trained = f"trained on {audio_seconds / 3600:.2f} h"
            print(f"{phase.name} {progress:6.1%} step {step} loss {mean:.3f} {trained}", flush=True)
            self._printed_at, self._losses = now, []
        if now - self._exported_at >= self._every_seconds:
            export_base(self._model, self._out)
            self._exported_at = now


def main(arguments: list[str] | None = None) -> None:
    """Build the corpus if it is missing, train the three phases, evaluate, export."""
    parsed = parse_arguments(arguments)
    torch.set_num_threads(parsed.threads)
    torch.manual_seed(parsed.seed)
    if not (parsed.corpus / "table.npz").is_file():
        build_corpus(parsed.corpus, corpus_plan(parsed))
    store = SpeechStore(parsed.corpus)
    model = PhoneRecognizer(len(store.inventory), parsed.layers)
    budget = Budget(parsed.seconds, parsed.batch_seconds, parsed.steps_limit, parsed.seed)
    report = Reporter(model, parsed.out, parsed.export_every_seconds)
    names = [phase.name for phase in PHASES]
    first = names.index(parsed.from_phase) if parsed.from_phase else 0
    if first:
        model.load_state_dict(torch.load(parsed.corpus / f"after-{names[first - 1]}.pt", weights_only=True))
    for phase in PHASES[first:]:
        audio_seconds = train_phase(model, store, phase, budget, report)
        torch.save(model.state_dict(), parsed.corpus / f"after-{phase.name}.pt")
        export_base(model, parsed.out)
        print(f"phase {phase.name}: trained on {audio_seconds / 3600:.2f} h of audio")
        for kind in TEST_KINDS:
            if len(indices := store.where(kind)):
                print(f"phone error rate, {kind}: {phone_error_rate(model, store, indices):.3f}", flush=True)


if __name__ == "__main__":
    main()
