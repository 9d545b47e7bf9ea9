"""What has bash complete the command `jaxrnn`: a script, made of what each `--help` says.

jaxrnn completion > ~/.local/share/bash-completion/completions/jaxrnn
"""

import re
import subprocess
import sys
from collections.abc import Mapping

SCRIPT = """_jaxrnn() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words=""
    case $COMP_CWORD:${{COMP_WORDS[1]}} in
        1:*) words="{commands}" ;;
{cases}
    esac
    COMPREPLY=()
    if [[ $COMP_CWORD == 1 || $word == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
    if [[ ${{COMPREPLY[0]}} == *= ]]; then
        compopt -o nospace  # the value follows
    fi
}}
complete -o default -F _jaxrnn jaxrnn"""


def script(helps: Mapping[str, str]) -> str:
    """The script for commands, given by name with what their `--help` says."""
    cases = (
        f'        *:{name}) words="{" ".join(_flags(text))}" ;;' for name, text in helps.items()
    )
    return SCRIPT.format(commands=" ".join(helps), cases="\n".join(cases))


def of_commands(names: list[str]) -> str:
    """The script for commands of `jaxrnn`, each of which is asked."""
    ask = [sys.executable, "-m", "jaxrnn"]
    return script(
        {
            name: subprocess.run(
                [*ask, name, "--help"], check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            for name in names
        }
    )


def _flags(text: str) -> list[str]:
    found = re.findall(r"^  --(\[no\])?(\w+)", text, re.MULTILINE)
    return [
        word
        for no, name in found
        for word in ([f"--{name}", f"--no{name}"] if no else [f"--{name}="])
    ]
