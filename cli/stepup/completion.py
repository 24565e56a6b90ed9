"""`stepup completion`: a script for the shell that asks us what may come next."""

from enum import Enum
from typing import Annotated

import typer

from stepup.terminal import print_result

COMPLETE_VARIABLE = "_STEPUP_COMPLETE"
"""Set by the scripts when they ask."""


class Shell(Enum):
    """A shell whose script is known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


ShellName = Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")]


def teach_shells() -> None:
    """Let the application answer a shell that asks, which typer else does only with its options."""
    from typer._completion_classes import completion_init

    completion_init()


def completion(shell: ShellName) -> None:
    """Print a completion script for your shell.

    For example, in ~/.bashrc: eval "$(stepup completion bash)"
    """
    from typer._completion_shared import get_completion_script

    script = get_completion_script(
        prog_name="stepup", complete_var=COMPLETE_VARIABLE, shell=shell.value
    )
    print_result(script)
