"""What only a GPU can show: `python -m tests.gpu --help`, `torchrun -m tests.gpu.many --help`, and docs/gpu.md."""
