"""One module per `mms-dist` command, named after the command.

A module defines `add_parser(subparsers)`, which adds one parser of that name with a one-line `help`, and
`run(args) -> int`, which returns the exit status. `ACCEPTS_SETTINGS = True` lets the command take dotted
settings such as `--optim.lr 5e-4`; they arrive unparsed in `args.settings`.
Modules import heavy packages (torch, transformers, pyarrow) inside `run`, so that help appears immediately.
"""
