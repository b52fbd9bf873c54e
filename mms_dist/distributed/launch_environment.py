"""The launcher's environment variables: this process's rank, the world size, and the address of the rendezvous.

They are checked before anything waits because of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mms_dist.distributed.startup_waits import StartupWait
from mms_dist.errors import CommError, ConfigError

_FIX = (
    "start the processes with accelerate launch or torchrun, which set all of them, or set "
    "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT for every process; to train with one process, unset "
    "RANK, WORLD_SIZE and LOCAL_RANK"
)
_LARGEST_PORT = 65535


@dataclass(frozen=True)
class LaunchEnvironment:
    """A process's place in the run. torchrun, accelerate and deepspeed set the same variables.

    Attributes:
        host, port: the address of the key-value store in which the ranks find each other.
        agent_has_store: the launcher's agent serves it, not rank 0.
    """

    rank: int = 0
    world: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    agent_has_store: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "LaunchEnvironment":
        """Read the launcher's environment variables.

        Raises:
            ConfigError: the variables are incomplete or contradict each other.
        """
        check_launch_variables(environment)
        return cls(
            rank=int(environment.get("RANK", "").strip() or 0),
            world=int(environment.get("WORLD_SIZE", "").strip() or 1),
            host=environment.get("MASTER_ADDR", "").strip() or "127.0.0.1",
            port=int(environment.get("MASTER_PORT", "").strip() or 0),
            agent_has_store=environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        )

    @property
    def rank_name(self) -> str:
        return f"rank {self.rank} of {self.world}"

    @property
    def serves_store(self) -> bool:
        """Whether this process serves the key-value store of the rendezvous."""
        return self.rank == 0 and not self.agent_has_store

    def store_server(self) -> str:
        """Who serves the store, for messages."""
        return "the launcher on the first machine" if self.agent_has_store else "rank 0"

    def wait_for_ranks(self, stop_requested: Callable[[], bool]) -> StartupWait:
        """The wait of this process for the others at the store."""
        where = (
            f"at {self.host}:{self.port}, the rendezvous of all ranks; check what they have printed, and whether every "
            "machine was started with this address and port"
        )
        return StartupWait(self.rank_name, where, stop_requested)

    def store_unreachable(self, error: Exception) -> CommError:
        """The error for a failure of the store."""
        reason = str(error).strip().split("\n")[0] or "it accepts connections but does not answer"
        return CommError(
            f"rank {self.rank} cannot serve or reach the rendezvous of all ranks at {self.host}:{self.port} ({reason})",
            fix=(
                "check that rank 0 was started, that this machine reaches the first one by that name, and that "
                "the port is free and open there, or choose another port (--main_process_port, --master-port)"
            ),
        )


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
