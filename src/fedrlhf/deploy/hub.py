"""Upload an exported folder to the model hub, on request only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrlhf.errors import UserError


@dataclass(frozen=True)
class Upload:
    """A folder and the repository that it goes to.

    Attributes:
        folder: What is uploaded, with a card named README.md.
        repository: ``owner/name``.
        kind: ``model`` or ``dataset``.
    """

    folder: Path
    repository: str
    kind: str


def check_push(repository: str) -> None:
    """Refuse an upload that cannot work, before anything is made for it.

    Raises:
        UserError: The name is none of the hub's, this process is offline, or there is no token.
    """
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"--push {repository!r}: {error}") from error
    if repository.count("/") != 1:
        raise UserError(f"--push {repository!r}: write OWNER/NAME")
    if constants.HF_HUB_OFFLINE:
        raise UserError("--push needs the hub and HF_HUB_OFFLINE is set: unset it, or leave out "
                        "--push")
    if not get_token():
        raise UserError("--push needs a token of the hub with the right to write: `hf auth login`, "
                        "or HF_TOKEN in the environment")


def push(uploads: Sequence[Upload], public: bool) -> list[str]:
    """Upload each folder to its repository, which is made if there is none; return their addresses.

    Raises:
        UserError: The hub refuses, or a repository is public and `public` was not asked for.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi

    api = HfApi()
    found = []
    for upload in uploads:
        try:
            address = api.create_repo(upload.repository, repo_type=upload.kind,
                                      private=not public, exist_ok=True)
            info = api.repo_info(upload.repository, repo_type=upload.kind)
            if not info.private and not public:
                raise UserError(f"{upload.repository} exists and is public; add --public if that "
                                "is meant")
            api.upload_folder(repo_id=upload.repository, repo_type=upload.kind,
                              folder_path=upload.folder, commit_message="Export of a fedrlhf run")
        except (HTTPError, OSError) as error:
            raise UserError(f"{upload.repository} cannot be uploaded: "
                            f"{' '.join(str(error).split())[:300]}") from error
        found.append(str(address))
    return found


def listing(uploads: Sequence[Upload], public: bool) -> list[str]:
    """Return a line for each file that an upload would hand out, below its repository's name."""
    lines = []
    for upload in uploads:
        lines.append(f"{upload.kind} {upload.repository} "
                     f"({'PUBLIC: everybody can read it' if public else 'private'})")
        lines += [f"  {path.relative_to(upload.folder)}  {path.stat().st_size:,} bytes"
                  for path in sorted(upload.folder.rglob("*")) if path.is_file()]
    return lines
