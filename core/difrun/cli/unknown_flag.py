"""Error messages for a flag that the chosen components do not have, and for a word that belongs after a flag."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from difrun.api import MANY
from difrun.builtin.options import FILE_SUFFIXES
from difrun.cli.flags import OptionFlag, without_name
from difrun.config.option_groups import OptionGroup
from difrun.plugin.registry import Registry
from difrun.text import closest, did_you_mean, listed, quoted

Flags = Sequence[tuple[OptionGroup, Sequence[OptionFlag]]]
"""The flags of a run, by the part of it that they belong to."""


def explain(flag: str, flags: Flags, installed: Mapping[str, str]) -> str:
    """Say which component has the option of a flag, and what to write instead; empty for a flag of no component.

    Args:
        flag: The flag as it was written, such as ``--process.theta``.
        flags: The flags of this run.
        installed: Flag -> the component that has it, for all installed components.
    """
    if flag not in installed:
        return _owned_by_nobody(flag, flags, installed)
    text = _ambiguous(flag, flags)
    if text:
        return text
    owner = installed[flag]
    kind = owner.split()[0]
    used = [group.owner for group, _ in flags if group.owner.startswith(kind)]
    return f"{flag} is an option of {owner}; this run uses {', '.join(used) or f'no {kind}'}."


def advice_for_a_run(flag: str, command: str, folder: str) -> str:
    """Say what to do with a flag of `difrun run` that a command on a run does not take; empty for other flags.

    Args:
        flag: The flag as it was written.
        command: The command, such as ``resume``.
        folder: The run as it was written.
    """
    part, _, option = flag.removeprefix("--").partition(".")
    if (part, option) == ("train", "steps"):
        return f"'difrun resume {folder} --train.steps N' trains further."
    if part in ("process", "model", "loss", "dataset", "train", "seed"):
        return (
            f"What a run was made with stays. 'difrun run --config {Path(folder) / 'run.toml'} {flag} ...' makes "
            f"another one; 'difrun run --from {folder} {flag} ...' begins it with these weights."
        )
    draws = ("sampler", "grid", "guidance", "sample", "n", "steps", "label", "condition", "noise", "chunk")
    for other, parts in (("sample", draws), ("evaluate", ("metric", "samples"))):
        if part in parts and command != other:
            return f"It is an option of 'difrun {other} {folder}'."
    return ""


def flag_for(word: str, kinds: Collection[str], registry: Registry, before: str = "") -> str:
    """Say after which flag a word belongs that was written without one; empty if no flag takes it.

    Args:
        word: The word, such as ``heun``, ``moons.npy`` or a run folder.
        kinds: The kinds that flags of the command name.
        registry: The installed components.
        before: What comes before the flag.
    """
    named = [kind for kind in kinds if word in registry.names(kind)]
    if named:
        flags = listed([f"{before}--{kind} {word}" for kind in named], " or ")
        return f"{word} is the name of a {listed(named, ' and of a ')}: {flags}"
    if "dataset" in kinds and Path(word).suffix.lower() in FILE_SUFFIXES:
        return f"To read the examples from this file: {before}--dataset {quoted(word)}"
    every = [name for kind in kinds for name in registry.names(kind)]
    guess = closest(word, every)
    if guess is None:
        return ""
    kind = next(kind for kind in kinds if guess in registry.names(kind))
    return f"Did you mean '{before}--{kind} {guess}'?"


def _ambiguous(flag: str, flags: Flags) -> str:
    """What to write if several guidances of the run have the option of ``--guidance.OPTION``; else empty."""
    meant = [
        (group.owner, option.opts[0])
        for group, options in flags
        for option in options
        if group.entry is not None
        and group.entry.kind in MANY
        and flag == without_name(group.section).flag(option.field.name)
    ]
    if len(meant) < 2:
        return ""
    owners = listed([owner for owner, _ in meant], " and ")
    full_flags = listed([full_flag for _, full_flag in meant], " or ")
    return f"{flag} is an option of {owners}; write {full_flags}."


def _owned_by_nobody(flag: str, flags: Flags, installed: Mapping[str, str]) -> str:
    """Say that no component has the option of a flag ``--KIND.OPTION``, and which flag may be meant.

    Empty if the flag does not begin with a kind that this run uses.
    """
    kind, dot, option = flag.removeprefix("--").partition(".")
    used = [(group.owner, options) for group, options in flags if group.owner.split()[0] == kind]
    if not dot or not used:
        return ""
    owners = listed([owner for owner, _ in used], " and ")
    known = [known_option.opts[0] for _, options in used for known_option in options]
    longer = [name for name in sorted(installed) if name.startswith(flag)]
    if longer and not set(longer) & set(known):
        others = listed(dict.fromkeys(installed[name] for name in longer), " and ")
        are = "is an option" if len(longer) == 1 else "are options"
        guess = f" {listed(longer, ' and ')} {are} of {others}."
    else:
        guess = did_you_mean(option, [name.removeprefix(f"--{kind}.") for name in known])
        guess = guess.replace("'", f"'--{kind}.", 1)
    has = f" Its options: {listed(known)}." if known else " It has no options."
    return f"{owners} has no option '{option}' ({flag}).{guess}{has}"
