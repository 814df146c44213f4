"""Fresh homes in which each harness starts at once, without first-run questions, against the stand-in.

Each function fills `home` and returns the environment to start that harness with; beside it only PATH and
a locale are needed.
"""

from __future__ import annotations

import json
from pathlib import Path

KEY = "sk-standin-0123456789012345678901234567890123456789"


def claude(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """Claude Code: onboarding done, `folders` trusted, the key approved (it keeps its last 20 characters)."""
    home.mkdir(parents=True, exist_ok=True)
    state = {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "projects": {str(folder): {"hasTrustDialogAccepted": True} for folder in folders},
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
    }
    (home / ".claude.json").write_text(json.dumps(state))
    return {
        "HOME": str(home), "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": KEY,
        "DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",  # a quarter of what its start takes
    }  # fmt: skip


def codex(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """Codex: the stand-in as its model provider, `folders` trusted."""
    settings = [
        'model = "gpt-5"',
        'model_provider = "standin"',
        "check_for_update_on_startup = false",
        "[model_providers.standin]",
        'name = "standin"',
        f'base_url = "{url}/v1"',
        'wire_api = "responses"',
        'env_key = "STANDIN_KEY"',
    ]
    for folder in folders:
        settings += [f"[projects.{json.dumps(str(folder))}]", 'trust_level = "trusted"']
    (home / ".codex").mkdir(parents=True, exist_ok=True)
    (home / ".codex" / "config.toml").write_text("\n".join(settings) + "\n")
    return {"HOME": str(home), "STANDIN_KEY": KEY}


def gemini(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """Gemini CLI: authentication by key chosen, folders not asked about."""
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
        "privacy": {"usageStatisticsEnabled": False},
        "ui": {"hideTips": True},
    }
    (home / ".gemini").mkdir(parents=True, exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    return {"HOME": str(home), "GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": url}


def qwen(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """Qwen Code: the stand-in as an OpenAI-like model, asked before each tool, folders not asked about."""
    settings = {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False},
        "privacy": {"usageStatisticsEnabled": False},
        "model": {"name": "standin"},
        "tools": {"approvalMode": "default"},
    }
    (home / ".qwen").mkdir(parents=True, exist_ok=True)
    (home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    return {
        "HOME": str(home), "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_MODEL": "standin",
    }  # fmt: skip


def opencode(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """opencode: the stand-in as a provider of its own; no list of models fetched, no update looked for."""
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "standin",
        "options": {"baseURL": f"{url}/v1", "apiKey": KEY},
        "models": {"standin": {"name": "standin"}},
    }
    settings = {
        "provider": {"standin": provider},
        "model": "standin/standin",
        "permission": {"bash": "ask"},
    }
    # Not in ~/.config/opencode: where that is, opencode first runs `npm install` in it.
    home.mkdir(parents=True, exist_ok=True)
    config = home / "opencode.json"
    config.write_text(json.dumps(settings))
    return {
        "HOME": str(home), "OPENCODE_CONFIG": str(config), "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1", "OPENCODE_DISABLE_AUTOUPDATE": "1",
    }  # fmt: skip


def aider(home: Path, url: str, *folders: Path) -> dict[str, str]:
    """aider: the stand-in as an OpenAI-like model, no update looked for, nothing reported home."""
    caches = home / ".aider" / "caches"
    caches.mkdir(parents=True, exist_ok=True)
    (caches / "model_prices_and_context_window.json").write_text('{"standin": {}}')  # or it fetches one
    return {
        "HOME": str(home), "OPENAI_API_BASE": f"{url}/v1", "OPENAI_API_KEY": KEY,
        "AIDER_MODEL": "openai/standin", "AIDER_EDIT_FORMAT": "diff", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "AIDER_CHECK_UPDATE": "false", "AIDER_ANALYTICS_DISABLE": "true",
        "AIDER_SHOW_MODEL_WARNINGS": "false", "AIDER_SHOW_RELEASE_NOTES": "false",
    }  # fmt: skip
