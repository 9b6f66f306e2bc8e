"""The files of `sql/`, and the same files for a schema of one's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MIGRATIONS = Path(__file__).parents[2] / "sql"

_FILE_NAME = re.compile(r"(\d+)_(\w+)\.sql")  # what the Supabase CLI takes for a migration
# Where `public` and `rapport` name schemas. They also name a role (`to public`) and a setting (`rapport.drop_data`).
_SCHEMA = re.compile(
    r"\b(public|rapport)(?=\.(?!drop_data\b)[\w%])|(?<=\bschema )(public|rapport)\b"
    r"|(?<=\bexists )(public|rapport)\b|(?<=')(public|rapport)(?=')"
)


class MigrationError(Exception):
    """The database could not be brought up to date; the text says which file and why, without any key or row."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """Where everything of ours is: what the API shows, and the helpers that nobody outside may call."""

    exposed: str = "public"

    @property
    def own(self) -> bool:
        """Whether what the API shows of ours is apart from everything else."""
        return self.exposed != "public"

    @property
    def hidden(self) -> str:
        return f"{self.exposed}_internal" if self.own else "rapport"

    def placed(self, text: str) -> str:
        """SQL that was written for `public` and `rapport`, for these. One walk: one may be called as the other was."""
        names = {"public": self.exposed, "rapport": self.hidden}
        return _SCHEMA.sub(lambda found: names[found[0]], text) if self.own else text

    def text(self, path: Path) -> str:
        """A file of `sql/` for these. Raises `OSError`."""
        text = path.read_text(encoding="utf-8")
        # `public` is there everywhere; one's own is made by the file that makes the helpers'
        makes = self.own and "\ncreate schema if not exists rapport;" in text
        return (f"create schema if not exists {self.exposed};\n" if makes else "") + self.placed(text)


PUBLIC = Schemas()


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `version` orders them all and names them in the ledgers."""

    version: str
    name: str
    path: Path

    def text(self, schemas: Schemas = PUBLIC) -> str:
        """Its SQL for these schemas. Raises `OSError`."""
        return schemas.text(self.path)

    def name_in(self, schemas: Schemas) -> str:
        """What it is called in the ledger of the Supabase CLI, which has one for all schemas."""
        return f"{schemas.exposed}_{self.name}" if schemas.own else self.name


def migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The forward migrations in the folder, in their order. Raises `MigrationError` if there are none."""
    named = ((_FILE_NAME.fullmatch(path.name), path) for path in folder.glob("*.sql"))
    found = sorted((Migration(name[1], name[2], path) for name, path in named if name), key=lambda file: file.version)
    if not found:
        raise MigrationError(f"there are no migrations in {folder}")
    return found
