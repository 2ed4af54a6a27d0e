"""What a process costs, from /proc: CPU time in nanoseconds, context switches, memory in bytes; with all its threads and
children."""

import os


def family(pid):
    """The process and its living descendants."""
    found = [pid]
    for parent in found:
        for task in _entries("/proc/%d/task" % parent):
            children = _read("/proc/%d/task/%s/children" % (parent, task))
            found += [int(child) for child in children.split()]
    return found


def cpu_ns(pid):
    """CPU time, user and system, since the start. schedstat counts nanoseconds but forgets threads that have ended; stat
    forgets none but counts ticks: both are lower bounds, so the larger one is it."""
    total = 0
    for one in family(pid):
        exact = [_read("/proc/%d/task/%s/schedstat" % (one, task)) for task in _entries("/proc/%d/task" % one)]
        total += max(sum(int(text.split()[0]) for text in exact if text), sum(_ticks("/proc/%d/stat" % one)))
    return total


def user_ns(pid):
    """The user part of it, to a tick (10 ms)."""
    return sum(_ticks("/proc/%d/stat" % one)[0] for one in family(pid))


def switches(pid):
    """How often its threads left a core: they slept, or another one's turn came. Many mean small batches."""
    total = 0
    for one in family(pid):
        for task in _entries("/proc/%d/task" % one):
            lines = _read("/proc/%d/task/%s/status" % (one, task)).splitlines()
            total += sum(int(line.split()[1]) for line in lines if "ctxt_switches:" in line)
    return total


def memory_bytes(pid):
    """Proportional set size, or the resident set where the kernel does not tell that."""
    total = 0
    for one in family(pid):
        sizes = dict(line.split(":", 1) for line in _read("/proc/%d/smaps_rollup" % one).splitlines()[1:])
        if "Pss" not in sizes:
            sizes = dict(line.split(":", 1) for line in _read("/proc/%d/status" % one).splitlines())
        total += int(sizes.get("Pss", sizes.get("VmRSS", "0 kB")).split()[0]) * 1024
    return total


def _ticks(path):
    """(user, system) of a stat file, in nanoseconds. The name in it may hold blanks and brackets."""
    text = _read(path)
    if not text:
        return 0, 0
    fields = text[text.rindex(")") + 2 :].split()
    scale = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return int(fields[11]) * scale, int(fields[12]) * scale


def _entries(path):
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _read(path):
    try:
        with open(path) as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
