"""Sort what the user gave into the shards and text files of each language."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mms_dist.errors import DataError
from mms_dist.language_model.build import TextSources
from shards.errors import ShardsError
from shards.index import ShardIndex, indexed_languages
from shards.languages import language_codes, parse_language
from shards.storage import is_url, local_path
from shards.text_rules import RuleOptions


@dataclass(frozen=True, slots=True)
class FoundSources:
    """The sources of each language, and the folder of the shards if that is a local one."""

    languages: dict[str, TextSources]
    default_folder: Path | None


def find_sources(
    places: Sequence[str], languages: Sequence[str] | None = None, text_rules: RuleOptions | None = None
) -> FoundSources:
    """Find the languages, and the text of each.

    Args:
        places: at most one folder or URL of shards, and text files.
        languages: only these; a single one is the language of all text files. None: all of the shards, and those that
            the text files name: `ron.txt` and `ron.news.txt.gz` are Romanian.

    Raises:
        DataError: a place does not exist, or a file does not say its language.
        ShardsError: the shards cannot be used, or lack a language that is only in them.
    """
    for language in languages or ():
        parse_language(language)
    files = [Path(place) for place in places if not is_url(place) and not Path(place).is_dir()]
    roots = [place for place in places if is_url(place) or Path(place).is_dir()]
    if len(roots) > 1:
        raise DataError(
            f"found {len(roots)} folders of shards, expected one: {' '.join(roots)}",
            fix="make a model from each, or give text files",
        )
    only = languages[0] if languages and len(languages) == 1 else None
    texts: dict[str, list[Path]] = {}
    for path in files:
        if not path.is_file():
            raise DataError(f"{path} does not exist", fix="check the path")
        texts.setdefault(only or _language_of(path), []).append(path)
    root = roots[0] if roots else None
    indexed = indexed_languages(root) if root else []
    chosen = list(languages) if languages else sorted({*indexed, *texts})
    missing = [code for code in chosen if code not in indexed and code not in texts]
    if root and missing:
        ShardIndex.load(root, missing)  # raises, and names the languages there
    if missing:
        raise DataError(
            f"there is no text of {missing[0]}, only of {', '.join(texts)}",
            fix=f"give a text file {missing[0]}.txt, or leave {missing[0]} out of --lang",
        )
    sources = {
        code: TextSources(root if code in indexed else None, tuple(texts.get(code, ())), text_rules) for code in chosen
    }
    return FoundSources(sources, local_path(root) if root else None)


def _language_of(path: Path) -> str:
    written = path.name.partition(".")[0]
    codes = language_codes(written)
    try:
        return codes[0] if len(codes) == 1 else parse_language(written)
    except ShardsError as error:
        raise DataError(
            f"the name of {path} does not say its language",
            fix="name it by its language, such as ron.txt, or give one language with --lang",
        ) from error
