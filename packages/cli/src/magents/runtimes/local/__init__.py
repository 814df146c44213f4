"""Traditional mode: tmux on this machine."""
