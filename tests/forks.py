"""Processes of their own for tests, without the seconds that importing torch takes.

One server process imports everything once; processes are forked from it in milliseconds. It runs nothing itself,
so no thread, no process group and no random state is inherited.
"""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "tests.distributed.worker",
        "tests.training",
        "torch.utils.tensorboard",
        "transformers.models.wav2vec2.modeling_wav2vec2",
    ]
)
