"""Upload an export to the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mms_dist.errors import ConfigError, ExitCode, MmsDistError
from mms_dist.publishing.export import ExportedFolder, repository_of
from shards.errors import first_line

_REFUSED = (401, 403, 404)  # the Hub answers 404 for what a token may not see


class HubError(MmsDistError):
    """The Hub cannot be reached, or refuses an upload. The exported folder is complete."""

    exit_code = ExitCode.FAILED


@dataclass(frozen=True)
class Upload:
    """A folder that was uploaded: the repository's name, its address, and the address of the commit."""

    folder: ExportedFolder
    repository: str
    url: str
    commit_url: str


def check_repository(repository: str, languages: Sequence[str | None]) -> None:
    """Check the names of the repositories, one for each language that has a folder of its own.

    Raises:
        ConfigError: a name is not one that the Hub accepts.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    for name in {repository_of(repository, language) for language in languages}:
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise ConfigError(f"--push {name} is not a name of a repository: {first_line(error)}", fix=_NAME) from error
        if name.count("/") != 1:
            raise ConfigError(f"--push {name} does not say whose repository it is", fix=_NAME)


def check_login() -> None:
    """Check that there is a token, before the work of an export is done.

    Raises:
        ConfigError: there is none, or HF_HUB_OFFLINE forbids the use of the network.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise ConfigError("HF_HUB_OFFLINE is set, so nothing can be pushed", fix="unset it, or leave out --push")
    if get_token() is None:
        raise ConfigError("found no token of the Hugging Face Hub", fix=_LOG_IN)


def push(folders: Sequence[ExportedFolder], repository: str, *, private: bool = False) -> Iterator[Upload]:
    """Upload the folders, each as one commit, and yield each when it is there.

    Repositories that do not exist are created; in others, files of the same name are replaced, and adapters of
    languages that the folder does not have are removed, because its vocab.json lacks them. Files that the Hub has
    already are not sent again.

    Args:
        private: create repositories that only their owner sees; those that exist stay as they are.

    Raises:
        HubError: the Hub cannot be reached or refuses something; folders yielded before are uploaded.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    api = HfApi(library_name="mms-dist")
    for folder in folders:
        name = repository_of(repository, folder.language)
        try:
            created = api.create_repo(name, private=private or None, exist_ok=True)
            commit = api.upload_folder(
                repo_id=name,
                folder_path=folder.path,
                commit_message=f"Upload {', '.join(item.language for item in folder.languages[:5])}"
                + (f" and {len(folder.languages) - 5:,} more languages" if len(folder.languages) > 5 else ""),
                delete_patterns=["adapter.*.safetensors"],
            )
        except HfHubHTTPError as error:
            status = error.response.status_code
            raise HubError(
                f"the Hub refused the upload to {name} ({status}): {first_line(error)}",
                fix=_LOG_IN if status in _REFUSED else _again(name, folder),
            ) from error
        except ValueError as error:  # the Hub's own check of the model card
            raise HubError(
                f"the Hub refused the upload to {name}: {' '.join(str(error).split())}",
                fix=f"correct {folder.path / 'README.md'} and run `hf upload {name} {folder.path}`",
            ) from error
        except (HTTPError, OSError) as error:
            raise HubError(
                f"the upload to {name} failed: {first_line(error)}",
                fix=f"check the network, HTTPS_PROXY and HF_ENDPOINT ({api.endpoint}); then {_again(name, folder)}",
            ) from error
        yield Upload(folder, name, str(created), commit.commit_url)


_NAME = "write OWNER/NAME, where OWNER is your user name or organisation on the Hub"
_LOG_IN = "set HF_TOKEN to a token with write access to the repository's owner, or run `hf auth login`"


def _again(name: str, folder: ExportedFolder) -> str:
    return f"`hf upload {name} {folder.path}` sends what is missing, without exporting again"
