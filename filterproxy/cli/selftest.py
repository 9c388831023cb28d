"""`filterproxy lists selftest`: asks the running product for each list's canaries, and signs what it saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DEFAULT_CONFIG, Config, printable

if TYPE_CHECKING:
    from filterproxy.settings import Settings

    from .selftest_product import Product
    from .selftest_record import Check


def selftest(
    config: Config = DEFAULT_CONFIG,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the record here, not into the state folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the signed record, and write no file.")] = False,
    verify: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Ask nothing: say whether the signature of a record holds.")
    ] = None,
    key: Annotated[str, typer.Option(metavar="BASE64", help="With --verify: the key it must be signed by.")] = "",
) -> None:
    """Ask the running product, through DNS and HTTP, whether each list blocks as configured; sign the result.

    Exit 0 where all that was asked passed, 1 where something failed or a signature does not hold, 2 for an error.
    """
    if verify is not None:
        _verify(verify, key, config)
        return
    if key:
        raise typer.BadParameter("goes with --verify", param_hint="--key")
    from filterproxy.settings import load

    from . import selftest_record as record
    from .selftest_asks import checks
    from .selftest_product import Product

    settings = load(config)
    private = _signing_key(settings)
    product = Product.running(settings)
    found = {table.id: checks(product, table) for table in settings.lists}
    text = record.sign(_result(product, found), private)
    if as_json and output is None:
        print(text, end="")
    else:
        _print(product, found)
        if output is not None:
            record.write(output, text)
        else:
            output = record.keep(settings.runtime.state, f"{product.now:%Y-%m-%dT%H%M%SZ}.json", text)
        print(f"{output}: signed by {_key_of(text)}")
    if any(check.outcome == "failed" for found_of in found.values() for check in found_of):
        raise typer.Exit(1)


def _signing_key(settings: Settings) -> bytes:
    from filterproxy.errors import ControlError
    from filterproxy.keys import Keys

    try:
        owner = settings.runtime.state.stat()
    except OSError as exc:
        raise ControlError(f"{settings.runtime.state}: {exc.strerror}") from exc
    return Keys.open(settings.keys_folder, (owner.st_uid, owner.st_gid)).signing_private


def _result(product: Product, found: dict[str, list[Check]]) -> dict[str, Any]:
    """Return what is signed. Of a canary it tells a digest: the name is a secret of the installation."""
    from hashlib import sha256

    from filterproxy.lists.canaries import canaries_of

    from . import selftest_record as record

    lists = []
    for table in product.settings.lists:
        canaries = canaries_of(table, product.policy.bundle.key)
        said = f"{canaries.name}\n{canaries.page}\n{canaries.excepted}\n{canaries.term}"
        lists.append({
            "id": table.id,
            "canaries": sha256(said.encode()).hexdigest(),
            "summary": record.counts(found[table.id]),
            "checks": [record.as_json(check) for check in found[table.id]],
        })  # fmt: skip
    return {
        "format": record.FORMAT,
        "operator": product.settings.operator.name,
        "at": product.now.isoformat(timespec="seconds"),
        "version": product.status["version"],
        "generation": product.policy.generation,
        "profiles": {door.name: door.profile or None for door in (product.dns, product.http)},
        "summary": record.counts(check for checks in found.values() for check in checks),
        "lists": lists,
    }


def _print(product: Product, found: dict[str, list[Check]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from . import selftest_record as record

    for door in (product.dns, product.http):
        said = door.closed or f"asked as {door.client}, of the profile {door.profile}"
        print(f"{door.name}: {said}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("list", "passed", "failed", "not asked"):
        table.add_column(column)
    for name, checks in found.items():
        table.add_row(name, *(str(number) for number in record.counts(checks).values()))
    console = Console()
    console.print(table, markup=False)
    every = [(name, check) for name, checks in found.items() for check in checks]
    for name, check in every:
        if check.outcome == "failed":
            print(f"failed: {name}: {check.check} ({check.how}): expected {check.expected}; saw {check.observed}")
    for name, check in every:
        if check.outcome == "not asked":
            print(f"not asked: {name}: {check.check} ({check.how}): {check.reason}")


def _key_of(text: str) -> str:
    import json

    return str(json.loads(text)["key"])


def _verify(path: Path, key: str, config: Path) -> None:
    from filterproxy.errors import SecretError

    from . import selftest_record as record

    try:
        found = record.verify(record.read(path), key)
    except OSError as exc:
        raise SecretError(f"{path}: {exc.strerror}") from exc
    if found is None:
        print(f"{path}: the signature does not hold" + (", or is by another key" if key else ""))
        raise typer.Exit(1)
    print(f"{path}: signed by {found['key']}")
    print(f"  {printable(record.told(found['result']))}")  # whoever signed may have written anything
    if not key:
        print(f"  {_whose(found['key'], config)}")


def _whose(key: str, config: Path) -> str:
    """Return what this machine knows of a key: nothing, where it cannot read the keys of an installation."""
    from base64 import b64decode

    from filterproxy.errors import FilterproxyError
    from filterproxy.keys import Keys
    from filterproxy.settings import load

    unknown = "Whose key that is, this file cannot show: compare it with the one you were given, or use --key."
    try:
        settings = load(config)
        owner = settings.runtime.state.stat()
        keys = Keys.open(settings.keys_folder, (owner.st_uid, owner.st_gid))
    except (FilterproxyError, OSError):
        return unknown
    if b64decode(key) == keys.signing_public:
        return "That is this installation's key."
    if b64decode(key) in keys.signing_previous:
        return "That is an earlier key of this installation, replaced since."
    return f"That is no key of the installation of {config}. {unknown}"
