"""What scripts/analyse-arm64 prints: llvm-mca's cycles for the loops that LOOP_MARK marks in CKernels.

Multiplies alone are as many instructions of the same kinds that wait for nothing: no loads, every result in a register of
its own. The instruction that adds a pair of 16-bit products to a sum (sadalp) counts as one of them, as it does in the
peak that `octet bench` measures.
"""

import argparse
import json
import os
import re
import subprocess
import sys

ISAS = {"neon": [], "neondot": ["dotprod"], "neoni8mm": ["dotprod", "i8mm"]}
CPUS = {
    "cortex-a55": ["dotprod"],
    "neoverse-n1": ["dotprod"],
    "neoverse-v1": ["dotprod", "i8mm"],
    "apple-m1": ["dotprod"],
}
MULTIPLIES = re.compile(r"(us|s|u)dot|(us|s|u)mmla|[su]ml[as]l2?|[su]mull2?|[su]adalp|f?ml[as]|f?mul")
ITERATIONS = 200


def assembly(isa):
    """CKernels/isa/<isa>.c as clang compiles it, with marks."""
    command = [os.environ.get("CLANG", "clang"), "--target=aarch64-linux-gnu", "--gcc-toolchain=/usr"]
    command += ["-O2", "-std=c11", "-DOCTET_ANALYSE", "-S", "-o", "-", f"CKernels/isa/{isa}.c"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")


def instructions(lines):
    lines = [line.split("//")[0].strip() for line in lines]
    return [line for line in lines if line and not line.startswith((".", "#")) and not line.endswith(":")]


def marked_loops(lines):
    """(name, instructions) of every marked loop: all from its label to the branch back, wherever the marks moved."""
    label = None
    for i, line in enumerate(lines):
        if re.match(r"\.?\w+:", line):
            label = i
        mark = re.search(r"LLVM-MCA-BEGIN (\S+)", line)
        if not mark:
            continue
        end = next(j for j in range(i, len(lines)) if re.match(r"\s+(b|b\.\w+|cbn?z|tbn?z)\s", lines[j]))
        if lines[label].split(":")[0] not in lines[end].replace(",", " ").split():
            sys.exit(f"{mark[1]} is not one straight loop:\n" + "\n".join(lines[label : end + 1]))
        yield mark[1], instructions(lines[label : end + 1])


def cycles(loop, cpu):
    """Of one iteration."""
    command = ["llvm-mca-19", "-mtriple=aarch64", f"-mcpu={cpu}", "-mattr=+dotprod,+i8mm", f"-iterations={ITERATIONS}"]
    text = subprocess.run(command, input="\n".join(loop), check=True, capture_output=True, text=True).stdout
    return int(re.search(r"Total Cycles:\s+(\d+)", text)[1]) / ITERATIONS


def independent(multiplies):
    """The same kinds of instructions, each with a result in a register of its own."""
    for i, instruction in enumerate(multiplies):
        kind, operands = instruction.split(None, 1)
        forms = [operand.strip()[operand.strip().index(".") :] for operand in operands.split(",")]
        registers = [f"v{i % 24}"] + ["v30", "v31"][: len(forms) - 1]
        # Lanes of 16 bits are those of v0 to v15 only.
        registers = ["v15" if ".h[" in form else register for register, form in zip(registers, forms)]
        yield f"{kind} " + ", ".join(register + form for register, form in zip(registers, forms))


def chosen(loops, everything):
    """Of the tiles `kind_ROWSxPANELS` of each kind the tallest and, of those, the widest; and the widest of one row."""
    if everything:
        return loops
    best = {}
    for loop in loops:
        kind, rows, panels = re.fullmatch(r"(.*)_(\d+)x(\d+)", loop["loop"]).groups()
        size = (int(rows), int(panels))
        for key in [(kind, False)] + ([(kind, True)] if size[0] == 1 else []):
            best[key] = max(best.get(key, (size, loop)), (size, loop), key=lambda entry: entry[0])
    return [loop for loop in loops if any(loop is other for _, other in best.values())]


def analysed(isa, everything):
    loops, seen = [], set()
    for name, body in marked_loops(assembly(isa)):
        multiplies = [line for line in body if MULTIPLIES.fullmatch(line.split()[0])]
        if name not in seen:
            loops.append({"isa": isa, "loop": name, "body": body, "multiplies": len(multiplies)})
            loops[-1]["alone"] = list(independent(multiplies))
        seen.add(name)
    for loop in chosen(loops, everything):
        yield {
            "isa": isa,
            "loop": loop["loop"],
            "instructions": len(loop["body"]),
            "multiplies": loop["multiplies"],
            "spills": sum("[sp" in line or "[x29" in line for line in loop["body"]),
            "cpus": {
                cpu: {"cycles": cycles(loop["body"], cpu), "multiplies": cycles(loop["alone"], cpu)} for cpu in CPUS
            },
        }


def print_table(rows):
    header = ["isa", "loop", "instructions", "multiplies", "spills", *CPUS]
    lines = [header]
    for row in rows:
        line = [row["isa"], row["loop"], str(row["instructions"]), str(row["multiplies"]), str(row["spills"])]
        for cpu, has in CPUS.items():
            all_cycles, alone = row["cpus"][cpu]["cycles"], row["cpus"][cpu]["multiplies"]
            lacks = "" if set(ISAS[row["isa"]]) <= set(has) else "*"
            line.append(f"{all_cycles:.1f} / {alone:.1f} = {all_cycles / alone:.2f}{lacks or ' '}")
        lines.append(line)
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        cells = [text.ljust(width) if i < 2 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())
    print("Cycles of an iteration / of its multiplies alone = ratio. *: this CPU lacks the instructions of the loop.")


def main():
    parser = argparse.ArgumentParser(prog="analyse-arm64")
    parser.add_argument("--all", action="store_true", help="every tile, not only the largest and that of a single row")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows, seen = [], set()
    for isa in ISAS:
        for row in analysed(isa, arguments.all):
            # What all three share is shown once.
            if row["loop"] not in seen:
                rows.append(row)
            seen.add(row["loop"])
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows)


main()
