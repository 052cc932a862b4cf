"""One engine in a process of its own, so that thread pools do not disturb one another; asked over a pipe, line by line.

    worker.py ENGINE [ISA]

A `prepare` sets a row up in every form that the engine has for it, keeps the fastest and writes its result (of an engine that
is there for being exact: the fastest that is right); a `measure` times that. An answer comes only when the engine's threads
have stopped spinning, so that the next engine has the machine alone.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

from problem import Integer, problem_of
from rows import rows_all

# A sample is so many runs that the clock and the call do not show.
SAMPLE_SECONDS = 60e-6


class Worker:
    """The other end: what the comparison talks to."""

    def __init__(self, engine, isa, input_zero):
        command = [sys.executable, "-B", __file__, engine, isa or "", str(input_zero)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = engine
        about = self.answer()
        self.title, self.version, self.problem = about.get("title"), about.get("version"), about.get("error")

    def ask(self, **question):
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.answer()
        if "error" in answer:
            raise RuntimeError(f"{self.title}: {answer['error']}")
        return answer

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.name} ended with code {self.process.wait()}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def sample(job, seconds, least):
    """Seconds of one run: the best and the median of many short samples."""
    count, took = 1, job.run(1)
    while took < SAMPLE_SECONDS:
        count = max(count + 1, int(count * min(10, 1.2 * SAMPLE_SECONDS / max(took, 1e-7))))
        took = job.run(count)
    samples = []
    end = time.perf_counter() + seconds
    while len(samples) < least or time.perf_counter() < end:
        samples.append(job.run(count) / count)
    return {"best": min(samples), "median": statistics.median(samples)}


def settle():
    """Returns when the threads of this process have gone to sleep (or have had enough time to)."""
    for _ in range(100):
        before = time.process_time()
        time.sleep(0.002)
        if time.process_time() - before < 0.0005:
            return


class Desk:
    """Answers questions with one engine."""

    def __init__(self, engine, input_zero):
        self.engine, self.input_zero = engine, input_zero
        self.rows = {f"{row.table} {row.name}": row for row in rows_all()}

    def prepare(self, row, threads, seconds, result):
        row = self.rows[row]
        self.job = self.peak = None
        problem = problem_of(row, self.input_zero)
        forms = getattr(self.engine, problem.kind)(problem, threads)
        if getattr(self.engine, "exact", False):
            forms = self.right(forms, problem)
            if not forms:
                return {"form": None}
        times = {name: sample(job, seconds, 2)["best"] for name, job in forms.items()}
        form = min(times, key=times.get)
        self.job = forms[form]
        self.job.run(1)
        np.save(result, self.job.output())
        if hasattr(self.engine, "peak"):
            self.peak, self.peak_work = self.engine.peak(problem, threads)
        return {"form": form, "note": getattr(self.job, "note", None), "forms": times}

    @staticmethod
    def right(forms, problem):
        expected, right = problem.expected(), {}
        for name, job in forms.items():
            job.run(1)
            if not problem.wrong(job.output().reshape(expected.shape), expected):
                right[name] = job
        return right

    def solve(self, problem, result):
        """The result of one problem from a file, in the engine's first form."""
        problem = Integer.load(problem)
        job = next(iter(getattr(self.engine, problem.kind)(problem, 1).values()))
        job.run(1)
        np.save(result, job.output())
        return {}

    def measure(self, seconds, least):
        answer = sample(self.job, seconds, least)
        if self.peak:
            answer["peak"] = self.peak_work / sample(self.peak, seconds / 8, 5)["best"]
        return answer


def main():
    name, isa, input_zero = sys.argv[1:]
    # What engines print, from Python or from below it, belongs beside the answers and not among them.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        print(json.dumps(answer), file=answers, flush=True)

    try:
        engine = importlib.import_module(f"engines.{name}").Engine(isa or None)
    except Exception as error:
        say({"error": f"{error}"})
        return
    desk = Desk(engine, int(input_zero))
    say({"title": engine.title, "version": engine.version})
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = getattr(desk, question.pop("do"))(**question)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        settle()
        say(answer)


if __name__ == "__main__":
    main()
