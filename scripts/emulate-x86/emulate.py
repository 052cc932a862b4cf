"""Runs a static x86-64 Linux program on an emulated CPU whose instruction sets this machine may lack.

    run MODEL PROGRAM [ARGUMENT...]

The emulator is Bochs, as a library from PyPI. The program must be linked with -static -no-pie and use one thread and no
signals; it can print, read standard input, allocate and exit. Its exit code is passed on; 98 says that the CPU raised an
exception (vector 6: an instruction that this CPU does not have). About 50 million instructions a second.

There is no kernel: the program runs in a flat address space with all privileges, and its system calls come back here.
Only addresses beyond the memory fault, so guard pages prove nothing.
"""

import ctypes
import mmap
import os
import struct
import sys
import time

MODELS = {
    "cannonlake": 27,  # AVX-512 without VNNI
    "icelake": 28,  # AVX-512-VNNI
    "tigerlake": 29,  # the same
    "sapphirerapids": 30,  # AVX-512-VNNI and AVX-VNNI
    "arrowlake": 31,  # AVX-VNNI without AVX-512
}
MEMORY = 256 << 20
PAGE_TABLES = MEMORY - (4 << 20)
SYSCALL_ENTRY = PAGE_TABLES + 0x10000
STACK_TOP = PAGE_TABLES - (1 << 20)
MAPPINGS_END = PAGE_TABLES - (32 << 20)
DATA_SELECTOR, CODE_SELECTOR = 0x10, 0x08
DATA_SEGMENT, CODE_SEGMENT = 0xC093, 0xA09B
EBADF, ENOMEM, ENOTTY, ENOSYS = -9, -12, -25, -38


def emulator(model):
    """Imports the emulator with its CPU model chosen, which has to happen before the first CPU is made."""
    import bochscpu
    import bochscpu.cpu
    import bochscpu.memory
    from bochscpu import _bochscpu

    library = ctypes.CDLL(_bochscpu.__file__)
    library.sim_get_param_enum.restype = ctypes.c_void_p
    parameter = library.sim_get_param_enum(b"cpu.model")
    library._ZN15bx_param_enum_c3setEl(ctypes.c_void_p(parameter), ctypes.c_long(model))
    return bochscpu


def load(memory, arguments):
    """Puts the program and its stack in memory; gives its entry, the stack pointer and the end of the program."""
    with open(arguments[0], "rb") as file:
        elf = file.read()
    if elf[:4] != b"\x7fELF" or struct.unpack_from("<H", elf, 16)[0] != 2:
        sys.exit(f"{arguments[0]}: not a static program at a fixed address (link with -static -no-pie)")
    entry, table = struct.unpack_from("<QQ", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54)
    end = headers = 0
    for i in range(count):
        kind, _, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", elf, table + i * size)
        if kind == 1:
            memory[address : address + in_file] = elf[offset : offset + in_file]
            end = max(end, address + in_memory)
            if offset <= table < offset + in_file:
                headers = address + table - offset
    stack, strings = STACK_TOP, []
    for argument in arguments:
        text = argument.encode() + b"\0"
        stack -= len(text)
        memory[stack : stack + len(text)] = text
        strings.append(stack)
    stack -= 32
    # AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_ENTRY, users and groups, AT_HWCAP, AT_SECURE, AT_RANDOM, AT_CLKTCK
    auxiliary = [3, headers, 4, size, 5, count, 6, 4096, 9, entry, 11, 0, 12, 0, 13, 0, 14, 0]
    auxiliary += [16, 0x178BFBFF, 23, 0, 25, stack, 17, 100, 0, 0]
    words = [len(strings), *strings, 0, 0, *auxiliary]
    stack = (stack - 8 * len(words)) & ~63
    memory[stack : stack + 8 * len(words)] = struct.pack(f"<{len(words)}Q", *words)
    return entry, stack, (end + 0xFFFF) & ~0xFFFF


def identity_map(memory):
    def entry(address, value):
        memory[address : address + 8] = struct.pack("<Q", value)

    entry(PAGE_TABLES, (PAGE_TABLES + 0x1000) | 7)
    entry(PAGE_TABLES + 0x1000, (PAGE_TABLES + 0x2000) | 7)
    for i in range(MEMORY >> 21):
        entry(PAGE_TABLES + 0x2000 + 8 * i, (i << 21) | 0x87)
    memory[SYSCALL_ENTRY] = 0xF4  # hlt: back to this script


def segment(bochs, selector, attributes, base=0):
    s = bochs.Segment()
    s.present, s.selector, s.base, s.limit, s.attr = True, selector, base, 0xFFFFFFFF, attributes
    return s


