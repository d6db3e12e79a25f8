"""The agents that can be tried: how each is installed, set up for the scripted model, and started."""

import json
from dataclasses import dataclass, field

MCP = {"command": "valetkey", "args": ["mcp", "serve"]}


@dataclass
class Agent:
    """One agent."""

    name: str
    #: npm packages of this version, or with `pip`, Python packages.
    packages: list
    command: list
    #: Files of the home that set it up, by their names; `{url}` is the model's.
    files: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    #: What steers its next session, below the home.
    own: list = field(default_factory=list)
    has_mcp: bool = True
    installer: str = "npm"
    #: What is run after the packages are there, below the place of installation.
    after: list = field(default_factory=list)
    #: Steps that come first, such as to find tools that are not told of at once.
    first: list = field(default_factory=list)


CODEX = """model = "scripted-1"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
[mcp_servers.files]
command = "valetkey"
args = ["mcp", "serve"]
"""

OPENCODE = json.dumps({
    "provider": {"scripted": {
        "npm": "@ai-sdk/openai-compatible", "name": "scripted", "options": {"baseURL": "{url}/v1", "apiKey": "x"},
        "models": {"scripted-1": {"name": "scripted-1"}},
    }},
    "model": "scripted/scripted-1", "small_model": "scripted/scripted-1", "permission": {"*": "allow"}, "autoupdate": False,
    "mcp": {"files": {"type": "local", "command": ["valetkey", "mcp", "serve"], "enabled": True}},
})

AGENTS = {agent.name: agent for agent in [
    Agent(
        "claude-code", ["@anthropic-ai/claude-code@2.1.197"],
        ["claude", "-p", "go", "--mcp-config", json.dumps({"mcpServers": {"files": MCP}}), "--strict-mcp-config",
         "--allowedTools", "Bash", "Read", "Write", "Edit", "mcp__files"],
        environment={"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": "x", "ENABLE_TOOL_SEARCH": "false"},
        own=[".claude/settings.json", ".claude/CLAUDE.md", ".claude.json"],
        after=["node", "node_modules/@anthropic-ai/claude-code/install.cjs"],
    ),
    Agent(
        "codex", ["@openai/codex@0.171.0"],
        ["codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "go"],
        files={".codex/config.toml": CODEX}, own=[".codex/config.toml", ".codex/AGENTS.md"],
    ),
    Agent(
        "copilot", ["@github/copilot@1.0.102"], ["copilot", "--allow-all", "-p", "go"],
        files={".copilot/mcp-config.json": json.dumps({"mcpServers": {"files": MCP | {"type": "local", "tools": ["*"]}}})},
        environment={"COPILOT_OFFLINE": "true", "COPILOT_PROVIDER_BASE_URL": "{url}/v1", "COPILOT_MODEL": "scripted-1"},
        own=[".copilot/mcp-config.json", ".copilot/settings.json"],
    ),
    Agent(
        "gemini", ["@google/gemini-cli@0.61.0"], ["gemini", "-m", "scripted-1", "--approval-mode", "yolo", "-p", "go"],
        files={".gemini/settings.json": json.dumps({
            "security": {"auth": {"selectedType": "gemini-api-key"}}, "mcpServers": {"files": MCP | {"trust": True}},
        })},
        environment={"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": "{url}", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
        own=[".gemini/settings.json", ".gemini/GEMINI.md"],
    ),
    Agent(
        "mini-swe-agent", ["mini-swe-agent==2.4.6"],
        ["mini-swe-agent", "-y", "--exit-immediately", "-m", "openai/scripted-1", "-t", "go"],
        environment={"MSWEA_CONFIGURED": "true", "OPENAI_API_KEY": "x", "OPENAI_API_BASE": "{url}/v1", "MSWEA_COST_TRACKING": "ignore_errors"},
        own=[".config/mini-swe-agent/.env"], has_mcp=False, installer="pip",
    ),
    Agent(
        "opencode", ["opencode-ai@1.18.33"], ["opencode", "run", "go"],
        files={".config/opencode/opencode.json": OPENCODE}, own=[".config/opencode/opencode.json"],
    ),
    Agent(
        "qwen-code", ["@qwen-code/qwen-code@0.15.10"], ["qwen", "--approval-mode", "yolo", "--auth-type", "openai", "-p", "go"],
        files={".qwen/settings.json": json.dumps({"mcpServers": {"files": MCP | {"trust": True}}})},
        environment={"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": "{url}/v1", "OPENAI_MODEL": "scripted-1"},
        own=[".qwen/settings.json", ".qwen/QWEN.md"],
        first=[{"tool": "tool_search", "arguments": {"query": "select:mcp__files__read_text_file,mcp__files__write_file"}}],
    ),
]}
