"""What a process of the Hugging Face recipe does before its second update; its caller times it from outside.

    python -m tests.gpu.recipe_start SHAPE [--compiled] [--smoke]

The base is made at random on the device, which takes less than reading one from a disk.
"""

import sys


def main(words: list[str]) -> None:
    import torch

    from tests.gpu.bases import config_of
    from tests.gpu.recipe import Recipe
    from tests.gpu.speech import round_of

    smoke = "--smoke" in words
    device = torch.device("cpu" if smoke else "cuda:0")
    dtype = torch.float32 if smoke else torch.bfloat16
    recipe = Recipe(config_of(words[0], tiny=smoke), dtype, device, compiled="--compiled" in words)
    seconds = 2.0 if smoke else 160.0
    recipe.train(recipe.cut(round_of(1, seconds), seconds=seconds)[:1])
    if not smoke:
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main(sys.argv[1:])
