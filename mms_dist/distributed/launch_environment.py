"""This process's rank and world size, and the address of the rendezvous, as the launcher set them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mms_dist.distributed.launch_variables import check_launch_variables
from mms_dist.distributed.startup_waits import Patience
from mms_dist.errors import CommError


@dataclass(frozen=True)
class Place:
    """A process's place in the run. torchrun, accelerate and deepspeed set the same variables."""

    rank: int = 0
    world: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    agent_has_store: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
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
    def name(self) -> str:
        return f"rank {self.rank} of {self.world}"

    @property
    def serves(self) -> bool:
        """Whether this process serves the key-value store of the rendezvous."""
        return self.rank == 0 and not self.agent_has_store

    def keeper(self) -> str:
        """Who serves the store."""
        return "the launcher on the first machine" if self.agent_has_store else "rank 0"

    def patience(self, stop_requested: Callable[[], bool]) -> Patience:
        """A `Patience` for the waits of the rendezvous."""
        where = (
            f"at {self.host}:{self.port}, the rendezvous of all ranks; check what they have printed, and whether every "
            "machine was started with this address and port"
        )
        return Patience(self.name, where, stop_requested)

    def out_of_reach(self, error: Exception) -> CommError:
        """The error for a failure of the store."""
        reason = str(error).strip().split("\n")[0] or "it accepts connections but does not answer"
        return CommError(
            f"rank {self.rank} cannot serve or reach the rendezvous of all ranks at {self.host}:{self.port} ({reason})",
            fix=(
                "check that rank 0 was started, that this machine reaches the first one by that name, and that "
                "the port is free and open there, or choose another port (--main_process_port, --master-port)"
            ),
        )
