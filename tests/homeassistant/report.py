"""Counts what holds and what does not."""

import time
import traceback

from lab import Trouble


class Report:
    """Prints each check as it is made."""

    def __init__(self):
        self.passed, self.failed, self.part = 0, [], ""

    def check(self, what, holds, detail=""):
        if holds:
            self.passed += 1
            print(f"    ok    {what}", flush=True)
        else:
            self.failed.append(f"{self.part}: {what}")
            print(f"    FAIL  {what}: {detail}", flush=True)
        return bool(holds)

    def equal(self, what, found, wanted):
        return self.check(what, found == wanted, f"found {found!r}, wanted {wanted!r}")

    def soon(self, what, found, wanted, timeout=15.0):
        """Checks that something gets to be as wanted: a value, or what a function says of it."""
        holds = wanted if callable(wanted) else lambda value: value == wanted
        end = time.monotonic() + timeout
        while True:
            value = found()
            if holds(value) or time.monotonic() > end:
                break
            time.sleep(0.1)
        detail = f"found {value!r}" + ("" if callable(wanted) else f", wanted {wanted!r}")
        return self.check(what, holds(value), detail)

    def run(self, part, function, *arguments):
        """Runs one part; what it raises is a failure of that part alone."""
        self.part = part
        print(f"  {part}", flush=True)
        try:
            function(*arguments)
        except Exception as error:
            traceback.print_exc()
            self.check("runs to its end", False, f"{type(error).__name__}: {error}")
