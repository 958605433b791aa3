"""Would the unit's sandbox have let the gateway do what it did?

    verify_syscalls.py dcams-gateway.service STRACE_LOG

Compares every system call, socket family and writable-executable mapping of a recorded run (strace -f) with
SystemCallFilter=, RestrictAddressFamilies= and MemoryDenyWriteExecute= of the unit.
"""

import functools
import re
import subprocess
import sys


def settings(unit, key):
    """The words of every `key=` line, line by line."""
    with open(unit, encoding="utf-8") as file:
        return [line.split("=", 1)[1].split() for line in file if line.startswith(key + "=")]


@functools.cache
def members(name):
    """The system calls that a name of the unit stands for: `@group`, which may hold groups, or one call."""
    if not name.startswith("@"):
        return frozenset([name])
    listed = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name],
                            check=True, capture_output=True, text=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:]]
    return frozenset().union(*(members(word) for word in words if word and not word.startswith("#")))


def allowed_calls(unit):
    allowed = set(members("@default"))  # systemd adds it to every allow list
    for words in settings(unit, "SystemCallFilter"):
        removes = words[0].startswith("~")
        named = frozenset().union(*(members(word.lstrip("~")) for word in words))
        allowed = allowed - named if removes else allowed | named
    return allowed


def main(unit, log):
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    calls = set(re.findall(r"^\d+\s+(?:<\.\.\. )?(\w+)(?:\(| resumed>)", text, re.M))
    if "execve" not in calls:
        sys.exit(f"{log} records no run")
    families = set(re.findall(r"\bsocket(?:pair)?\((AF_\w+)", text))
    refused = sorted(calls - allowed_calls(unit))
    refused += sorted(families - {word for words in settings(unit, "RestrictAddressFamilies") for word in words})
    if settings(unit, "MemoryDenyWriteExecute") == [["yes"]]:
        refused += re.findall(r"m(?:map|protect)\([^\n]*PROT_WRITE\|PROT_EXEC", text)
    if refused:
        sys.exit("the unit would refuse: " + ", ".join(refused))
    print(f"sandbox: {len(calls)} system calls and {len(families)} socket families of a run, all allowed by the unit")


main(*sys.argv[1:])