def start(bochs, entry, stack):
    """A state in 64-bit mode with every vector register enabled."""
    state = bochs.State()
    bochs.cpu.set_long_mode(state)
    state.cr0, state.cr4, state.xcr0, state.efer, state.cr3 = 0x80010033, 0x50620, 0xE7, 0xD01, PAGE_TABLES
    state.mxcsr, state.mxcsr_mask, state.fpcw, state.fptw, state.rflags = 0x1F80, 0xFFFF, 0x37F, 0xFFFF, 2
    state.cs = segment(bochs, CODE_SELECTOR, CODE_SEGMENT)
    state.ds = state.es = state.ss = state.fs = state.gs = segment(bochs, DATA_SELECTOR, DATA_SEGMENT)
    state.star, state.lstar, state.sfmask = CODE_SELECTOR << 32, SYSCALL_ENTRY, 0
    state.rip, state.rsp = entry, stack
    return state


class System:
    """The system calls of a small program."""

    def __init__(self, bochs, session, memory, base, end):
        self.bochs, self.session, self.memory, self.base = bochs, session, memory, base
        self.end, self.mappings = end, MAPPINGS_END

    def call(self, number, a):
        if number == 0:  # read
            data = os.read(a[0], a[2])
            self.memory[a[1] : a[1] + len(data)] = data
            return len(data)
        if number == 1:  # write
            return os.write(a[0], self.memory[a[1] : a[1] + a[2]])
        if number == 20:  # writev
            pieces = [struct.unpack_from("<QQ", self.memory, a[1] + 16 * i) for i in range(a[2])]
            return sum(os.write(a[0], self.memory[place : place + length]) for place, length in pieces)
        if number in (60, 231):  # exit, exit_group
            os._exit(a[0] & 255)
        if number == 234:  # tgkill: abort
            os._exit(128 + a[2])
        if number == 12:  # brk
            if self.end <= a[0] < self.mappings:
                self.end = a[0]
            return self.end
        if number == 9:  # mmap
            length = (a[1] + 4095) & ~4095
            if not a[3] & 0x20 or self.mappings - length <= self.end:
                return ENOMEM
            self.mappings -= length
            ctypes.memset(self.base + self.mappings, 0, length)
            return self.mappings
        if number == 158 and a[0] == 0x1002:  # arch_prctl(ARCH_SET_FS)
            state = self.session.cpu.state
            state.fs = segment(self.bochs, DATA_SELECTOR, DATA_SEGMENT, a[1])
            self.session.cpu.state = state
            return 0
        if number == 228:  # clock_gettime
            now = time.time_ns()
            struct.pack_into("<QQ", self.memory, a[1], now // 10**9, now % 10**9)
            return 0
        if number == 318:  # getrandom
            self.memory[a[0] : a[0] + a[1]] = os.urandom(a[1])
            return a[1]
        if number in (39, 186):  # getpid, gettid
            return 1
        if number in (3, 10, 11, 13, 14, 28, 202, 218, 273):  # close, mprotect, munmap, signals, madvise, futex, …
            return 0
        return {5: EBADF, 262: EBADF, 16: ENOTTY}.get(number, ENOSYS)  # fstat, ioctl


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in MODELS:
        sys.exit(f"usage: run {{{','.join(MODELS)}}} PROGRAM [ARGUMENT...]")
    bochs = emulator(MODELS[sys.argv[1]])
    memory = mmap.mmap(-1, MEMORY)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    session = bochs.Session()

    def missing(address):
        print(f"emulate: no memory at {address:#x}, near {session.cpu.rip:#x}", file=sys.stderr)
        os._exit(97)

    session.missing_page_handler = missing
    for page in range(0, MEMORY, 4096):
        bochs.memory.page_insert(page, base + page)
    identity_map(memory)
    entry, stack, end = load(memory, sys.argv[2:])
    session.cpu.state = start(bochs, entry, stack)
    system = System(bochs, session, memory, base, end)

    exceptions = []

    def halted(s, _):
        s.stop()

    def excepted(s, _, vector, code):
        exceptions.append(f"exception {vector} (code {code})")
        s.stop()

    hook = bochs.Hook()
    hook.hlt, hook.exception = halted, excepted
    while True:
        session.run([hook])
        cpu = session.cpu
        if exceptions:
            code = bytes(memory[cpu.rip : cpu.rip + 12]).hex() if cpu.rip < MEMORY else "?"
            print(f"emulate: {exceptions[0]}, next instruction {cpu.rip:#x}: {code}", file=sys.stderr)
            os._exit(98)
        result = system.call(cpu.rax, (cpu.rdi, cpu.rsi, cpu.rdx, cpu.r10, cpu.r8, cpu.r9))
        cpu = session.cpu  # a call may have replaced it
        cpu.rax, cpu.rip = result & (2**64 - 1), cpu.rcx


main()
