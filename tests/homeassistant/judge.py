#!/usr/bin/env python3
"""Holds the bridge against a real Home Assistant: `judge.py FOLDER BINARY [--pictures FOLDER] [--only PART,…]`.

FOLDER is one that `setup` made. The exit code is 0 when everything holds.
"""

import argparse
import pathlib
import sys
import time

import alarms
import blueprints
import shots
import trouble
from camera import pictures
from lab import Lab
from report import Report

def complaints(site):
    """No line of Home Assistant's log complains about us."""
    site.report.equal("no complaints", site.lab.complaints(), [])


PARTS = [
    ("The bridge's own device", alarms.bridge_device),
    ("A camera nobody knew", alarms.never_seen),
    ("One activity with ten repeats", alarms.repeats),
    ("A burst of fifty", alarms.burst),
    ("Kinds nobody knew", alarms.new_kinds),
    ("A muted camera", alarms.muted),
    ("Names and channels", alarms.names),
    ("Home Assistant restarts", trouble.hass_restarts),
    ("The bridge dies, and stops", trouble.bridge_dies),
    ("The broker forgets, then Home Assistant restarts", trouble.broker_forgets),
    ("A picture over the broker's limit", trouble.picture_too_large),
    ("Deleted in Home Assistant", trouble.deleted_in_home_assistant),
    ("Removed", trouble.removed),
    ("Settings", trouble.settings),
    ("Availability by device", trouble.availability),
    ("The blueprints", blueprints.blueprints),
    ("Home Assistant's log", complaints),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("binary")
    parser.add_argument("--pictures", type=pathlib.Path, help="save screenshots there (needs the browser)")
    parser.add_argument("--only", default="", help="the numbers of parts, 2,5: for whoever looks into one")
    asked = parser.parse_args()
    numbers = [int(number) for number in asked.only.split(",") if number]
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
        for number, (part, function) in enumerate(PARTS, 1):
            if numbers and number not in numbers:
                continue
            report.run(part, function, site)
        if asked.pictures:
            report.run("Screenshots", shots.shoot, site, asked.pictures)
    finally:
        lab.close()
    print(f"Home Assistant {lab.version}: {report.passed} passed, {len(report.failed)} failed, in {time.monotonic() - started:.0f} s")
    for failed in report.failed:
        print(f"  FAILED  {failed}")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
