"""Let `python -m launcher` run `mms-dist`."""

from launcher.cli import run

if __name__ == "__main__":
    run()
