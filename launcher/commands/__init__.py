"""One module per command of `mms-dist`; the module's name is the command's.

A module defines `add_parser(subparsers)`, which adds one parser of that name with a one-line `help`, and
`run(args) -> int`, which returns the exit status. `ACCEPTS_SETTINGS = True` lets the command take dotted
settings such as `--optim.lr 5e-4`; they arrive, as written, in `args.settings`.
Modules import what is heavy (torch, transformers, pyarrow) inside `run`, so that help appears at once.
"""
