# What the harnesses are to find in a home: first-run questions answered, and the MCP servers of .mcp.json in the folder
# $place; $workspace is where an agent works.
#
# $mcp, $last, $claude and $gemini are what stands in these files now, "" where there is none. Says a line each: what
# is to be in .claude.json and in .gemini/settings.json ("" where they are to stay), what OpenCode and Codex read,
# what to remember for the next time, and what went wrong.

def doc: first((fromjson? | objects), null);
def clean: tojson | test("\u007f") | not;

# ${NAME} and ${NAME:-else}, as Claude Code has them in .mcp.json.
def filled:
    walk(if type == "string" then
        gsub("\\$\\{(?<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?<else>[^}]*))?\\}";
            (env[.name] // "" | select(. != "")) // .else // "${\(.name)}")
    else . end);
def remote: has("url");

def for_gemini:
    if remote then {headers: (.headers // {})} + (if .type == "sse" then {url} else {httpUrl: .url} end)
    else {command, args: (.args // []), env: (.env // {})} end;
def for_opencode:
    if remote then {type: "remote", url, headers: (.headers // {}), enabled: true}
    else {type: "local", command: [.command, (.args // [])[]], environment: (.env // {}), enabled: true} end;
def for_codex:
    if remote then {url, http_headers: (.headers // {})} else {command, args: (.args // []), env: (.env // {})} end;
# JSON's strings are TOML's; of the rest a table is written otherwise.
def toml:
    if type == "object" then "{" + (to_entries | map("\(.key | tojson) = \(.value | toml)") | join(", ")) + "}"
    elif type == "array" then "[" + (map(toml) | join(", ")) + "]"
    else tojson end;

# A document with these servers instead of those of last time. What else is there under a name was put there by hand.
def with_servers($new; $old):
    . as $doc
    | ((.mcpServers | objects) // {} | with_entries(select(.value != $old[.key]))) as $own
    | if $new == {} and (has("mcpServers") | not) then . else .mcpServers = $new + $own end;
def changed($text): if $text != "" and . == ($text | doc) then "" else tojson end;

($last | doc // {}) as $before
| ($mcp | doc | .mcpServers? // {} | objects) as $told
| (if $mcp != "" and ($mcp | doc) == null then $before.servers // {} else $told end
    | with_entries(select((.value | type) == "object" and clean and (.value | has("command") or has("url"))))) as $servers
| ($servers | filled) as $filled
| ($filled | map_values(for_gemini)) as $for_gemini
| [
    if $claude != "" and ($claude | doc) == null then "" else
        (if $claude == "" then {
            hasCompletedOnboarding: true,
            theme: "dark",
            projects: {($workspace): {hasTrustDialogAccepted: true}},
            customApiKeyResponses: {approved: [env.ANTHROPIC_API_KEY // empty | .[-20:]], rejected: []}
        } else $claude | doc end)
        | with_servers($servers; $before.servers // {}) | changed($claude)
    end,
    if $gemini != "" and ($gemini | doc) == null then "" else
        (if $gemini == "" then {
            security: {auth: {selectedType: "gemini-api-key"}, folderTrust: {enabled: false}},
            general: {enableAutoUpdate: false, enableAutoUpdateNotification: false}
        } else $gemini | doc end)
        | with_servers($for_gemini; $before.gemini // {}) | changed($gemini)
    end,
    ({mcp: ($filled | map_values(for_opencode)), instructions: ["\($place)/CLAUDE.md"]} | tojson),
    "mcp_servers = " + ($filled | map_values(select(.type != "sse") | for_codex) | toml),
    ({servers: $servers, gemini: $for_gemini} | tojson),
    if $mcp != "" and ($mcp | doc) == null
    then "\($place)/.mcp.json is no JSON; agents keep the MCP servers that they had" else "" end,
    "the end, since a shell drops empty lines there"
] | .[]
