"""gdb sees gofer's fibers:

    (gdb) source tools/gdb/gofer.py
    (gdb) info fibers              id, name and state of every fiber
    (gdb) fiber 17                 the backtrace of fiber 17
    (gdb) fiber 17 frame 3         any command in its place, as if the thread stood where the fiber waits

A fiber that runs is on a thread: "thread apply all backtrace" shows it. The registers are put back after the command;
that needs a living process, so for core files there is "info fibers" only.
"""

import gdb

STRUCTURE = {
    # What src/arch/context.hpp saves (the rest is in the frames), and how far above it the stack pointer goes on.
    "i386:x86-64": {"words": ["rbp", "rip"], "sp": "rsp", "size": 144},
    "aarch64": {"words": ["x29", "pc"], "sp": "sp", "size": 16},
}


def value(atomic):
    """What a std::atomic or an owned<> holds."""
    while atomic.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        fields = atomic.type.strip_typedefs().fields()
        inner = [f for f in fields if f.is_base_class or f.name in ("_M_base", "_M_b", "_M_p", "_M_i", "value_")]
        atomic = atomic[inner[0]]
    return atomic


def fibers():
    """Every living fiber's control block."""
    try:
        instance = gdb.parse_and_eval("gofer::v0::sched::runtime::instance_")
    except gdb.error as e:
        raise gdb.GdbError(f"gofer's runtime is not to be seen here: {e}; is the library built with -g?")
    runtime = value(instance)
    if int(runtime) == 0:
        return
    slab = value(runtime.dereference()["fibers"]["slabs_"])
    while int(slab) != 0:
        blocks = slab.dereference()["blocks"]
        low, high = blocks.type.range()
        for i in range(low, high + 1):
            if int(value(blocks[i]["id"])) != 0:
                yield blocks[i]
        slab = slab.dereference()["next"]


def name(fiber):
    length = int(value(fiber["name_length"]))
    text = fiber["name_text"]["_M_elems"]
    return "".join(chr(int(value(text[i])) & 0xFF) for i in range(length))


def state(fiber):
    if bool(value(fiber["on_thread"])):
        return "running"
    reason = value(fiber["waiting_in"])
    if int(reason) == 0:
        return "ready to run"
    on = int(value(fiber["waiting_on"]))
    return f"waiting in {reason.string()}" + (f" on {on:#x}" if on else "")


class InfoFibers(gdb.Command):
    """All fibers of gofer: id, name, state."""

    def __init__(self):
        super().__init__("info fibers", gdb.COMMAND_STACK)

    def invoke(self, _argument, _from_tty):
        count = 0
        for f in sorted(fibers(), key=lambda f: int(value(f["id"]))):
            label = f' "{name(f)}"' if name(f) else ""
            print(f"{int(value(f['id'])):6}{label} {state(f)}")
            count += 1
        print(f"{count} fibers")


class Fiber(gdb.Command):
    """fiber ID [COMMAND]: runs COMMAND, or "backtrace", where a fiber of gofer waits."""

    def __init__(self):
        super().__init__("fiber", gdb.COMMAND_STACK)

    def invoke(self, argument, _from_tty):
        number, _, command = argument.strip().partition(" ")
        if not number.isdigit():
            raise gdb.GdbError("usage: fiber ID [COMMAND]; \"info fibers\" lists the ids")
        found = [f for f in fibers() if int(value(f["id"])) == int(number)]
        if not found:
            raise gdb.GdbError(f"there is no fiber {number}; \"info fibers\" lists those there are")
        fiber = found[0]
        if bool(value(fiber["on_thread"])):
            raise gdb.GdbError(f"fiber {number} is running; \"thread apply all backtrace\" shows it")
        if int(value(fiber["stack"])) == 0:
            raise gdb.GdbError(f"fiber {number} has no stack: it has yet to run, or rests until its socket is ready")
        self.at(int(fiber["sp"]), command or "backtrace")

    @staticmethod
    def at(sp, command):
        layout = STRUCTURE.get(gdb.selected_frame().architecture().name())
        if layout is None:
            raise gdb.GdbError("fibers are known on x86-64 and aarch64")
        word = gdb.lookup_type("unsigned long").pointer()
        saved = gdb.Value(sp).cast(word)
        there = {register: int(saved[i]) for i, register in enumerate(layout["words"])}
        there[layout["sp"]] = sp + layout["size"]
        gdb.execute("select-frame 0")
        here = {register: int(gdb.parse_and_eval(f"(unsigned long)${register}")) for register in there}
        try:
            for register, contents in there.items():
                gdb.execute(f"set ${register} = {contents}", to_string=True)
            gdb.execute(command)
        finally:
            gdb.execute("select-frame 0")
            for register, contents in here.items():
                gdb.execute(f"set ${register} = {contents}", to_string=True)


InfoFibers()
Fiber()
