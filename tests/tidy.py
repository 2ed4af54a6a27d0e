"""clang-tidy over all C++ of the tree, quickly: the files of one folder are read as one translation unit.

A file alone costs four seconds, nearly all of them for the headers of the standard library; a folder together costs
little more. Files that cannot stand together (a name that two of them have in their anonymous namespaces) are told apart
by clang and go into the folder's next unit. What one file hides from another that way (an unused include or using
declaration) is the price; the analyzer in turn sees across files.
"""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess

# Kept by clang-tidy's parser from a compile command: what decides how the text is read.
KEPT = re.compile(r"^-(I|D|U|std=|isystem|pthread)")
# Lines that name a place in a file: warnings and errors, not the notes below them.
FINDING = re.compile(r"^(\S+?):\d+:\d+: (?:warning|error): ", re.M)


def flags_of(entry):
    """The flags of one compile command that matter to clang, as a tuple."""
    words, kept = shlex.split(entry["command"]), []
    for at, word in enumerate(words):
        if KEPT.match(word):
            kept.append(word)
            if word in ("-I", "-D", "-U", "-isystem"):
                kept.append(words[at + 1])
    return tuple(kept)


def groups(root, build):
    """{(folder, flags): [files]} of the build's compile commands; the fuzzers, which that build leaves out, are added."""
    found = {}
    with open(os.path.join(build, "compile_commands.json")) as text:
        for entry in json.load(text):
            name = os.path.relpath(entry["file"], root)
            if name.split(os.sep)[0] in ("daemon", "tests"):
                found.setdefault((os.path.dirname(name), flags_of(entry)), set()).add(name)
    fuzzers = os.path.join(root, "tests", "fuzz")
    if os.path.isdir(fuzzers):
        flags = ("-I" + os.path.join(root, "daemon"), "-I" + fuzzers, "-std=c++20")
        names = {os.path.join("tests", "fuzz", n) for n in os.listdir(fuzzers) if n.endswith(".cpp")}
        found.setdefault((os.path.join("tests", "fuzz"), flags), set()).update(names)
    return {key: sorted(names) for key, names in found.items() if names}


def write_unit(root, scratch, folder, number, files):
    """A file that includes `files`; it lies where clang-tidy finds the settings of that part of the tree."""
    path = os.path.join(scratch, folder.split(os.sep)[0], "%s_%d.cpp" % (folder.replace(os.sep, "_"), number))
    with open(path, "w") as out:
        out.writelines('#include "%s"\n' % os.path.join(root, f) for f in files)
    return path


def units(root, scratch, folder, flags, files):
    """Yields (path of a unit, its files). A file in which clang finds an error waits for the next unit, others stay."""
    number, left = 0, files
    while left:
        here, later = left, []
        while len(here) > 1:
            path = write_unit(root, scratch, folder, number, here)
            done = subprocess.run(["clang++", "-fsyntax-only", "-w", "-ferror-limit=0", *flags, path], cwd=root,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
            if done.returncode == 0:
                break
            named = {os.path.relpath(f, root) for f in FINDING.findall(done.stdout.decode("utf-8", "replace"))}
            bad = [f for f in here[1:] if f in named] or here[1:]
            later += bad
            here = [f for f in here if f not in bad]
        yield write_unit(root, scratch, folder, number, here), here
        number, left = number + 1, sorted(later)


def examine_group(root, scratch, folder, flags, files):
    """[(file, clean)] of one folder, and the text of what was found."""
    results, texts = [], []
    for unit, here in units(root, scratch, folder, flags, files):
        # Units are all about including .cpp files, which one check dislikes.
        done = subprocess.run(["clang-tidy", "--quiet", "--checks=-bugprone-suspicious-include", unit, "--", *flags],
                              cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=1800)
        text = done.stdout.decode("utf-8", "replace")
        named = {os.path.relpath(f, root) for f in FINDING.findall(text)}
        if done.returncode and not named & set(here):
            named |= set(here)  # a header's finding, or clang-tidy itself failed: it must not get lost
            text = text or done.stderr.decode("utf-8", "replace")
        results += [(f, not (done.returncode and f in named)) for f in here]
        texts += [text] if text.strip() else []
    return results, "\n".join(texts)


def examine(root, build, scratch, processes):
    """Yields (file, clean) over daemon/ and tests/; prints what was found. `build` has a compile_commands.json."""
    for part in ("daemon", "tests"):
        os.makedirs(os.path.join(scratch, part), exist_ok=True)
    for name in (".clang-tidy", os.path.join("tests", ".clang-tidy")):
        if not os.path.lexists(os.path.join(scratch, name)):
            os.symlink(os.path.join(root, name), os.path.join(scratch, name))
    work = sorted(((folder, flags, files) for (folder, flags), files in groups(root, build).items()),
                  key=lambda one: -len(one[2]))
    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        jobs = [pool.submit(examine_group, root, scratch, *one) for one in work]
        for job in concurrent.futures.as_completed(jobs):
            results, text = job.result()
            if text:
                print(text, flush=True)
            yield from results
