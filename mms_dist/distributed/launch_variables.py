"""Check a launcher's environment variables (rank, world size, address) before anything waits because of them."""

from collections.abc import Mapping

from mms_dist.errors import ConfigError

_FIX = (
    "start the processes with accelerate launch or torchrun, which set all of them, or set "
    "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for every process; to train with one process, unset "
    "RANK, WORLD_SIZE and LOCAL_RANK"
)
_LARGEST_PORT = 65535


def check_launch_variables(environment: Mapping[str, str]) -> None:
    """Check that the variables are complete and consistent; otherwise the process would wait for ranks that never come.

    An empty variable counts as missing. LOCAL_RANK may be missing; it is then counted from all ranks' machines.

    Raises:
        ConfigError: they are not; names the variables.
    """
    world = _number(environment, "WORLD_SIZE", least=1)
    rank = _number(environment, "RANK", least=0)
    local_rank = _number(environment, "LOCAL_RANK", least=-1)  # some launchers set -1 for a single process
    local_world = _number(environment, "LOCAL_WORLD_SIZE", least=1)
    if world is None:
        for name, value in (("RANK", rank), ("LOCAL_RANK", local_rank)):
            if value is not None and (name == "RANK" or value > 0):
                raise ConfigError(f"{name} is {value}, but WORLD_SIZE is missing", fix=_FIX)
        return
    if rank is not None and rank >= world:
        raise ConfigError(f"RANK is {rank} and WORLD_SIZE is {world}, expected RANK from 0 to {world - 1}", fix=_FIX)
    if local_rank is not None and local_rank >= (local_world or world):
        name, size = ("WORLD_SIZE", world) if local_world is None else ("LOCAL_WORLD_SIZE", local_world)
        raise ConfigError(
            f"LOCAL_RANK is {local_rank} and {name} is {size}, expected LOCAL_RANK from 0 to {size - 1}", fix=_FIX
        )
    if local_world is not None and local_world > world:
        raise ConfigError(
            f"LOCAL_WORLD_SIZE is {local_world} and WORLD_SIZE is {world}, expected at most WORLD_SIZE", fix=_FIX
        )
    if world == 1:
        return
    needed = ("RANK", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in needed if not environment.get(name, "").strip()]
    if missing:
        names = ", ".join(missing[:-1]) + (" and " if missing[1:] else "") + missing[-1]
        raise ConfigError(
            f"WORLD_SIZE is {world}, but {names} {'is' if len(missing) == 1 else 'are'} missing, so this process "
            "cannot find the others",
            fix=_FIX,
        )
    if local_rank == -1:
        raise ConfigError(f"LOCAL_RANK is -1 and WORLD_SIZE is {world}, expected LOCAL_RANK of at least 0", fix=_FIX)
    port = _number(environment, "MASTER_PORT", least=1)
    if port is not None and port > _LARGEST_PORT:
        raise ConfigError(f"MASTER_PORT is {port}, expected 1 to {_LARGEST_PORT}", fix=_FIX)


def _number(environment: Mapping[str, str], name: str, *, least: int) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()) or int(text) < least:
        raise ConfigError(f"{name} is {text!r}, expected a whole number from {least} on", fix=_FIX)
    return int(text)
