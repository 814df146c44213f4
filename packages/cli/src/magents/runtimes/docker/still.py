"""What the terminal of an agent in a container tells by itself, so that nobody need ask each of them."""

from __future__ import annotations

from magents.core.names import session
from magents.guest.terminal import quoted
from magents.system.paths import AGENT, LIBRARY

STILL = "screen"
"""The file that shows what the terminal does while nothing happens on it."""
MAX_SCREEN_BYTES = 512 * 1024
"""How much of that file's end is read: many times what a terminal shows."""
QUIET_S = 3
"""Seconds without output after which it is still."""


def hooks(id: str) -> list[str]:
    """The commands of tmux by which the agent's files tell what otherwise each agent would have to be asked for.

    The event `gone` when the wrapper has ended without telling (killed), or the server: nobody opens the gate
    that is waited at, so it goes on then; in a session of its own, or the server would end it first. And what
    the terminal shows once it has been still for a while, in the file `screen`, until it stirs again.
    """
    name = session(id)
    target = f"={name}:agent"
    gone = f"{LIBRARY}/magents-event {AGENT} wrapper gone '{{}}'"
    gate = f"exec setsid sh -c {quoted(f'tmux wait-for {name}-gate; {gone}')}"
    show = f"cd {AGENT}; tmux -u capture-pane -p -J -e -t {target} >.{STILL} && mv .{STILL} {STILL}"
    known = "#{==:#{@magents_still},#{window_activity}}"  # it fires again and again while nothing happens
    still = (
        f'if-shell -F -t {target} "{known}" "" '
        f'{{ set-option -w -F -t {target} @magents_still "#{{window_activity}}" ; run-shell -b {quoted(show)} }} ; '
        f"kill-session -C -t ={name}"  # ends no session: -C only clears the alert, so that it can come again
    )
    options = {"monitor-silence": str(QUIET_S), "monitor-activity": "on"}
    actions = {"silence-action": "any", "activity-action": "any", "visual-activity": "off", "visual-silence": "off"}
    words = [";", "set-hook", "-p", "-t", target, "pane-died", f"run-shell -b {quoted(gone)}"]
    words += [";", "run-shell", "-b", gate]
    for option, value in options.items():
        words += [";", "set-option", "-w", "-t", target, option, value]
    for option, value in actions.items():
        words += [";", "set-option", "-t", f"={name}:", option, value]
    words += [";", "set-hook", "-w", "-t", target, "alert-silence", still]
    return [*words, ";", "set-hook", "-w", "-t", target, "alert-activity", f"run-shell -b 'rm -f {AGENT}/{STILL}'"]
