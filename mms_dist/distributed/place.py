"""Where the launcher put this process, and where the processes meet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mms_dist.distributed.launch_variables import check_launch_variables
from mms_dist.distributed.patience import Patience
from mms_dist.errors import CommError


@dataclass(frozen=True)
class Place:
    """torchrun's, accelerate's and deepspeed's variables are the same."""

    rank: int = 0
    world: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    agent_has_store: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Place":
        """
        Raises:
            ConfigError: the variables are not complete, or contradict each other.
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
        """Whether this process keeps the key-value store through which all meet."""
        return self.rank == 0 and not self.agent_has_store

    def keeper(self) -> str:
        """Who keeps it."""
        return "the launcher on the first machine" if self.agent_has_store else "rank 0"

    def patience(self, stop_requested: Callable[[], bool]) -> Patience:
        """For a wait before all have met."""
        where = (
            f"at {self.host}:{self.port}, where all ranks meet before training; see what they have printed, and "
            "whether every machine was started with this address and port"
        )
        return Patience(self.name, where, stop_requested)

    def out_of_reach(self, error: Exception) -> CommError:
        """What is wrong when the store fails, and what fixes it."""
        reason = str(error).strip().split("\n")[0] or "it takes connections and does not answer"
        return CommError(
            f"rank {self.rank} cannot serve or reach the meeting point of all ranks, {self.host}:{self.port} "
            f"({reason})",
            fix=(
                "see that rank 0 was started, that this machine reaches the first one by that name, and that "
                "the port is free and open there, or choose another (--main_process_port, --master-port)"
            ),
        )
