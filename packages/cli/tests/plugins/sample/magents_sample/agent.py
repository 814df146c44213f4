"""The program: it says again what it is told, and reports that."""

import subprocess
import sys


def main():
    """`sample-agent EVENT FOLDER [PROMPT]`"""
    event, folder, *prompts = sys.argv[1:]

    def report(name, text):
        subprocess.run([event, folder, "echo", name], input=text.encode(), check=True)

    while True:
        text = prompts.pop() if prompts else input("> ")
        report("Prompt", text)
        print(f"echo: {text}", flush=True)
        report("Done", f"said {text}")
