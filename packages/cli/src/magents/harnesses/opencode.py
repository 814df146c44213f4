"""opencode. Facts below were seen with opencode 1.18."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from magents.core.event import Event, Signal
from magents.core.program import Program, Start
from magents.harnesses.base import Harness
from magents.harnesses.fields import field, line, shown

_PLUGIN = "opencode-plugin.js"
_PROMPT = "opencode-prompt.txt"
_CODE = """\
// Written by Magents: tells it what this opencode is doing.
import { spawn } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"

const [EVENT, FOLDER, PROMPT, SESSION, UNATTENDED] = @WORDS@
const ASKS = /^(permission\\.(asked|replied)|question\\.(asked|replied|rejected))$/
const TELLS = /^session\\.(status|idle|error)$/

// One at a time, so that the log has them in order.
let last = Promise.resolve()
const report = (name, data) => {
  last = last.then(() => new Promise((done) => {
    const child = spawn(EVENT, [FOLDER, "opencode", name], { stdio: ["pipe", "ignore", "ignore"] })
    child.on("error", done)
    child.on("close", done)
    child.stdin.on("error", () => {})
    child.stdin.end(JSON.stringify(data ?? {}))
  }))
}

// It takes no prompt from its command line when it goes on with a conversation.
const prompt = () => {
  try {
    const text = readFileSync(PROMPT, "utf8")
    rmSync(PROMPT) // once only: opencode may load its plugins again
    return text
  } catch {}
}

export const Magents = async ({ client }) => {
  const children = new Set() // conversations of subagents: part of the main one's turn
  const states = new Map()
  const text = SESSION && prompt()
  if (text) client.session.promptAsync({ path: { id: SESSION }, body: { parts: [{ type: "text", text }] } })
  // Its screen does it too, but not what is asked before that is up (--auto, opencode 1.18).
  const allow = ({ id, sessionID }) =>
    client.postSessionIdPermissionsPermissionId({
      path: { id: sessionID, permissionID: id }, body: { response: "once" },
    }).catch(() => {})
  return {
    "chat.message": async ({ sessionID }, { parts }) => {
      const text = parts?.find((part) => part.type === "text")?.text
      if (!children.has(sessionID)) report("chat.message", { sessionID, text })
    },
    event: async ({ event: { type, properties } }) => {
      if (type === "session.created" && properties.info?.parentID) children.add(properties.info.id)
      if (type === "permission.asked" && UNATTENDED) allow(properties)
      if (ASKS.test(type)) return report(type, properties)
      if (!TELLS.test(type) || children.has(properties.sessionID)) return
      const state = type === "session.status" && properties.status.type
      if (state && states.get(properties.sessionID) === state) return // it says busy at every step
      if (state) states.set(properties.sessionID, state)
      report(type, properties)
    },
  }
}
"""
# As seen: chat.message within 0.3 s of Enter; permission.asked as the dialog opens; an answer makes
# permission.replied, and a rejection or Esc session.idle after it.


class OpenCode(Harness):
    """`opencode`, which loads a plugin from the agent's folder; those of the user and the project stay."""

    name = "opencode"
    takes_prompt = frozenset({"chat.message"})

    def start(self, start: Start) -> Program:
        """`opencode`, its plugin in the agent's folder."""
        argv = ["opencode"]
        if start.unattended:
            argv += ["--auto"]
        session = start.session if start.resume else None
        words = [
            f"{start.share}/magents-event",
            start.folder,
            f"{start.folder}/{_PROMPT}",
            session,
            start.unattended,
        ]
        files = {_PLUGIN: _CODE.replace("@WORDS@", json.dumps(words))}
        if session:
            argv += [f"--session={session}"]
            if start.prompt:
                files[_PROMPT] = start.prompt
        elif start.prompt:
            # With --continue it would pass over the prompt; a conversation that never told its name
            # never took one either, so there is none to go on with.
            argv += [f"--prompt={start.prompt}"]
        elif start.resume:
            argv += ["--continue"]
        # Added to the user's settings, where OPENCODE_CONFIG might hide some. A folder of settings
        # (OPENCODE_CONFIG_DIR) would first be filled by npm, over the network.
        settings = {"plugin": [f"file://{quote(start.folder)}/{_PLUGIN}"]}
        env = {"OPENCODE_CONFIG_CONTENT": json.dumps(settings)}
        nested = ("OPENCODE", "OPENCODE_PID", "AGENT")  # what an opencode gives the commands it runs
        return Program(tuple(argv), env=env, unset=nested, files=files)

    def read(self, event: Event) -> Signal | None:
        """What the plugin says."""
        if event.name == "permission.asked":
            what = field(event.data, "command") or field(event.data, "filepath") or _pattern(event.data)
            return Signal("waiting", line(f"{field(event.data, 'permission') or 'permission'}: {what}"))
        if event.name == "question.asked":
            return Signal("waiting", field(event.data, "question") or "an answer")
        if event.name in ("session.idle", "question.rejected"):
            return Signal("done")
        if event.name == "session.status":
            return Signal("done" if field(event.data, "type") == "idle" else "working")
        if event.name in ("chat.message", "permission.replied", "question.replied"):
            return Signal("working")
        return None  # session.error, after which session.idle comes

    def session(self, event: Event) -> str | None:
        """The conversation's name. Questions may come from a subagent's; these two only from the main one."""
        found = field(event.data, "sessionID") if event.name in ("chat.message", "session.idle") else None
        return found if found and re.fullmatch(r"ses_\w+", found) else None

    def look(self, screen: str) -> Signal | None:
        """A box that asks, or the line below its input box."""
        text = re.sub(r"^ *┃ *", "", shown(screen), flags=re.MULTILINE)
        if "△ Permission required" in text:
            below = text.partition("Permission required\n")[2].splitlines()
            command = next((row[2:] for row in below if row.startswith("$ ")), "")
            return Signal("waiting", line(command) or "permission")
        if "esc dismiss" in text:
            asked = re.search(r"^(\S.*)\n+1\. ", text, re.MULTILINE)
            return Signal("waiting", line(asked[1]) if asked else "an answer")
        if re.search(r"esc (again to )?interrupt", text):
            return Signal("working")
        return Signal("done") if "ctrl+p commands" in text else None

    def draft(self, screen: str) -> str:
        """What stands unsent in its input box, which is the last thing that has a bar at its left."""
        rows = shown(screen).splitlines()
        last = next((i for i in range(len(rows) - 1, -1, -1) if rows[i].lstrip().startswith("╹▀")), 0)
        box: list[str] = []
        while last and rows[last - 1].lstrip().startswith("┃"):
            last -= 1
            box.insert(0, rows[last].lstrip(" ┃"))
        text = " ".join(row for row in box[:-1] if row)  # the last row names the model
        return "" if text.startswith("Ask anything…") else text


def _pattern(data: str) -> str:
    """What a permission is asked for, where it is neither a command nor a file."""
    found = re.search(r'"patterns":\s*\["([^"\\]+)"', data)
    return found[1] if found else "permission"
