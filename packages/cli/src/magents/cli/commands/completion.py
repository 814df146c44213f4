"""`magents completion`."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents completion`."""
    parser.description = "Print the script by which a shell completes commands, options, ids and branches."
    parser.epilog = """\
examples:
  bash   echo 'eval "$(magents completion bash)"' >> ~/.bashrc
  zsh    echo 'eval "$(magents completion zsh)"' >> ~/.zshrc      (after compinit)
  fish   magents completion fish > ~/.config/fish/completions/magents.fish"""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def run(options: argparse.Namespace) -> int:
    """Print a shell's completion script."""
    from argcomplete.shell_integration import shellcode

    from magents.cli.console import echo

    echo(shellcode(["magents"], shell=options.shell))
    return 0
