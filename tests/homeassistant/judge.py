#!/usr/bin/env python3
"""Holds the bridge against a real Home Assistant: `judge.py FOLDER BINARY [--pictures FOLDER] [--only PART,…]`.

FOLDER is one that `setup` made. The exit code is 0 when everything holds.
"""

import argparse
import pathlib
import sys
import time

import alarms
from camera import pictures
from lab import Lab
from report import Report

PARTS = [
    ("The bridge's own device", alarms.bridge_device),
    ("A camera nobody knew", alarms.never_seen),
    ("One activity with ten repeats", alarms.repeats),
    ("A burst of fifty", alarms.burst),
    ("Kinds nobody knew", alarms.new_kinds),
    ("Names and channels", alarms.names),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("binary")
    parser.add_argument("--pictures", type=pathlib.Path, help="save screenshots there (needs the browser)")
    asked = parser.parse_args()
    report, started = Report(), time.monotonic()
    lab = Lab(asked.folder, asked.binary)
    try:
        lab.start_broker()
        lab.start_hass()
        print(f"Home Assistant {lab.version}, up after {time.monotonic() - started:.0f} s", flush=True)
        lab.bridge.configure('devices.02:00:00:00:00:01', hold_seconds=3600)
        lab.bridge.configure('devices.02:00:00:00:00:02', hold_seconds=4)
        lab.bridge.start()
        site = alarms.Site(lab, report, pictures(lab))
        for part, function in PARTS:
            report.run(part, function, site)
    finally:
        lab.close()
    print(f"Home Assistant {lab.version}: {report.passed} passed, {len(report.failed)} failed, in {time.monotonic() - started:.0f} s")
    for failed in report.failed:
        print(f"  FAILED  {failed}")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
