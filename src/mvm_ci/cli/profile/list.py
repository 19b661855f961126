"""``mvm-ci profile list``."""

import click

from mvm_ci.cli.options import local_options, source


@click.command("list")
@local_options
def list_profiles(*, as_json: bool) -> None:
    """List profiles.

    Without their tokens; with --json each says whether it has one, and in which file.
    """
    from mvm_ci.cli import output
    from mvm_ci.config.client import profile_in_use
    from mvm_ci.config.settings import TOKEN, URL

    found = source({})
    used = profile_in_use(found)
    in_use = None if used is None else used[1].text
    rows: list[dict[str, object]] = []
    for name, section in (found.file.profiles if found.file else {}).items():
        url, token = section.find(URL), section.find(TOKEN)
        rows.append(
            {
                "name": name,
                "url": url and url.text,
                "has_token": token is not None,
                "token_file": token.text if token is not None and token.names_file else None,
                "in_use": name == in_use,
            }
        )
    if as_json:
        output.print_json({"profiles": rows})
        return
    output.print_table(
        ("NAME", "URL", "TOKEN", "IN USE"),
        ((row["name"], row["url"], _token(row), "yes" if row["in_use"] else "no") for row in rows),
        cut=("URL", "TOKEN"),
    )


def _token(row: dict[str, object]) -> object:
    if row["token_file"] is not None:
        return row["token_file"]
    return "in the configuration file" if row["has_token"] else None
